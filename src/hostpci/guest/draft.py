"""A decision while it is being made: what was found, and the steps it calls for, in order."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.finding import Finding
from ..model.guest import Do, Driver, GuestFacts, GuestStep
from .nvidia import ANY, Wish
from .tables import Release, Tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """All that a decision is made of. ``tried``: what this run has done already, to no avail."""

    facts: GuestFacts
    tables: Tables
    release: Release
    wish: Wish = ANY
    tried: frozenset[Do] = frozenset()


class Draft:
    """Grows while a decision is made; nothing outside a decision sees it."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.drivers: dict[str, Driver] = {}
        self._steps: dict[Do, GuestStep] = {}

    def find(self, *findings: Finding) -> None:
        self.findings += findings

    def do(self, step: Do, *words: str, suite: str = "") -> None:
        """Once each: what two cards call for is done together."""
        before = self._steps.get(step, GuestStep(do=step))
        together = tuple(dict.fromkeys((*before.words, *words)))
        self._steps[step] = GuestStep(do=step, words=together, suite=suite or before.suite)

    def has(self, step: Do) -> bool:
        return step in self._steps

    @property
    def is_blocked(self) -> bool:
        return any(each.blocks for each in self.findings)

    @property
    def steps(self) -> tuple[GuestStep, ...]:
        return tuple(self._steps[each] for each in Do if each in self._steps)
