"""Screens and keyboards: is there a way in at the machine once the slot is gone?"""

from __future__ import annotations

from collections.abc import Iterator

from ..model.facts import Facts
from ..model.finding import Finding, Level
from ..model.pci import VFIO, PciFunction, UseKind
from ..model.risk import Risk
from .say import fails, holds, unknown

_VGA_CLASS, _3D_CLASS = 0x0300, 0x0302
_SERIAL = ("console=ttyS", "console=ttyAMA", "console=ttyUSB", "console=hvc")


def _leaving(facts: Facts, slot: str) -> set[str]:
    """Addresses that the host is without once every claim holds: this slot, its group, others'."""
    slots = {slot, *(claim.slot for claim in facts.claims.claims)}
    strangers = {each.address for each in facts.inventory.strangers_of(slot)}
    return strangers | {each.address for each in facts.inventory.functions if each.slot in slots}


def check_boot_vga(facts: Facts, slot: str) -> Iterator[Finding]:
    # The kernel shows boot_vga for VGA devices only (pci-sysfs.c pci_dev_attrs_are_visible).
    for each in facts.inventory.of_slot(slot):
        if each.class_code >> 8 != _VGA_CLASS:
            continue
        if each.boot_vga is None:
            yield unknown("boot-vga", each.address, "boot_vga")
        elif not each.boot_vga:
            yield holds("boot-vga", each.address)
        else:
            yield _boot_vga(facts, slot, each)


def _boot_vga(facts: Facts, slot: str, card: PciFunction) -> Finding:
    """Another screen is a console; a serial line is one for whoever has the cable."""
    leaving = _leaving(facts, slot)
    others = [
        each.address
        for each in facts.inventory.functions
        # A 3D controller has no screen, and neither has what is on vfio-pci
        if each.is_display and each.class_code >> 8 != _3D_CLASS and each.driver != VFIO
        if each.address not in leaving
    ]
    serial = [word for word in facts.kernel.command_line if word.startswith(_SERIAL)]
    if others or serial:
        level = Level.NOTICE if others else Level.WARN
        evidence = ("boot_vga=1", *others, *serial)
        return fails("boot-vga", level, card.address, *evidence, others=str(len(others)))
    return fails(
        "boot-vga-only", Level.FAIL, card.address, "boot_vga=1", consent=Risk.BOOT_VGA_ONLY
    )


def check_last_input(facts: Facts, slot: str) -> Iterator[Finding]:
    leaving = _leaving(facts, slot)
    # What goes with another claim was accepted there
    gone = (*facts.inventory.of_slot(slot), *facts.inventory.strangers_of(slot))
    kept = [each for each in facts.inventory.functions if each.address not in leaving]
    lost = [use.detail or use.name for each in gone for use in each.uses if _is_input(use.kind)]
    left = [use for each in kept for use in each.uses if _is_input(use.kind)]
    if lost and not left and not facts.other_inputs:
        yield fails("last-usb-input", Level.FAIL, slot, *lost, consent=Risk.LAST_USB_INPUT)


def _is_input(kind: UseKind) -> bool:
    return kind is UseKind.INPUT
