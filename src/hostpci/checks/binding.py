"""Who drives the slot now, who would at the next boot, and where those drivers live."""

from __future__ import annotations

from collections.abc import Iterator

from ..model.cmdline import last_value
from ..model.facts import Facts, InitramfsImage
from ..model.finding import Finding, Level
from ..model.knob import lent_to
from ..model.pci import VFIO
from ..model.rule import BOOT_KEY, rule_path, rule_text
from .say import fails, holds, unknown


def check_drivers(facts: Facts, slot: str) -> Iterator[Finding]:
    for each in facts.inventory.of_slot(slot):
        rivals = ", ".join(each.rivals) or "-"
        if each.driver == VFIO:
            yield holds("driver", each.address, driver=VFIO)
        else:
            yield Finding(
                code="driver-competes", outcome=holds("").outcome, level=Level.INFO,
                subject=each.address, params={"driver": each.driver or "-", "modules": rivals},
            )  # fmt: skip


def check_driver_places(facts: Facts, slot: str) -> Iterator[Finding]:
    """Built in: taken before user space. In the initramfs: before the root's rules. Else fine."""
    functions = facts.inventory.of_slot(slot)
    for each in functions:
        if each.driver not in (None, VFIO, "pci-stub") and each.driver_module is None:
            yield fails(
                "driver-built-in", Level.FAIL, each.address, f"{each.address}/driver/module",
                blocks=True, driver=each.driver or "",
            )  # fmt: skip
    modules = sorted({name for each in functions for name in each.rivals})
    for image in facts.images:
        yield from _image_findings(image, modules)


def _image_findings(image: InitramfsImage, modules: list[str]) -> Iterator[Finding]:
    if image.modules is None:
        yield unknown("driver-in-initramfs", image.path, "lsinitramfs")
        return
    inside = [name for name in modules if name in image.modules]
    if inside:
        yield Finding(
            code="driver-in-initramfs", outcome=fails("", Level.INFO).outcome, level=Level.NOTICE,
            subject=image.path, params={"modules": ", ".join(inside)},
        )  # fmt: skip
    else:
        yield holds("driver-in-initramfs", image.path, modules=", ".join(modules) or "-")


def check_escape(facts: Facts, _slot: str) -> Iterator[Finding]:
    if last_value(facts.kernel.command_line, BOOT_KEY) == "off":
        yield fails("escape-active", Level.NOTICE, "", "/proc/cmdline")


def check_state(facts: Facts, slot: str) -> Iterator[Finding]:
    """Two facts, never mixed: bound in this boot, and persisted for the next."""
    claim = facts.claims.of_slot(slot)
    if claim is None:
        return
    vmid = lent_to(claim)
    if vmid is not None:
        yield holds("lent", slot, vmid=str(vmid))
        return
    on_disk = {each.path: each.text for each in facts.rules}
    path = rule_path(slot)
    if on_disk.get(path) == rule_text(claim):
        yield holds("persisted", slot, path)
    else:
        yield fails("persisted", Level.NOTICE, slot, path)
    drivers = {each.address: each.driver for each in facts.inventory.of_slot(slot)}
    claimed = [each.address for each in claim.functions]
    elsewhere = [address for address in claimed if drivers.get(address) != VFIO]
    if elsewhere:
        evidence = [f"{address}: {drivers.get(address) or '-'}" for address in elsewhere]
        yield fails("bound", Level.NOTICE, slot, *evidence)
    else:
        yield holds("bound", slot)
