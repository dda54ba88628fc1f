"""Who draws the screen of the guest, and how does somebody get in when nobody does?"""

from __future__ import annotations

from collections.abc import Iterator

from ..model.finding import Finding, Level
from ..model.vm import VmCase
from ..pve.settings import is_ovmf, read
from .say import fails, holds, unknown

_BLACKWELL = "vm-reset-blackwell"


def is_primary(case: VmCase) -> bool:
    return case.wanted.is_primary or any(each.is_on("x-vga") for each in case.own_lines)


def check_display(case: VmCase) -> Iterator[Finding]:
    """PVE takes the emulated screen away only if ``vga`` is not set (PCI.pm, x-vga)."""
    vm, text = case.vm, case.vm.config.get("vga", "")
    kind = read("vga", text).get("type", "")
    if is_primary(case):
        yield from _as_primary(case, kind)
    elif kind == "none" and case.is_display:
        yield fails("vm-no-screen", Level.NOTICE, vm.name, f"vga: {kind}")
    elif case.is_display:
        yield holds("vm-screen", vm.name, f"vga: {kind or 'std'}")


def _as_primary(case: VmCase, kind: str) -> Iterator[Finding]:
    vm = case.vm
    others = [each.key for each in case.lines if each.is_on("x-vga") and each not in case.own_lines]
    if not case.is_display:
        yield fails("vm-primary-no-display", Level.FAIL, case.slot, blocks=True)
    elif others:
        yield fails("vm-primary-twice", Level.FAIL, vm.name, *others, blocks=True)
    elif kind not in ("", "none"):
        yield fails("vm-two-screens", Level.NOTICE, vm.name, f"vga: {kind}")
    else:
        yield fails("vm-no-console", Level.NOTICE, vm.name, f"vga: {kind or '-'}")


def check_rom(case: VmCase) -> Iterator[Finding]:
    """``romfile`` is a name below /usr/share/kvm; the sysfs ROM of the boot display is a shadow."""
    for each in case.own_lines:
        name = each.options.get("romfile", "")
        if name and case.node.romfiles is None:
            yield unknown("vm-romfile", case.vm.name, name)
        elif name and name not in (case.node.romfiles or ()):
            yield fails("vm-romfile", Level.FAIL, case.vm.name, each.key, blocks=True, file=name)
        elif name:
            yield holds("vm-romfile", case.vm.name, name, file=name)
    functions = case.host.inventory.of_slot(case.slot) if case.host else ()
    for function in functions:
        if function.boot_vga and is_primary(case):
            yield fails("vm-rom-shadow", Level.NOTICE, function.address, "boot_vga=1")


def check_option_rom(case: VmCase) -> Iterator[Finding]:
    """SeaBIOS runs the card's option ROM, which today's cards are not made for any more."""
    has_rom = all(each.options.get("rombar", "1") not in ("0", "off") for each in case.own_lines)
    if case.is_display and has_rom and not is_ovmf(case.vm.config):
        yield fails("vm-option-rom", Level.NOTICE, case.vm.name)
