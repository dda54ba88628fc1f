"""What PVE makes of the hostpci devices when a VM starts, on a given host.

Source: qemu-server src/PVE/QemuServer/PCI.pm (parse_hostpci, parse_hostpci_devices,
choose_hostpci_devices) and pve-common src/PVE/SysFSTools.pm (lspci).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from .hostpci import KEYS, PVE9, Hostpci, parse_hostpci
from .mapping import HostDevice, MapEntry, Mappings, why_invalid
from .schema import FormatError, parse_property_string
from .vmoptions import formats, options

_NVIDIA_TYPE = re.compile(r"nvidia-(\d+)$", re.ASCII)


class StartError(Exception):
    """PVE's words for why the VM does not start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostView:
    """What PVE looks at on a node: its functions by address, and the cluster's mappings.

    ``roms``: the files of /usr/share/kvm (None: not looked at).
    """

    devices: Mapping[str, HostDevice] = field(default_factory=dict)
    mappings: Mappings = field(default_factory=Mappings)
    node: str = "localhost"
    roms: frozenset[str] | None = None

    def matching(self, address: str) -> tuple[HostDevice, ...]:
        """``01:00`` is every function of the slot: addresses are compared from their start."""
        return tuple(
            self.devices[each]
            for each in sorted(self.devices)
            if each.startswith((address, f"0000:{address}"))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """One hostpci device: sets of functions, of which the VM gets one whole set.

    ``mdev``: a mediated device of this type; ``nvidia``: a virtual GPU of this number, which
    NVIDIA's driver makes of the function itself.
    """

    given: Hostpci
    alternatives: tuple[tuple[str, ...], ...]
    is_multifunction: bool = False
    mdev: str = ""
    nvidia: str = ""
    can_migrate_live: bool = False

    def document(self) -> dict[str, object]:
        flags: dict[str, object] = {
            "has-multifunction": int(self.is_multifunction), "mdev": self.mdev,
            "nvidia": self.nvidia, "live-migration-capable": int(self.can_migrate_live),
        }  # fmt: skip
        return {
            "alternatives": [list(each) for each in self.alternatives],
            **{key: value for key, value in flags.items() if value},
        }


def resolve(text: str, host: HostView, *, pve: int = PVE9) -> Resolved:
    """One value on a host. Raises StartError, FormatError."""
    device = parse_hostpci(text, pve=pve)
    if device.host and device.mapping:
        raise StartError("Cannot set both 'host' and 'mapping'.\n")
    if device.mapping:
        places, can_migrate_live = _mapped(device.mapping, host)
    elif device.host:
        places, can_migrate_live = (device.addresses,), False
    else:
        raise StartError("Either 'host' or 'mapping' must be set.\n")
    found = Resolved(
        given=device, alternatives=(), mdev=device.mdev, can_migrate_live=can_migrate_live
    )
    for each in places:
        found = _with_alternative(found, each, host)
    return found


def _mapped(name: str, host: HostView) -> tuple[tuple[tuple[str, ...], ...], bool]:
    section = host.mappings.sections.get(name)
    entries: tuple[MapEntry, ...] = section.entries(host.node) if section else ()
    if section is None or not entries:
        raise StartError(f"PCI device mapping not found for '{name}'\n")
    for entry in entries:
        wrong = why_invalid(name, section, entry, host.devices)
        if wrong:
            raise StartError(f"PCI device mapping invalid (hardware probably changed): {wrong}\n")
    return tuple(entry.paths for entry in entries), bool(section.live_migration_capable)


def _with_alternative(found: Resolved, addresses: tuple[str, ...], host: HostView) -> Resolved:
    functions: list[HostDevice] = []
    for address in addresses:
        matching = host.matching(address)
        if not matching:
            raise StartError(f"no PCI device found for '{address}'\n")
        functions.extend(matching)
    ours = tuple(each.address for each in functions)
    found = replace(found, alternatives=(*found.alternatives, ours))
    if len(functions) > 1:
        if found.mdev or found.nvidia:
            raise StartError("cannot use mediated device with multifunction device\n")
        return replace(found, is_multifunction=True)
    number = _NVIDIA_TYPE.match(found.mdev)
    if number and functions[0].is_nvidia_vgpu:
        return replace(found, mdev="", nvidia=number[1])
    return found


def resolve_all(
    config: Mapping[str, object], host: HostView, *, pve: int = PVE9
) -> dict[str, Resolved]:
    """Every device of a VM, by key. Raises StartError, FormatError."""
    q35 = is_q35(config, pve)
    found: dict[str, Resolved] = {}
    has_legacy_igd = False
    for key in KEYS:
        text = str(config.get(key, ""))
        if text in ("", "0"):
            continue
        device = resolve(text, host, pve=pve)
        if device.given.pcie and not q35:
            raise StartError("q35 machine model is not enabled")
        if device.given.legacy_igd:
            wrong = _why_no_legacy_igd(config, device, q35=q35, is_second=has_legacy_igd)
            if wrong:
                raise StartError(f"{wrong}\n")
            has_legacy_igd = True
        found[key] = device
    return found


def is_q35(config: Mapping[str, object], pve: int) -> bool:
    return "q35" in machine_of(config, pve).get("type", "")


def machine_of(config: Mapping[str, object], pve: int) -> dict[str, str]:
    """The properties of the option ``machine``. Raises FormatError."""
    text = str(config.get("machine", ""))
    if text in ("", "0"):
        return {}
    schema = options(pve)["machine"]["format"]
    values = parse_property_string(schema, text, formats=formats(pve))
    return {key: str(value) for key, value in values.items()}


def _why_no_legacy_igd(
    config: Mapping[str, object], device: Resolved, *, q35: bool, is_second: bool
) -> str:
    """The first of PVE's conditions that is not met, in its order and words."""
    prefix = "legacy IGD assignment"
    first = device.alternatives[0][0]
    conditions = (
        (is_second, "only one device can be assigned in legacy-igd mode"),
        (config.get("vga") != "none", f"{prefix} requires VGA mode to be 'none'"),
        (device.given.rombar is False, f"{prefix} requires rombar to be enabled"),
        (bool(device.given.x_vga), f"{prefix} is not compatible with x-vga"),
        (bool(device.mdev or device.nvidia), f"{prefix} is not compatible with mdev"),
        (q35, f"{prefix} is not compatible with q35"),
        (device.is_multifunction, f"{prefix} is not compatible with multifunction devices"),
        (len(device.alternatives) > 1, f"{prefix} is not compatible with alternate devices"),
        (
            not first.endswith("02.0"),
            f"{prefix} only works for devices on host bus 00:02.0",
        ),
    )
    return next((said for is_wrong, said in conditions if is_wrong), "")


def choose(devices: Mapping[str, Resolved]) -> dict[str, tuple[str, ...]]:
    """Which functions each device gets, if nothing on the host is reserved. Raises StartError."""
    used: set[str] = set()
    chosen: dict[str, tuple[str, ...]] = {}
    for key, device in devices.items():
        if device.mdev and not device.nvidia:
            # one is made when the VM starts, of whichever has room
            chosen[key] = tuple(each[0] for each in device.alternatives)
            continue
        free = [each for each in device.alternatives if not used.intersection(each)]
        if len(device.alternatives) == 1:
            free = list(device.alternatives)
            _refuse_twice(free[0], used)
        if not free:
            raise StartError(f"could not find a free device for '{key}'\n")
        _refuse_twice(free[0], used)
        used.update(free[0])
        chosen[key] = free[0]
    return chosen


def _refuse_twice(addresses: tuple[str, ...], used: set[str]) -> None:
    seen = set(used)
    for each in addresses:
        if each in seen:
            raise StartError(f"device '{each}' assigned more than once\n")
        seen.add(each)


__all__ = [
    "FormatError", "HostView", "Resolved", "StartError", "choose", "is_q35", "machine_of",
    "resolve", "resolve_all",
]  # fmt: skip
