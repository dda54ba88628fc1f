"""The resource mapping that a machine may name instead of an address."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..model.finding import Finding, Level
from ..model.vm import VmCase
from ..pve.settings import read_entry
from .say import fails, holds, unknown

FILE = "/etc/pve/mapping/pci.cfg"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]+")


def entry_text(case: VmCase) -> str:
    """The ``map`` line of this slot on this node, as PVE's own tools write it.

    One entry for the whole slot, with what function 0 is. PVE compares at every start, and also
    misses what is not written (Mapping/PCI.pm assert_valid).
    """
    devices = case.node.of_slot(case.slot)
    first = next((each for each in devices if each.address.endswith(".0")), None)
    if first is None:
        return ""
    values = {
        "id": first.ids,
        "iommugroup": str(first.group),
        "node": case.node.name,
        "path": case.slot,
    }
    if first.subsystem:
        values["subsystem-id"] = first.subsystem
    return ",".join(f"{key}={value}" for key, value in values.items())


def entries_here(case: VmCase, name: str) -> tuple[str, ...]:
    mapping = case.node.mapping(name)
    entries = mapping.entries if mapping else ()
    return tuple(each for each in entries if read_entry(each).get("node") == case.node.name)


def same_entry(one: str, other: str) -> bool:
    """Equal but for order, and for a description that somebody added."""
    first, second = read_entry(one), read_entry(other)
    for values in (first, second):
        values.pop("description", None)
    return first == second


def check_mapping_file(case: VmCase) -> Iterator[Finding]:
    """PVE keeps a section without a valid ``map`` as nothing, and dies when it writes the file
    (pve-common PVE/SectionConfig.pm, "unknown section type"); other lines are lost then.
    """
    node, writes = case.node, _writes(case)
    if node.lost_mappings:
        yield fails(
            "vm-mapping-lost", Level.FAIL if writes else Level.WARN, FILE, *node.lost_mappings,
            blocks=writes, names=", ".join(node.lost_mappings),
        )  # fmt: skip
    elif node.lost_mappings is None and writes:
        yield unknown("vm-mapping-lost", FILE)
    elif node.lost_mapping_lines:
        yield fails(
            "vm-mapping-lines", Level.FAIL if writes else Level.WARN, FILE,
            *node.lost_mapping_lines, blocks=writes,
        )  # fmt: skip


def _writes(case: VmCase) -> bool:
    """This attach puts something into the file."""
    if not case.wanted.mapping:
        return False
    here = entries_here(case, case.wanted.mapping)
    return not (here and same_entry(here[0], entry_text(case)))


def check_mapping(case: VmCase) -> Iterator[Finding]:
    name = case.wanted.mapping
    if not name:
        return
    mapping, here = case.node.mapping(name), entries_here(case, name)
    if not _NAME.fullmatch(name):
        yield fails("vm-mapping-name", Level.FAIL, name, blocks=True)
    elif mapping is not None and mapping.is_mdev:
        yield fails("vm-mapping-mdev", Level.FAIL, name, blocks=True)
    elif len(here) > 1 or any(read_entry(each).get("path") != case.slot for each in here):
        yield fails(
            "vm-mapping-other", Level.FAIL, name, *here, blocks=True, slot=case.slot,
            node=case.node.name,
        )  # fmt: skip
    elif here and not same_entry(here[0], entry_text(case)):
        yield fails("vm-mapping-stale", Level.NOTICE, name, *here, slot=case.slot)
    elif here:
        yield holds("vm-mapping", name, *here)
    elif mapping is not None and mapping.entries:
        yield fails("vm-mapping-elsewhere", Level.INFO, name, *mapping.entries)
