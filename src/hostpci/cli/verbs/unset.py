"""``hostpci unset NAME [ADDRESS]``: turn a knob back; the next apply makes it so."""

from __future__ import annotations

from ...model.address import parse_slot
from ...planner.turn import unset_step
from ..change import Change
from ..context import Context


def run(context: Context) -> int:
    name, address = context.args.knob, context.args.address
    slot = parse_slot(address) if address else ""
    return Change(context, "unset").carry_out(lambda facts: unset_step(facts, name, slot))
