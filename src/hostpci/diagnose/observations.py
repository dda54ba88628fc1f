"""Named observations: what a log, or the facts of its host, say for or against a cause.

Each takes a case and gives an Answer; what nothing was read about is unknown. A mark of
``marks.toml`` is an observation of its own name.
"""

from __future__ import annotations

from collections.abc import Callable

from ..model.facts import Facts
from .case import UNKNOWN, Answer, Case, seen_if

Observer = Callable[[Case], Answer]
FactObserver = Callable[[Facts, Case], Answer]
IN_LOG: dict[str, Observer] = {}
IN_FACTS: dict[str, FactObserver] = {}


def observes(name: str) -> Callable[[Observer], Observer]:
    def register(function: Observer) -> Observer:
        IN_LOG[name] = function
        return function

    return register


def observes_facts(name: str) -> Callable[[FactObserver], FactObserver]:
    def register(function: FactObserver) -> FactObserver:
        IN_FACTS[name] = function
        return function

    return register


def answer(case: Case, name: str) -> Answer:
    """Answered once a case. The log comes first: it may be of another time than the facts."""
    found = case.answers.get(name)
    if found is None:
        case.answers[name] = UNKNOWN  # ends a circle
        found = case.answers[name] = _answer(case, name)
    return found


def _answer(case: Case, name: str) -> Answer:
    by_log = IN_LOG.get(name)
    found = by_log(case) if by_log else seen_if(case.lines_of(name))
    if found.verdict is UNKNOWN.verdict and case.facts is not None and name in IN_FACTS:
        return IN_FACTS[name](case.facts, case)
    return found
