"""``hostpci set NAME[=VALUE] [ADDRESS]``: turn a knob of the host, or of a claim."""

from __future__ import annotations

from ...model.address import parse_slot
from ...planner.turn import set_step
from ..change import Change
from ..context import Context


def run(context: Context) -> int:
    option, address = context.args.knob, context.args.address
    slot = parse_slot(address) if address else ""
    return Change(context, "set").carry_out(lambda facts: set_step(facts, option, slot))
