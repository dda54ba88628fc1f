"""Names from the system's pci.ids, and candidate modules from the kernel's modules.alias.

Both files are large and mostly about hardware that is not here, so each is read through a
filter that keeps the lines about the ids at hand. The filters are idempotent: what a capture
keeps of the file answers the same questions as the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from .look import Look

PCI_IDS = "/usr/share/misc/pci.ids"
_FIELD = r"(\*|[0-9A-F]{8})"
_BYTE = r"(\*|[0-9A-F]{2})"
_ALIAS = re.compile(rf"pci:v{_FIELD}d{_FIELD}sv{_FIELD}sd{_FIELD}bc{_BYTE}sc{_BYTE}i{_BYTE}\*?")
_ALIAS_WORDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Keys: ``10de`` / ``10de:2d04`` / ``C 03`` / ``C 03:00``."""

    table: dict[str, str]

    def vendor(self, vendor: str) -> str:
        return self.table.get(vendor, "")

    def device(self, vendor: str, device: str) -> str:
        return self.table.get(f"{vendor}:{device}", "")

    def of_class(self, class_code: int) -> str:
        base, sub = f"C {class_code >> 16:02x}", f"{class_code >> 8 & 0xFF:02x}"
        return self.table.get(f"{base}:{sub}") or self.table.get(base, "")


def read_names(look: Look, ids: Sequence[tuple[str, str]], classes: Sequence[int]) -> Names:
    """Names for (vendor, device) pairs and class codes; empty where the system has no pci.ids."""
    wanted = {vendor for vendor, _ in ids} | {f"C {code >> 16:02x}" for code in classes}
    wanted |= {f"{vendor}:{device}" for vendor, device in ids}
    wanted |= {f"C {code >> 16:02x}:{code >> 8 & 0xFF:02x}" for code in classes}
    kept = look.lines(PCI_IDS, _names_filter(wanted)) or ()
    return Names(table=dict(_named(kept)))


def _names_filter(wanted: set[str]) -> Callable[[Iterable[str]], Iterable[str]]:
    def keep(lines: Iterable[str]) -> Iterator[str]:
        parent = ""
        for line in lines:
            if not line or line[0] == "#" or line[:2] == "\t\t":
                continue
            if line[0] == "\t":
                if parent and f"{parent}:{line[1:].partition('  ')[0]}" in wanted:
                    yield line
                continue
            key = line.partition("  ")[0]
            parent = key if key in wanted else ""
            if parent:
                yield line

    return keep


def _named(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    parent = ""
    for line in lines:
        key, _, name = line.strip().partition("  ")
        if line.startswith("\t"):
            yield f"{parent}:{key}", name
        else:
            parent = key
            yield key, name


def read_candidates(look: Look, release: str, aliases: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Modalias -> modules of kernel ``release`` that say they drive it, sorted.

    An alias that starts ``vfio_pci:`` matches only with driver_override and is not among them.
    """
    present = {alias: match.groups() for alias in aliases if (match := _ALIAS.fullmatch(alias))}
    vendors = {groups[0] for groups in present.values()} | {"*"}

    def keep(lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            if line.startswith("alias pci:v") and _vendor_of(line) in vendors:
                pattern, _ = _alias_fields(line)
                if pattern and any(_matches(pattern, fields) for fields in present.values()):
                    yield line

    kept = look.lines(f"/lib/modules/{release}/modules.alias", keep) or ()
    found: dict[str, set[str]] = {alias: set() for alias in aliases}
    for line in kept:
        pattern, module = _alias_fields(line)
        for alias, fields in present.items():
            if pattern and _matches(pattern, fields):
                found[alias].add(module)
    return {alias: tuple(sorted(modules)) for alias, modules in found.items()}


def _vendor_of(line: str) -> str:
    vendor = line.removeprefix("alias pci:v")
    return "*" if vendor.startswith("*") else vendor[:8]


def _alias_fields(line: str) -> tuple[tuple[str, ...], str]:
    """Fields and module of ``alias PATTERN MODULE``; no fields if the line is not that."""
    words = line.split()
    match = _ALIAS.fullmatch(words[1]) if len(words) == _ALIAS_WORDS else None
    return (match.groups(), words[2].replace("-", "_")) if match else ((), "")


def _matches(pattern: tuple[str, ...], fields: tuple[str, ...]) -> bool:
    return all(want in ("*", have) for want, have in zip(pattern, fields, strict=True))
