"""A claimed address where somebody else sits: where is who was claimed? Nothing is ever bound there
but by a claim of that address."""

from __future__ import annotations

from collections.abc import Iterator

from ..model.claim import Claim
from ..model.facts import Facts
from ..model.finding import Finding, Level
from .say import fails

CODES = ("identity", "identity-moved", "identity-twice", "identity-gone")


def check_elsewhere(facts: Facts, slot: str) -> Iterator[Finding]:
    claim = facts.claims.of_slot(slot)
    if claim is None or _who_is_at(facts, slot) == _who(claim):
        return
    places = _places_of(facts, claim)
    if not places:
        yield fails("identity-gone", Level.NOTICE, slot)
    elif len(places) == 1:
        yield fails("identity-moved", Level.FAIL, slot, *places, blocks=True, now=places[0])
    else:
        now = ", ".join(places)
        yield fails("identity-twice", Level.FAIL, slot, *places, blocks=True, now=now)


def _who(claim: Claim) -> dict[str, object]:
    """Number of the function -> identity."""
    return {each.address.rpartition(".")[2]: each.identity for each in claim.functions}


def _who_is_at(facts: Facts, slot: str) -> dict[str, object]:
    functions = facts.inventory.of_slot(slot)
    return {each.address.rpartition(".")[2]: each.identity for each in functions}


def _places_of(facts: Facts, claim: Claim) -> list[str]:
    """Slots with exactly these functions; one that is claimed itself is accounted for."""
    claimed = {each.slot for each in facts.claims.claims}
    slots = dict.fromkeys(each.slot for each in facts.inventory.functions)
    wanted = _who(claim)
    return [slot for slot in slots if slot not in claimed and _who_is_at(facts, slot) == wanted]
