"""Devices beside the slot that two lines name: of the machine, of another one, or one of each.

PVE dies when a machine starts on what two of its lines name (PCI.pm "assigned more than once"),
and on what another machine has reserved ("already in use by VMID").
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from ..model.address import is_in_slot
from ..model.finding import Finding, Level
from ..model.guests import Guest, GuestDevice, GuestKind
from ..model.vm import HOSTPCI, HostPci, VmCase
from .say import fails


def check_lines(case: VmCase) -> Iterator[Finding]:
    own = [each.as_device() for each in _beside(case)]
    guests = case.host.guests if case.host is not None else case.node.others
    others = [each for each in guests if each.kind is GuestKind.VM and each.number != case.vm.vmid]
    for one, two, place in _twice(own):
        yield fails(
            "vm-lines-twice", Level.FAIL, f"{case.vm.name} {one.key}", _told(two), blocks=True,
            key=one.key, other=two.key, place=place,
        )  # fmt: skip
    for guest in others:
        yield from _shared(case, own, guest)
        for one, two, place in _twice(_next(guest)):
            yield fails(
                "vm-others-lines-twice", Level.NOTICE, f"{guest.name} {one.key}", _told(two),
                key=one.key, other=two.key, place=place,
            )  # fmt: skip


def _beside(case: VmCase) -> Iterator[HostPci]:
    """Two lines of the slot itself are told of by ``check_overlap``."""
    return (each for each in case.lines if not each.is_of(case.slot))


def _next(guest: Guest) -> list[GuestDevice]:
    """What its next start uses: what is pending for a line takes its place."""
    ordered = sorted(guest.devices, key=lambda each: each.is_pending)
    return list({each.key: each for each in ordered if HOSTPCI.fullmatch(each.key)}.values())


def _twice(devices: list[GuestDevice]) -> Iterator[tuple[GuestDevice, GuestDevice, str]]:
    for one, two in combinations(devices, 2):
        place = _common(one, two)
        if place:
            yield one, two, place


def _shared(case: VmCase, own: list[GuestDevice], guest: Guest) -> Iterator[Finding]:
    """A running machine has what it was started with, whatever its lines say by now."""
    theirs = guest.devices if guest.is_running is not False else tuple(_next(guest))
    for one in own:
        found = [(two, place) for two in theirs if (place := _common(one, two))]
        if found:
            two, place = found[0]
            yield fails(
                "vm-line-shared",
                Level.NOTICE if guest.is_running is False else Level.WARN,
                f"{case.vm.name} {one.key}", f"{guest.name} {_told(two)}",
                key=one.key, guest=guest.name, place=place,
            )  # fmt: skip


def _told(device: GuestDevice) -> str:
    """``hostpci1: 0000:02:00``, or the mapping by which it is that."""
    name = f" ({device.mapping})" if device.mapping else ""
    return f"{device.key}: {';'.join(device.places)}{name}"


def _common(one: GuestDevice, two: GuestDevice) -> str:
    """A place that both need: the same function, or one of a slot that the other has whole."""
    for first in one.claims:
        for second in two.claims:
            shorter, longer = sorted((first, second), key=len)
            if is_in_slot(longer, shorter):
                return longer
    return ""
