"""``hostpci claim ADDRESS``: write down that this slot, with these identities, is for guests."""

from __future__ import annotations

from ...model.address import parse_slot
from ...planner.claim import claim_step
from ..change import Change
from ..context import Context


def run(context: Context) -> int:
    slot = parse_slot(context.args.address)
    accept = tuple(context.args.accept)
    return Change(context, "claim").carry_out(lambda facts: claim_step(facts, slot, accept))
