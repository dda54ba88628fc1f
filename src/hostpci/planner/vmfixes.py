"""Changes of a machine's configuration that mend a finding. Each is offered; few are needed."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..checks.vmmachine import can_set_guest_bits
from ..model.plan import KeyChange
from ..model.vm import HostPci, VmCase
from ..pve.settings import cpu_properties, machine_type, read, written

# name -> what it sets; None takes the setting out. Empty: it cannot be done here.
Values = dict[str, str | None]
_DISK = re.compile(r"(?:scsi|virtio|sata|ide)[0-9]+")
_VOLUME = re.compile(r"([A-Za-z][A-Za-z0-9._-]*):.+")
NEW_EFI_DISK = "efitype=4m,pre-enrolled-keys=0"


def _q35(case: VmCase) -> Values:
    """A pinned version stays: the guest keeps the devices that it knows."""
    kind = machine_type(case.vm.config)
    version = re.search(r"[0-9]+\.[0-9]+(?:\+pve[0-9]+)?", kind)
    values = read("machine", case.vm.config.get("machine", ""))
    values["type"] = f"pc-q35-{version[0]}" if version else "q35"
    return {"machine": written("machine", {k: v for k, v in values.items() if v})}


def _ovmf(case: VmCase) -> Values:
    disk = {} if "efidisk0" in case.vm.config else _efidisk(case)
    return {"bios": "ovmf", **disk} if disk or "efidisk0" in case.vm.config else {}


def _efidisk(case: VmCase) -> Values:
    """Beside the disk that the machine boots from, without Secure Boot's keys: PVE's own signed
    drivers apart, a module that is built in the guest would not load under them.
    """
    storage = _boot_storage(case.vm.config)
    return {"efidisk0": f"{storage}:1,{NEW_EFI_DISK}"} if storage else {}


def _boot_storage(config: dict[str, str]) -> str:
    order = read("boot", config.get("boot", "")).get("order", "").split(";")
    disks = sorted(key for key in config if _DISK.fullmatch(key))
    for key in (*order, *disks):
        volume = read(key, config[key]) if key in config else {}
        match = _VOLUME.fullmatch(volume.get("file", ""))
        if match and volume.get("media") != "cdrom":
            return match[1]
    return ""


def _cpu(case: VmCase) -> Values:
    return {"cpu": written("cpu", {**cpu_properties(case.vm.config), "cputype": "host"})}


def _phys_bits(case: VmCase) -> Values:
    """As wide as the processor's addresses, and no wider than the IOMMU translates."""
    values = cpu_properties(case.vm.config)
    if "cpu" in case.wanted.fixes:
        values["cputype"] = "host"
    iommu, own = case.node.iommu_bits, case.node.phys_bits
    if iommu is not None and (own is None or iommu < own):
        key = "guest-phys-bits" if can_set_guest_bits(case) else "phys-bits"
        values[key] = str(iommu)
        if key == "guest-phys-bits" and values["cputype"] != "host":
            values["phys-bits"] = "host"
    elif values["cputype"] != "host":
        values["phys-bits"] = "host"
    else:
        values.pop("phys-bits", None)
        values.pop("guest-phys-bits", None)
    return {"cpu": written("cpu", values)}


def _balloon(_case: VmCase) -> Values:
    return {"balloon": "0"}


def _vga(_case: VmCase) -> Values:
    return {"vga": "none"}


def _agent(case: VmCase) -> Values:
    values = read("agent", case.vm.config.get("agent", "1"))
    return {"agent": written("agent", {**values, "enabled": "1"})}


def _onboot(_case: VmCase) -> Values:
    return {"onboot": "0"}


def _hookscript(case: VmCase) -> Values:
    volume = case.node.hook.volume if case.node.hook else ""
    return {"hookscript": volume} if volume else {}


def _pcie(case: VmCase) -> Values:
    return {each.key: line_text(each, {**each.options, "pcie": "1"}) for each in case.own_lines[:1]}


def _whole_slot(case: VmCase) -> Values:
    """The line keeps its number and its options, and means every function from now on."""
    line = case.own_lines[0]
    options = {**line.options, "pcie": "1"}
    return {line.key: written("hostpci0", {"host": case.slot, **options})}


def line_text(line: HostPci, options: dict[str, str]) -> str:
    """A hostpci line as it is, but for its options."""
    if line.mapping:
        return written("hostpci0", {"mapping": line.mapping, **options})
    return written("hostpci0", {"host": ";".join(line.places), **options})


FIXES: dict[str, Callable[[VmCase], Values]] = {
    "q35": _q35,
    "hookscript": _hookscript,
    "ovmf": _ovmf,
    "efidisk": _efidisk,
    "cpu": _cpu,
    "phys-bits": _phys_bits,
    "balloon": _balloon,
    "vga": _vga,
    "agent": _agent,
    "onboot": _onboot,
    "pcie": _pcie,
    "whole-slot": _whole_slot,
}
# Without these the machine that has the device does not start, or gets it from nobody
NEEDED = ("q35", "hookscript")


def changes_of(case: VmCase, fix: str) -> tuple[KeyChange, ...]:
    """What a fix changes here; () where it has nothing to change, or cannot."""
    return as_changes(case, FIXES[fix](case))


def as_changes(case: VmCase, values: Values) -> tuple[KeyChange, ...]:
    config = case.vm.config
    return tuple(
        KeyChange(key=key, before=config.get(key), after=value)
        for key, value in values.items()
        if value != config.get(key)
    )
