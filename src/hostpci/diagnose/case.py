"""One case: what a scan found, the listings and settings among its lines, and perhaps facts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from ..model.diagnosis import Sighting, Verdict
from ..model.facts import Facts
from .lines import Line, device_in, shown, time_in
from .listings import Listed, Range, read_groups, read_iomem, read_lspci
from .scan import Hit, Hits, Scan
from .settings import (
    CommandLine,
    Kind,
    ModprobeLine,
    VmLine,
    named_ids,
    read_command_lines,
    read_modprobe,
    read_vm,
)

_EXCERPT_LINES = 400
_ADDED = re.compile(r"vfio_pci: add \[([0-9a-f]{4}:[0-9a-f]{4})\[")
_HANDPICKED_LINES = 60
# Marks that say how the machine is set up: of an earlier boot that is no evidence any more
_STATES = frozenset(
    {
        "interrupts-remapped", "interrupts-not-remapped", "iommu-tables-present", "iommu-in-use",
        "root-bus-window", "window-above-4g",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an observation comes to. ``detail`` is a value that a person wants to read."""

    verdict: Verdict
    lines: tuple[Line, ...] = ()
    devices: tuple[str, ...] = ()
    detail: str = ""

    def __bool__(self) -> bool:
        return self.verdict is Verdict.HOLDS


UNKNOWN = Answer(verdict=Verdict.UNKNOWN)


def holds(lines: Iterable[Line] = (), devices: Iterable[str] = (), detail: str = "") -> Answer:
    return Answer(verdict=Verdict.HOLDS, lines=tuple(lines), devices=tuple(devices), detail=detail)


def fails(lines: Iterable[Line] = (), detail: str = "") -> Answer:
    return Answer(verdict=Verdict.FAILS, lines=tuple(lines), detail=detail)


def seen_if(lines: Iterable[Line], devices: Iterable[str] = ()) -> Answer:
    """Holds if there are lines; without any nothing is known."""
    found = tuple(lines)
    return holds(found, devices) if found else UNKNOWN


class Case:
    """Built once all lines are read; what it derives from them is derived once."""

    def __init__(self, scan: Scan, facts: Facts | None) -> None:
        self.facts = facts
        self.total = scan.total
        self._scan = scan
        self.answers: dict[str, Answer] = {}

    @property
    def lines(self) -> list[Line]:
        return self._scan.lines

    @property
    def is_excerpt(self) -> bool:
        """What somebody chose to show, not a whole journal."""
        return self.total <= _EXCERPT_LINES and not self._scan.is_part

    @property
    def is_handpicked(self) -> bool:
        """So few lines that each of them is there for a reason."""
        return self.is_excerpt and self.total <= _HANDPICKED_LINES

    def hits(self, code: str) -> list[Hits]:
        return self._scan.hits.get(code, [])

    def marked(self, *names: str) -> tuple[Hit, ...]:
        """Lines of these marks or faults, in their order."""
        found = [hit for name in names for hits in self.hits(name) for hit in hits.kept]
        return tuple(sorted(found, key=lambda hit: hit.order))

    def lines_of(self, *names: str) -> tuple[Line, ...]:
        lines = tuple(hit.line for hit in self.marked(*names))
        if _STATES.isdisjoint(names):
            return lines
        return tuple(line for line in lines if not line.is_of_past_boot)

    @cached_property
    def listed(self) -> tuple[Listed, ...]:
        return read_lspci(self.lines)

    @cached_property
    def groups(self) -> dict[int, tuple[str, ...]]:
        return read_groups(self.lines, self.listed)

    @cached_property
    def iomem(self) -> tuple[Range, ...]:
        return read_iomem(self.lines)

    @cached_property
    def command_lines(self) -> tuple[CommandLine, ...]:
        return read_command_lines(self.lines)

    @cached_property
    def modprobe(self) -> tuple[ModprobeLine, ...]:
        return read_modprobe(self.lines)

    @cached_property
    def ids(self) -> dict[str, Line]:
        """Those that vfio-pci was told to take, by a file or by what it says itself."""
        added = {
            match[1]: line
            for line in self.lines_of("vfio-added-ids")
            if (match := _ADDED.search(line.text))
        }
        return added | named_ids(self.modprobe, self.command_lines)

    @cached_property
    def vm(self) -> tuple[VmLine, ...]:
        return read_vm(self.lines)

    def listed_at(self, address: str) -> Listed | None:
        return next((each for each in self.listed if each.address == address), None)

    def of_slot(self, slot: str) -> tuple[Listed, ...]:
        return tuple(each for each in self.listed if each.slot == slot)

    def vm_value(self, key: str) -> str:
        return next((each.value for each in self.vm if each.key == key), "")

    @cached_property
    def qemu_lines(self) -> tuple[Line, ...]:
        """Those that give a QEMU a device."""
        return tuple(
            line for line in self.lines
            if "vfio-pci,host" in line.text or "vfio-pci,id" in line.text
        )  # fmt: skip

    @cached_property
    def hostpci(self) -> tuple[VmLine, ...]:
        return tuple(each for each in self.vm if each.key.startswith("hostpci"))

    def running_words(self) -> tuple[tuple[str, Line], ...]:
        """Words that a kernel was started with, or, where none is shown, will be by a file."""
        running = [each for each in self.command_lines if each.kind is Kind.RUNNING]
        return tuple(
            (word, each.line) for each in running or self.command_lines for word in each.words
        )

    def all_words(self) -> tuple[tuple[str, Line], ...]:
        return tuple((word, each.line) for each in self.command_lines for word in each.words)


def sighting(line: Line, count: int = 1) -> Sighting:
    return Sighting(
        line=line.number, text=shown(line.text), time=time_in(line.text),
        device=device_in(line.text), source=line.source, count=count,
    )  # fmt: skip
