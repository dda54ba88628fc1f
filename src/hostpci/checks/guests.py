"""Guests that have, or are set to have, the slot or something in its group."""

from __future__ import annotations

from collections.abc import Iterator

from ..model.facts import Facts
from ..model.finding import Finding, Level
from ..model.guests import Guest, GuestDevice, GuestKind
from ..model.hook import HOOK
from ..model.pci import VFIO, PciFunction, UseKind
from .say import fails, holds, unknown

_SOURCES = ("/etc/pve/", "/run/qemu-server", "/sys/fs/cgroup/lxc")


def check_guests(facts: Facts, slot: str) -> Iterator[Finding]:
    """A running guest is stopped first; a stopped one is to be known of.

    What is on vfio-pci already has left the host: a machine that runs with it loses nothing by a
    claim, which acts at the next boot.
    """
    own = facts.inventory.of_slot(slot)
    is_handed_over = bool(own) and all(each.driver == VFIO for each in own)
    owners = set()
    for guest in facts.guests:
        keys = _keys(facts, guest, own)
        owners |= {guest.number} if keys else set()
        if keys and is_handed_over and guest.kind is GuestKind.VM and guest.is_running:
            yield holds("in-use-by-guest", slot, *keys, guest=guest.name)
        elif keys:
            yield _use(guest, slot, keys)
        if guest.snapshots and keys:
            yield _in_snapshots(guest, slot)
    for guest in facts.guests:
        for each in facts.inventory.strangers_of(slot):
            keys = _keys(facts, guest, (each,))
            if keys and guest.number not in owners:
                yield _use(guest, each.address, keys)
    yield from _unknown_machine(facts, slot, is_known=bool(owners), is_handed_over=is_handed_over)
    gaps = [each.what for each in facts.unmeasured if _is_about_guests(each.what)]
    if gaps:
        yield unknown("guest-use", slot, *gaps)


def check_hook(facts: Facts, _slot: str) -> Iterator[Finding]:
    """PVE starts no machine whose script is not there (pve-guest-common, check_hookscript)."""
    names = [each.name for each in facts.guests if each.has_hook]
    if names and facts.options.hook is None:
        yield fails("guest-hook-missing", Level.WARN, ", ".join(names), HOOK)


def _is_about_guests(path: str) -> bool:
    is_process = path.startswith("/proc/") and path.endswith("/comm")
    is_ring = path == "/etc/pve/corosync.conf"
    return is_process or (path.startswith(_SOURCES) and not is_ring)


def _use(guest: Guest, subject: str, keys: list[str]) -> Finding:
    if guest.is_running is False:
        return fails("set-for-guest", Level.NOTICE, subject, *keys, guest=guest.name)
    return fails(
        "in-use-by-guest", Level.FAIL, subject, *keys, blocks=True,
        guest=guest.name, stop=guest.stop_command,
    )  # fmt: skip


def _in_snapshots(guest: Guest, slot: str) -> Finding:
    return fails("set-in-snapshot", Level.INFO, slot, *guest.snapshots, guest=guest.name)


def _unknown_machine(
    facts: Facts, slot: str, *, is_known: bool, is_handed_over: bool
) -> Iterator[Finding]:
    """Whoever holds the group's VFIO node runs with it, in no configuration that we know."""
    numbers = {each.iommu_group for each in facts.inventory.of_slot(slot)}
    holders = [
        name for each in facts.inventory.groups if each.number in numbers for name in each.holders
    ]
    if holders and not is_known and not is_handed_over:
        yield fails("group-open", Level.FAIL, slot, *holders, blocks=True)


def _keys(facts: Facts, guest: Guest, functions: tuple[PciFunction, ...]) -> list[str]:
    """The lines of a guest that mean one of these functions.

    A node that stands for every card means this one only if there is no other it could mean.
    """
    devices = [each for each in guest.devices if not (guest.is_running and each.is_pending)]
    return [
        f"{guest.name} {device.key}"
        for device in devices
        if any(_is_of(device, each) for each in functions)
        or (_means_all(device, functions) and not _has_another(facts, device, functions))
    ]


def _is_of(device: GuestDevice, function: PciFunction) -> bool:
    """By whole addresses: ``0000:00:02`` is no part of ``0000:00:02:00``, nor of ``0000:02:00``."""
    is_named = function.address in device.places or function.slot in device.places
    return is_named or bool(_nodes_of(function) & set(device.nodes))


def _nodes_of(function: PciFunction) -> set[str]:
    nodes = set()
    for use in function.uses:
        if use.kind is UseKind.DISPLAY:
            nodes.add(f"/dev/{use.name}" if use.name[:6] == "nvidia" else f"/dev/dri/{use.name}")
        elif use.kind is UseKind.SOUND:
            nodes.add("/dev/snd/card")
    return nodes | ({"/dev/kfd"} if function.driver == "amdgpu" else set())


def _means_all(device: GuestDevice, functions: tuple[PciFunction, ...]) -> bool:
    starts = tuple(node.rstrip("*") for node in device.nodes if node.endswith("*"))
    return bool(starts) and any(
        node.startswith(starts) for each in functions for node in _nodes_of(each)
    )


def _has_another(facts: Facts, device: GuestDevice, functions: tuple[PciFunction, ...]) -> bool:
    slots = {each.slot for each in functions}
    others = tuple(each for each in facts.inventory.functions if each.slot not in slots)
    return _means_all(device, others)
