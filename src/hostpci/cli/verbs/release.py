"""``hostpci release ADDRESS``: the slot is the host's again; the next apply makes it so."""

from __future__ import annotations

from ...errors import UsageError
from ...facts.claims import PATH, without_claim
from ...model.address import parse_slot
from ...model.facts import Facts
from ...model.plan import FileStep
from ..change import Change
from ..context import Context


def run(context: Context) -> int:
    slot = parse_slot(context.args.address)
    return Change(context, "release").carry_out(lambda facts: release_step(facts, slot))


def release_step(facts: Facts, slot: str) -> FileStep:
    text = facts.claims.text
    if text is None or facts.claims.of_slot(slot) is None:
        raise UsageError("not-claimed", slot=slot)
    return FileStep(code="claim-remove", path=PATH, before=text, after=without_claim(text, slot))
