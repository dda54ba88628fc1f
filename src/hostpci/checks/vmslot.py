"""Is the slot ready for a machine, and does anybody else count on it?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..model.address import is_in_slot
from ..model.facts import Facts
from ..model.finding import Finding, Level
from ..model.guests import Guest
from ..model.hook import HOOK, is_our_volume
from ..model.knob import lent_to
from ..model.pci import VFIO
from ..model.vm import HostPci, NodeDevice, VmCase
from .guests import check_guests
from .registry import run_checks
from .say import fails, holds, unknown

# Host drivers that PVE may take a function from while the machine starts
_LETS_GO = {None, VFIO, "pci-stub", "snd_hda_intel", "xhci_hcd"}
_NVIDIA, _AMD = "10de", "1002"


def check_there(case: VmCase) -> Iterator[Finding]:
    """PVE takes every function of the slot, and the resource mapping names that of function 0."""
    devices = case.node.of_slot(case.slot)
    if not devices:
        yield fails("vm-slot-there", Level.FAIL, case.slot, blocks=True, node=case.node.name)
        return
    bridges = [each.address for each in devices if each.is_board_part]
    if bridges:
        yield fails("vm-slot-bridge", Level.FAIL, bridges[0], blocks=True)
    if not any(each.address.endswith(".0") for each in devices):
        yield fails("vm-slot-there", Level.FAIL, f"{case.slot}.0", blocks=True, node=case.node.name)


def check_ready(case: VmCase) -> Iterator[Finding]:
    """On the node itself: claimed, with nothing that speaks against it, and bound or bindable."""
    host = case.host
    if host is None:
        yield unknown("vm-slot-ready", case.slot)
        yield from _strangers(case)
        return
    if host.claims.of_slot(case.slot) is None:
        if host.inventory.of_slot(case.slot):
            yield fails("vm-slot-claimed", Level.FAIL, case.slot, blocks=True)
        return
    yield holds("vm-slot-claimed", case.slot)
    seen = run_checks(_without(host, case.vm.vmid), case.slot)
    yield from (each for each in seen.findings if each.blocks)
    yield from _lent(case) if lender(case) is not None else _binding(host, case.slot)


def _without(host: Facts, vmid: int) -> Facts:
    """The host without the machine itself: that it has the slot already stands in no way."""
    return replace(host, guests=tuple(each for each in host.guests if each.number != vmid))


def lender(case: VmCase) -> int | None:
    """The machine that the claim lends the slot to while it runs, if it does that."""
    claim = case.host.claims.of_slot(case.slot) if case.host else None
    return lent_to(claim) if claim else None


def _lent(case: VmCase) -> Iterator[Finding]:
    """A hook script of the machine takes the slot before each start, and gives it back."""
    vm, number = case.vm, lender(case)
    script = vm.config.get("hookscript", "")
    if number != vm.vmid:
        yield fails("vm-slot-lent", Level.FAIL, case.slot, blocks=True, other=str(number))
    elif is_our_volume(script):
        yield holds("vm-hookscript", vm.name, script)
    elif script:
        yield fails("vm-other-hookscript", Level.FAIL, vm.name, script, blocks=True)
    elif case.host is None or case.host.options.hook is None:
        yield fails("vm-no-hook", Level.FAIL, case.slot, blocks=True, path=HOOK)
    else:
        yield fails("vm-hookscript", Level.NOTICE, vm.name)


def _binding(host: Facts, slot: str) -> Iterator[Finding]:
    drivers = {each.address: each.driver for each in host.inventory.of_slot(slot)}
    held = {address: name for address, name in drivers.items() if name not in _LETS_GO}
    if held:
        address, name = next(iter(held.items()))
        yield fails("vm-slot-bound", Level.FAIL, address, f"driver: {name}", blocks=True)
    elif set(drivers.values()) == {VFIO}:
        yield holds("vm-slot-bound", slot)
    else:
        elsewhere = [f"{a}: {d or '-'}" for a, d in drivers.items() if d != VFIO]
        yield fails("vm-slot-bindable", Level.NOTICE, slot, *elsewhere)


def _strangers(case: VmCase) -> Iterator[Finding]:
    """From outside nobody can weigh what the host would lose, so nothing may be lost.

    PVE binds the whole group when the machine starts (SysFSTools pci_dev_group_bind_to_vfio).
    """
    devices = case.node.of_slot(case.slot)
    groups = {each.group for each in devices} - {-1}
    if devices and not groups:
        yield fails("vm-slot-group", Level.FAIL, case.slot, blocks=True)
    others = [
        each.address
        for each in case.node.devices
        if each.group in groups and each not in devices and not each.is_board_part
    ]
    if others:
        yield fails("vm-slot-alone", Level.FAIL, case.slot, *others, blocks=True)


def check_owners(case: VmCase) -> Iterator[Finding]:
    """Others that have it, or would with their next start: PVE lets the first one win."""
    if case.host is not None:
        own = {"in-use-by-guest", "set-for-guest", "set-in-snapshot", "group-open", "guest-use"}
        seen = check_guests(_without(case.host, case.vm.vmid), case.slot)
        # What blocks is among the findings about the slot already
        found = [each for each in seen if each.code in own and not each.blocks]
    else:
        found = [each for guest in case.node.others for each in _owner(case, guest)]
    yield from found
    if not found:
        yield holds("vm-alone", case.slot)


def _owner(case: VmCase, guest: Guest) -> Iterator[Finding]:
    keys = [
        f"{guest.name} {device.key}"
        for device in guest.devices
        if any(is_in_slot(place, case.slot) for place in device.places)
    ]
    if keys and guest.is_running is False:
        yield fails("set-for-guest", Level.NOTICE, case.slot, *keys, guest=guest.name)
    elif keys:
        yield fails(
            "in-use-by-guest", Level.FAIL, case.slot, *keys, blocks=True,
            guest=guest.name, stop=guest.stop_command,
        )  # fmt: skip


def check_overlap(case: VmCase) -> Iterator[Finding]:
    """PVE's start dies on a function that two lines name (PCI.pm "assigned more than once")."""
    lines = case.own_lines
    if len(lines) > 1:
        keys = ", ".join(each.key for each in lines)
        yield fails("vm-slot-twice", Level.FAIL, case.vm.name, keys, blocks=True, slot=case.slot)
    elif lines and not lines[0].is_whole(case.slot):
        yield _partial(case, lines[0])
    if any("mdev" in each.options for each in lines):
        yield fails("vm-slot-mdev", Level.FAIL, case.vm.name, lines[0].key, blocks=True)


