"""``hostpci check --drift``: what has changed since the last apply, and a timer that asks."""

from __future__ import annotations

from ..diagnose.pointers import with_faults
from ..errors import Exit, PartialError, UsageError
from ..model.codec import document
from ..planner.drift import find_drift
from ..render.drift import render_drift
from .context import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..model.plan import Plan

_SCHEMA = "hostpci.drift/1"


def run_drift(context: Context) -> int:
    if context.args.address is not None:
        raise UsageError("drift-address", address=context.args.address)
    if context.args.timer:
        return _set_timer(context)
    facts = context.facts()
    drift = find_drift(facts)
    if context.args.json:
        context.json(with_faults(document(_SCHEMA, drift)))
    else:
        context.prose(render_drift(drift, context.catalog))
        for gap in facts.unmeasured:
            context.tell("scan.unmeasured", what=gap.what, why=gap.why)
    return Exit.FINDINGS if drift.matters else Exit.OK


def _set_timer(context: Context) -> int:
    """Switch the daily check on or off: a run like any other, shown first, undone by undo."""
    from ..executor.apply import Executor, exclusive
    from ..executor.journal import Journal
    from ..executor.tool import install_tool

    if context.option("host"):
        raise UsageError("timer-elsewhere", path=context.args.host)
    machine = context.machine()
    with exclusive(machine):
        if Journal(machine.files).interrupted():
            raise PartialError("interrupted-run", verb="check --drift --timer")
        plan = _timer_plan(context)
        _show(context, plan)
        if not plan.steps:
            return Exit.OK
        if not context.confirm():
            context.tell("confirm.no")
            return Exit.FAILED
        if context.args.timer == "on":
            install_tool(machine.files)
        Executor(machine, context.announce).apply(plan, "timer")
    context.tell(f"drift.timer-{context.args.timer}")
    return Exit.OK


def _timer_plan(context: Context) -> Plan:
    from ..executor.tool import TOOL_ARGV
    from ..facts.drifttimer import read_timer
    from ..facts.look import Look
    from ..planner.drifttimer import timer_plan

    if context.args.timer not in ("on", "off"):
        raise UsageError("timer-word", word=context.args.timer)
    present = read_timer(Look(context.root()))
    return timer_plan(present, TOOL_ARGV, on=context.args.timer == "on", is_live=context.is_live)


def _show(context: Context, plan: Plan) -> None:
    if context.args.json:
        context.json(document("hostpci.plan/1", plan))
        return
    from ..render.plan import render_steps

    for line, level in render_steps(plan, context.catalog):
        context.out(line, level)
