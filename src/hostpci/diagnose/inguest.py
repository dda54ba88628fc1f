"""What a guest said about itself, as lines: the same knowledge that reads a log reads a guest."""

from __future__ import annotations

from collections.abc import Iterator

from ..model.diagnosis import Diagnosis, Severity
from ..model.guest import GuestFacts
from .engine import diagnose

_CLASSES = {0x0300: "VGA compatible controller", 0x0302: "3D controller"}
_VENDORS = {0x10DE: "NVIDIA Corporation", 0x1002: "AMD/ATI", 0x8086: "Intel Corporation"}


def diagnose_guest(facts: GuestFacts) -> tuple[Diagnosis, ...]:
    """What is wrong in it. What is harmless is left out: something failed, and this is not it."""
    found = diagnose(guest_lines(facts))
    return tuple(each for each in found if each.severity is not Severity.INFO)


def guest_lines(facts: GuestFacts) -> tuple[str, ...]:
    """Its cards as a listing, what its kernel said, what the programs said that use a card."""
    return (
        # so that everything below is known to be of a guest; whoever has an agent is one
        "Hypervisor detected: KVM",
        *_listing(facts),
        *facts.log,
        *facts.queries.smi_words,
        *facts.dkms,
    )


def _listing(facts: GuestFacts) -> Iterator[str]:
    for each in facts.cards:
        code = each.pci_class >> 8
        kind = f"{_CLASSES.get(code, 'Display controller')} [{code:04x}]"
        yield f"{each.address} {kind}: {_VENDORS.get(each.vendor, '')} [{each.identity}]"
        if each.driver:
            yield f"\tKernel driver in use: {each.driver}"