def _partial(case: VmCase, line: HostPci) -> Finding:
    """One function of the slot, or alternatives that PVE may choose from: not the whole of it."""
    evidence = f"{line.key}: {line.mapping or ';'.join(line.places)}"
    is_mendable = not line.mapping and all(
        place.rpartition(".")[0] == case.slot for place in line.places
    )
    if not is_mendable:
        return fails(
            "vm-slot-list", Level.FAIL, case.vm.name, evidence, blocks=True, key=line.key,
            slot=case.slot,
        )  # fmt: skip
    is_chosen = "whole-slot" in case.wanted.fixes
    return fails(
        "vm-slot-part", Level.NOTICE if is_chosen else Level.FAIL, case.vm.name, evidence,
        blocks=not is_chosen, key=line.key, slot=case.slot,
    )  # fmt: skip


@dataclass(frozen=True)
class Family:
    """Devices whose reset is known to fail: by code, with inclusive ranges of device ids."""

    code: str
    vendor: str
    ranges: tuple[tuple[int, int], ...]


# Ids: gnif/vendor-reset src/device-db.h; of Blackwell, NVIDIA/open-gpu-kernel-modules README.
FAMILIES = (
    Family("vm-reset-amd", _AMD, ((0x67C0, 0x67FF), (0x6980, 0x699F), (0x6860, 0x687F),
                                  (0x66A0, 0x66AF), (0x7310, 0x731F), (0x7340, 0x734F),
                                  (0x7360, 0x7362), (0x738C, 0x738C))),
    Family("vm-reset-apu", _AMD, ((0x15D8, 0x15D8), (0x15DD, 0x15DD), (0x15E7, 0x15E7),
                                  (0x1636, 0x1638), (0x164C, 0x164E), (0x1681, 0x1681),
                                  (0x15BF, 0x15BF), (0x15C8, 0x15C8), (0x150E, 0x150E),
                                  (0x1586, 0x1586))),
    Family("vm-reset-blackwell", _NVIDIA, ((0x2900, 0x29FF), (0x2B00, 0x2DFF), (0x2F00, 0x2FFF))),
)  # fmt: skip


def family_of(devices: tuple[NodeDevice, ...]) -> Family | None:
    for each in devices:
        vendor, _, device = each.ids.partition(":")
        for family in FAMILIES:
            if each.is_display and vendor == family.vendor and _is_in(family, device):
                return family
    return None


def _is_in(family: Family, device: str) -> bool:
    return any(low <= int(device, 16) <= high for low, high in family.ranges)


def check_reset_family(case: VmCase) -> Iterator[Finding]:
    """Said before the first start: after the second it may be too late for the host."""
    family = family_of(case.node.of_slot(case.slot))
    if family is None:
        return
    ids = [each.ids for each in case.node.of_slot(case.slot) if each.is_display]
    if family.code == "vm-reset-amd":
        yield fails("vm-reset-amd", Level.WARN, case.slot, *ids)
    elif family.code == "vm-reset-apu":
        yield fails("vm-reset-apu", Level.WARN, case.slot, *ids)
    else:
        yield fails("vm-reset-blackwell", Level.WARN, case.slot, *ids)
