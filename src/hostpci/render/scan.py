"""The inventory for a person: what goes together, who has it, what the host uses it for."""

from __future__ import annotations

from collections.abc import Iterator

from ..i18n import Catalog
from ..model.pci import Bar, Inventory, PciFunction, Use

_UNITS = ("", "K", "M", "G", "T")
_STEP = 1024


def render_inventory(
    inventory: Inventory, catalog: Catalog, *, full: bool
) -> Iterator[tuple[str, str]]:
    """Yield (line, level) group by group; functions without a group come last."""
    shown: set[str] = set()
    for group in inventory.groups:
        members = [each for each in inventory.functions if each.iommu_group == group.number]
        shown |= {each.address for each in members}
        yield _group_title(catalog, group.number, members), "HEAD"
        for each in members:
            yield from _render_function(each, catalog, full=full)
    rest = [each for each in inventory.functions if each.address not in shown]
    displays = sorted({each.slot for each in inventory.functions if each.is_display})
    if rest:
        yield catalog.text("scan.no-group"), "HEAD"
        for each in rest:
            yield from _render_function(each, catalog, full=full)
    for slot in displays:
        yield "", ""
        yield catalog.text(f"scan.display-{_prospect(inventory, slot)}", slot=slot), "HEAD"


def _prospect(inventory: Inventory, slot: str) -> str:
    """What stands between a display device and a guest, in one word."""
    functions = inventory.of_slot(slot)
    if any(each.iommu_group is None for each in functions):
        return "no-group"
    if any(each.is_critical for each in (*functions, *inventory.strangers_of(slot))):
        return "needed"
    if inventory.strangers_of(slot):
        return "shared"
    return "console" if any(each.boot_vga for each in functions) else "free"


def _group_title(catalog: Catalog, number: int, members: list[PciFunction]) -> str:
    critical = any(each.is_critical for each in members)
    slots = {each.slot for each in members if not each.is_bridge}
    title = catalog.text("scan.group", number=number)
    if critical:
        return f"{title}  {catalog.text('scan.host-needs-it')}"
    return f"{title}  {catalog.text('scan.shared')}" if len(slots) > 1 else title


def _render_function(
    function: PciFunction, catalog: Catalog, *, full: bool
) -> Iterator[tuple[str, str]]:
    name = " ".join(filter(None, (function.vendor_name, function.device_name)))
    who = function.identity
    kind = function.class_name or catalog.text("scan.unknown-class")
    ids = f"[{who.vendor}:{who.device}]"
    yield f"  {function.address}  {kind} [{function.class_code >> 8:04x}]  {name} {ids}", ""
    if not function.is_bridge or full:
        yield "      " + " · ".join(_facts(function, catalog)), ""
    for use in function.uses:
        level = "WARN" if use.critical else ""
        yield "      " + catalog.text(f"use.{use.kind}", name=_use_name(use)), level
    if full:
        yield from _details(function, catalog)


def _use_name(use: Use) -> str:
    detail = f" ({use.detail})" if use.detail else ""
    holders = f" <- {', '.join(use.holders)}" if use.holders else ""
    return f"{use.name}{detail}{holders}"


def _facts(function: PciFunction, catalog: Catalog) -> Iterator[str]:
    driver = function.driver or catalog.text("scan.no-driver")
    yield catalog.text("scan.driver", driver=driver)
    mine = {function.driver_module, (function.driver or "").replace("-", "_")}
    others = [name for name in function.modules if name not in mine]
    if others:
        yield catalog.text("scan.candidates", modules=", ".join(others))
    if function.driver_override:
        yield catalog.text("scan.override", driver=function.driver_override)
    methods = " ".join(function.reset_methods) or catalog.text("scan.no-reset")
    yield catalog.text("scan.reset", methods=methods)
    if function.power_state:
        yield function.power_state
    if function.boot_vga:
        yield catalog.text("scan.boot-vga")


def _details(function: PciFunction, catalog: Catalog) -> Iterator[tuple[str, str]]:
    who = function.identity
    subsystem = f"{who.subsystem_vendor}:{who.subsystem_device}"
    yield (
        "      "
        + catalog.text("scan.identity", subsystem=subsystem, revision=f"{function.revision:02x}"),
        "",
    )
    if function.link:
        link = function.link
        now, best = f"{link.speed} x{link.width}", f"{link.max_speed} x{link.max_width}"
        yield "      " + catalog.text("scan.link", now=now, best=best), ""
    if function.bars:
        yield "      " + ", ".join(_bar(bar) for bar in function.bars), ""
    if function.parent:
        yield "      " + catalog.text("scan.parent", address=function.parent), ""


def _bar(bar: Bar) -> str:
    kind = "I/O" if bar.is_io else "64-bit" if bar.is_64bit else "32-bit"
    prefetch = " prefetchable" if bar.is_prefetchable else ""
    return f"BAR{bar.index} {size(bar.size_bytes)} {kind}{prefetch}"


def size(count_bytes: int) -> str:
    """``268435456`` -> ``256M``."""
    value, unit = count_bytes, 0
    while value >= _STEP and value % _STEP == 0 and unit < len(_UNITS) - 1:
        value, unit = value // _STEP, unit + 1
    return f"{value}{_UNITS[unit]}"
