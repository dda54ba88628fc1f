"""``hostpci adopt [--remove] [CODE...]``: own what a guide left by hand, or take it out."""

from __future__ import annotations

from ...planner.adopt import adopt_plan
from ..change import Change
from ..context import Context
from .apply import outlive_the_terminal


def run(context: Context) -> int:
    remove, codes = context.args.remove, tuple(context.args.codes)
    if not context.args.dry_run:
        outlive_the_terminal()
    return Change(context, "adopt").carry_out_plan(
        lambda facts: adopt_plan(facts, remove=remove, codes=codes)
    )
