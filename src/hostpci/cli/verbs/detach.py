"""``hostpci detach SLOT --vm N``: the machine starts without it; the claim stays."""

from __future__ import annotations

from ...errors import Exit
from ...model.codec import document
from ...model.plan import Plan
from ...model.vm import Wanted
from ...planner.attach import plan_detach
from ..context import Context
from ..pvechange import carry_out, read
from .attach import asked


def run(context: Context) -> int:
    slot, vmid = asked(context)
    changed = False

    def shown() -> Plan:
        nonlocal changed
        plan = plan_detach(read(context, vmid, Wanted(slot=slot)))
        changed = bool(plan.steps)
        _show(context, plan, slot, vmid)
        return plan

    code = carry_out(context, "detach", shown)
    if code == Exit.OK and changed:
        context.tell("detach.done", vmid=vmid, slot=slot)
    return code


def _show(context: Context, plan: Plan, slot: str, vmid: int) -> None:
    if context.args.json:
        context.json(document("hostpci.plan/1", plan))
        return
    from ...render.plan import render_plan, render_steps

    if not plan.steps and not plan.refusals:
        context.out(context.catalog.text("detach.nothing", vmid=vmid, slot=slot), "PASS")
        return
    render = render_plan if plan.refusals else render_steps
    for line, level in render(plan, context.catalog):
        context.out(line, level)
