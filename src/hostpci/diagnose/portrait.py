"""What the facts of a host would look like if its owner had pasted them below the log."""

from __future__ import annotations

from collections.abc import Iterator

from ..model.facts import Facts
from ..model.log import Log
from ..model.pci import VFIO, PciFunction

# Of a class without a name; its number always stands beside it
_UNNAMED = "Unassigned class"


def portrait(facts: Facts) -> tuple[Log, ...]:
    """The listing, the groups and the settings that observations read where people paste them.

    So a rule that knows what a pasted listing means knows it of the host itself, too.
    """
    functions = facts.inventory.functions
    running = " ".join(facts.kernel.command_line)
    found = (
        Log(source="lspci -nnk", lines=tuple(_listing(functions))),
        Log(source="/sys/kernel/iommu_groups", lines=tuple(_groups(facts))),
        Log(source="/proc/cmdline", lines=(f"Kernel command line: {running}",) if running else ()),
        *_settings(facts),
    )
    return tuple(each for each in found if each.lines)


def _listing(functions: tuple[PciFunction, ...]) -> Iterator[str]:
    for each in functions:
        who = f"{each.identity.vendor}:{each.identity.device}"
        name = f"{each.vendor_name} {each.device_name}".strip()
        kind = f"{each.class_name or _UNNAMED} [{each.class_code >> 8:04x}]"
        yield f"{each.address} {kind}: {name} [{who}] (rev {each.revision:02x})"
        if each.driver:
            yield f"\tKernel driver in use: {each.driver}"


def _groups(facts: Facts) -> Iterator[str]:
    """Those with something in them that is meant for a machine: who shares others is no matter."""
    slots = {each.slot for each in facts.claims.claims}
    functions = facts.inventory.functions
    wanted = {
        each.iommu_group for each in functions if each.driver == VFIO or each.slot in slots
    } - {None}
    for each in functions:
        if each.iommu_group in wanted:
            yield f"iommu_groups/{each.iommu_group}/devices/{each.address}"


def _settings(facts: Facts) -> Iterator[Log]:
    """Lines of modprobe's files; words of the command line are shown as a whole."""
    by_file: dict[str, list[str]] = {}
    for each in facts.settings:
        path = each.where.rpartition(":")[0]
        if "modprobe.d" in path:
            by_file.setdefault(path, []).append(each.line)
    for path, lines in by_file.items():
        yield Log(source=path, lines=tuple(dict.fromkeys(lines)))
