"""The hook script of claims that are lent to a machine only while it runs. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ..model.facts import Facts
from ..model.hook import HOOK, HOOK_MODE, HOOK_TEXT
from ..model.knob import lent_to
from ..model.plan import FileStep, Plan
from .knobs import is_turned


def hook_steps(facts: Facts) -> Iterator[FileStep]:
    """One script serves every machine: it is told which one.

    As long as a machine names it, it stays: without it that machine would not start.
    """
    is_asked = any(lent_to(claim) is not None for claim in facts.claims.claims)
    is_needed = is_asked or is_turned(facts, "keep-hook")
    found, wanted = facts.options.hook, HOOK_TEXT if is_needed else None
    if not is_needed and any(each.has_hook for each in facts.guests):
        return
    if found == wanted:
        return
    if wanted is None:
        yield FileStep(code="hook-remove", path=HOOK, before=found, after=None, mode=HOOK_MODE)
    else:
        yield FileStep(code="hook-write", path=HOOK, before=found, after=wanted, mode=HOOK_MODE)


def needs_tool(plan: Plan) -> bool:
    """True if a file of the plan calls our own copy of this program."""
    return any(isinstance(step, FileStep) and step.code == "hook-write" for step in plan.steps)
