"""What the host would lose with the slot, and with everything that shares its IOMMU group.

PVE binds the whole group when the machine starts (PVE::SysFSTools pci_dev_group_bind_to_vfio), so
the strangers in it count as the slot's own functions do. What cannot be accepted has no consent.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..model.cmdline import last_value
from ..model.facts import Facts
from ..model.finding import Finding, Level
from ..model.pci import PciFunction, UseKind
from ..model.risk import Risk, risk_of_sharing
from .say import fails, holds, unknown, unread

_DEVICES = "/sys/bus/pci/devices"
_STORAGE, _NETWORK, _USB = 0x01, 0x02, 0x0C03
_CRYPTO = 0x1080
_OPTION = "acs-override"
_DISK_SOURCES = ("/proc/self/mounts", "/proc/swaps", "/sys/class/block")
_NET_SOURCES = ("/sys/class/net", "/proc/net/route")


def check_group_strangers(facts: Facts, slot: str) -> Iterator[Finding]:
    functions = facts.inventory.of_slot(slot)
    numbers = sorted({each.iommu_group for each in functions if each.iommu_group is not None})
    strangers = facts.inventory.strangers_of(slot)
    links = [f"{_DEVICES}/{each.address}/iommu_group" for each in facts.inventory.functions]
    gaps = unread(facts, "/sys/kernel/iommu_groups", *links)
    for each in strangers:
        yield _stranger(facts, each)
    if numbers and gaps:
        yield unknown("group-isolated", slot, *gaps, blocks=True)
    elif numbers and not strangers:
        text = ", ".join(str(number) for number in numbers)
        members = [each.address for each in functions]
        yield holds("group-isolated", slot, *members, group=text)


def _stranger(facts: Facts, each: PciFunction) -> Finding:
    """One finding for each, and one answer: never, by name, or given away already."""
    device = each.device_name or str(each.identity)
    group = str(each.iommu_group)
    gaps = _unread_uses(facts, each)
    if gaps:
        return unknown("group-shared", each.address, *gaps, blocks=True, device=device)
    why = _why_never(each)
    if why:
        return fails(
            "group-shared", Level.FAIL, each.address, *why, blocks=True, group=group, device=device
        )
    claim = facts.claims.of_slot(each.slot)
    if claim and (each.address, each.identity) in _claimed(facts):
        return holds("group-shared", each.address, group=group, device=device)
    return fails(
        "group-shared", Level.FAIL, each.address, *described(each),
        consent=risk_of_sharing(each.class_code), group=group, device=device,
    )  # fmt: skip


def _claimed(facts: Facts) -> set[tuple[str, object]]:
    return {(one.address, one.identity) for claim in facts.claims.claims for one in claim.functions}


def _why_never(function: PciFunction) -> list[str]:
    """Why the host cannot be without it, whoever agrees.

    A driver that is built in is no reason here: PVE unbinds it when the machine starts.
    """
    if function.is_critical or function.is_board_part:
        return described(function) or [function.class_name or f"{function.class_code >> 8:04x}"]
    if function.sriov_vfs_enabled:
        return [f"sriov_numvfs={function.sriov_vfs_enabled}"]
    return []


def described(function: PciFunction) -> list[str]:
    return [" ".join(filter(None, (use.kind, use.name, use.detail))) for use in function.uses]


def _unread_uses(facts: Facts, function: PciFunction) -> tuple[str, ...]:
    """What could not be read of the uses that would forbid to give this function away.

    A display or a sound device carries neither disks nor networks, whatever is unknown.
    """
    kind = function.class_code >> 8
    gaps: tuple[str, ...] = ()
    if kind >> 8 == _STORAGE or kind == _USB:
        gaps += unread(facts, *_DISK_SOURCES)
    if kind >> 8 == _NETWORK or kind == _USB:
        names = [use.name for use in function.uses if use.kind is UseKind.NETWORK]
        places = [f"/sys/class/net/{name}" for name in names]
        files = [f"{place}/{file}" for place in places for file in ("operstate", "master")]
        gaps += unread(facts, *_NET_SOURCES, *places, *files)
    return gaps


def check_host_use(facts: Facts, slot: str) -> Iterator[Finding]:
    functions = facts.inventory.of_slot(slot)
    critical = [each for each in functions if each.is_critical]
    for each in critical:
        yield fails("host-needs-it", Level.FAIL, each.address, *described(each), blocks=True)
    holders = {name for each in functions for use in each.uses for name in use.holders}
    if holders:
        yield fails(
            "host-has-it-open", Level.FAIL, slot, *sorted(holders), consent=Risk.IN_USE_BY_HOST
        )
    gaps = unread(facts, *_DISK_SOURCES, *_NET_SOURCES)
    unsure = [each.address for each in functions if _unread_uses(facts, each)]
    for address in unsure:
        yield unknown("host-needs-it", address, *gaps, blocks=True)
    if gaps and not unsure:
        yield unknown("host-use", slot, *gaps)
    elif not critical and not holders and not gaps:
        yield holds("host-use", slot)


def check_processor_slot(facts: Facts, slot: str) -> Iterator[Finding]:
    """Of an APU, graphics are one function of a slot full of the host's own parts."""
    functions = facts.inventory.of_slot(slot)
    kinds = {each.class_code >> 8 for each in functions}
    if _CRYPTO in kinds and any(each.is_display for each in functions):
        others = [each for each in functions if not each.is_display]
        usb = sum(each.class_code >> 8 == _USB for each in others)
        yield fails(
            "slot-of-processor", Level.WARN, slot, *(each.address for each in others),
            others=str(len(others)), usb=str(usb),
        )  # fmt: skip


def check_asserted_isolation(facts: Facts, slot: str) -> Iterator[Finding]:
    """With the override a group says what the command line says, not what the hardware does.

    Only Proxmox's kernels carry the patch; others take the word for a module's and ignore it. Who
    chose the option of this host has said already that it is meant.
    """
    value = last_value(facts.kernel.command_line, "pcie_acs_override")
    if value and "-pve" in facts.kernel.release and facts.inventory.of_slot(slot):
        chosen = any(each.partition("=")[0] == _OPTION for each in facts.claims.host_options)
        yield fails(
            "acs-asserted", Level.WARN if chosen else Level.FAIL, slot,
            f"pcie_acs_override={value}", consent="" if chosen else Risk.ACS_ASSERTED,
        )  # fmt: skip
