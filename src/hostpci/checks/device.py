"""Can this slot go to a guest, and what would the host lose with it?"""

from __future__ import annotations

from collections.abc import Iterator

from ..model.facts import Facts
from ..model.finding import Finding, Level
from ..model.pci import PciFunction
from .say import fails, holds, unknown, unread

_DEVICES = "/sys/bus/pci/devices"


def bridges_of(facts: Facts, slot: str) -> list[PciFunction]:
    functions = facts.inventory.of_slot(slot)
    return [each for each in functions if each.is_bridge or each.is_of_the_board]


def check_kind(facts: Facts, slot: str) -> Iterator[Finding]:
    """A claims file can name anything, and bus numbers move."""
    for each in bridges_of(facts, slot):
        yield fails("is-a-bridge", Level.FAIL, each.address, blocks=True)


def check_identity(facts: Facts, slot: str) -> Iterator[Finding]:
    """A claim names who must sit there; anybody else is not bound (Law of the rule file)."""
    claim = facts.claims.of_slot(slot)
    if claim is None:
        return
    present = {each.address: each.identity for each in facts.inventory.of_slot(slot)}
    expected = {each.address: each.identity for each in claim.functions}
    for address in sorted(present.keys() | expected.keys()):
        wanted, found = expected.get(address), present.get(address)
        if wanted == found:
            yield holds("identity", address, identity=str(found))
        else:
            yield fails(
                "identity", Level.FAIL, address, f"/sys/bus/pci/devices/{address}", blocks=True,
                expected=str(wanted or "-"), found=str(found or "-"),
            )  # fmt: skip


def check_group(facts: Facts, slot: str) -> Iterator[Finding]:
    if not facts.iommu.units:
        return  # that is check_iommu's finding
    for each in facts.inventory.of_slot(slot):
        if each.iommu_group is None:
            yield fails("group", Level.FAIL, each.address, "iommu_group", blocks=True)


def check_reserved_regions(facts: Facts, slot: str) -> Iterator[Finding]:
    """``direct`` ranges (RMRR, IVMD) make the kernel refuse the device (iommu.c require_direct)."""
    numbers = {each.iommu_group for each in facts.inventory.of_slot(slot)}
    for group in facts.inventory.groups:
        if group.number in numbers and group.reserved_direct:
            yield fails(
                "reserved-direct", Level.FAIL, f"group {group.number}", *group.reserved_direct,
                blocks=True,
            )  # fmt: skip


def check_sriov(facts: Facts, slot: str) -> Iterator[Finding]:
    """vfio_pci_core_register_device: "Cannot bind to PF with SR-IOV enabled"."""
    for each in facts.inventory.of_slot(slot):
        gaps = unread(facts, f"{_DEVICES}/{each.address}/sriov_numvfs")
        if gaps:
            yield unknown("sriov-vfs", each.address, *gaps)
        if each.physical_function:
            yield fails(
                "virtual-function", Level.FAIL, each.address, "physfn", blocks=True,
                physical=each.physical_function,
            )  # fmt: skip
        if each.sriov_vfs_enabled:
            count = str(each.sriov_vfs_enabled)
            yield fails(
                "sriov-vfs", Level.FAIL, each.address, f"sriov_numvfs={count}",
                blocks=True, count=count,
            )  # fmt: skip


def check_reset(facts: Facts, slot: str) -> Iterator[Finding]:
    for each in facts.inventory.of_slot(slot):
        gaps = unread(facts, f"{_DEVICES}/{each.address}/reset_method")
        if gaps:
            yield unknown("reset", each.address, *gaps)
        elif each.reset_methods:
            yield holds("reset", each.address, *each.reset_methods)
        elif _is_reset_with_its_slot(facts, each):
            yield fails("reset-with-slot", Level.INFO, each.address, f"bus below {each.parent}")
        else:
            yield fails("reset", Level.WARN, each.address, "reset_method")


def _is_reset_with_its_slot(facts: Facts, function: PciFunction) -> bool:
    """A function that shares its bus cannot be reset through it (pci.c pci_parent_bus_reset), so
    the sound of most graphics cards has no method; VFIO resets that bus with all of them at
    once (vfio_pci_core.c vfio_pci_ioctl_pci_hot_reset), provided nobody else's device is on it.
    """
    bus = function.address.rpartition(":")[0]
    beside = {each.slot for each in facts.inventory.functions if each.address.startswith(f"{bus}:")}
    is_one_of_many = len(facts.inventory.of_slot(function.slot)) > 1
    return is_one_of_many and function.parent is not None and beside == {function.slot}


def check_power(facts: Facts, slot: str) -> Iterator[Finding]:
    for each in facts.inventory.of_slot(slot):
        if each.power_state in ("error", "D3cold"):
            state = each.power_state or ""
            yield fails("power-state", Level.WARN, each.address, "power_state", state=state)
