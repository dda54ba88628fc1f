"""``hostpci release ADDRESS``: the slot is the host's again; the next apply makes it so."""

from __future__ import annotations

from ...model.address import parse_slot
from ...planner.claim import release_step
from ..change import Change
from ..context import Context


def run(context: Context) -> int:
    slot = parse_slot(context.args.address)
    return Change(context, "release").carry_out(lambda facts: release_step(facts, slot))
