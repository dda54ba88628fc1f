"""``hostpci options [ADDRESS]``: every knob, its state here, its reason and its risk."""

from __future__ import annotations

from ...errors import Exit
from ...model.address import parse_slot
from ...model.codec import document
from ...planner.knobstates import knob_states
from ...render.knobs import render_knobs
from ..context import Context


def run(context: Context) -> int:
    address = context.args.address
    facts = context.facts()
    states = knob_states(facts, parse_slot(address) if address else "")
    if context.args.json:
        context.json(document("hostpci.options/1", states))
        return Exit.OK
    for line, level in render_knobs(states, context.catalog):
        context.out(line, level)
    return Exit.OK
