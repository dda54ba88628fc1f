"""``hostpci apply [PLAN]``: finish what was interrupted, then carry out the plan."""

from __future__ import annotations

from ...errors import ConflictError, Exit, PartialError
from ...model.codec import document
from ...model.journal import History, Run, RunState
from ...model.plan import BindStep, Plan, Reboot
from ...planner.plan import make_plan
from ..context import Context
from . import plan as plan_verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...executor.apply import Machine


def run(context: Context) -> int:
    saved = plan_verb.load(context.args.plan) if context.args.plan else None
    bind_now = context.args.now or _binds_now(saved)
    if context.args.dry_run:
        plan = _checked(context, saved, bind_now=bind_now)
        plan_verb.show(context, plan)
        context.tell("apply.dry-run")
        return plan_verb.exit_code(plan)
    return _apply(context, saved, bind_now=bind_now)


def _apply(context: Context, saved: Plan | None, *, bind_now: bool) -> int:
    """The part that writes; its code is not even loaded for ``--dry-run``."""
    from ...executor.apply import Executor, exclusive

    outlive_the_terminal()
    machine = context.machine()
    with exclusive(machine.files):
        _finish_interrupted(context, machine)
        plan = _checked(context, saved, bind_now=bind_now)
        if plan.refusals or not plan.steps:
            plan_verb.show(context, plan)
            return plan_verb.exit_code(plan)
        if not context.args.json:
            plan_verb.show(context, plan)
        if saved is None and not context.confirm():
            context.tell("confirm.no")
            return Exit.FAILED
        done = Executor(machine, context.announce).apply(plan, "apply")
        return _conclude(context, done, bind_now=bind_now)


def outlive_the_terminal() -> None:
    """A lost ssh session must not stop a change half-way."""
    import signal

    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _binds_now(plan: Plan | None) -> bool:
    return plan is not None and any(isinstance(step, BindStep) for step in plan.steps)


def _finish_interrupted(context: Context, machine: Machine) -> None:
    """A run that was cut off goes on where it stopped: forwards, or back if it was an undo."""
    from ...executor.apply import Executor
    from ...executor.journal import Journal
    from ...executor.undo import Undoer

    cut = Journal(machine.files).interrupted()
    if cut is None:
        return
    context.tell("apply.resuming", run=cut.number, state=cut.state)
    if cut.state is RunState.UNDOING:
        Undoer(machine, announce=context.announce).undo(History(runs=(cut,)))
    else:
        Executor(machine, context.announce).finish(cut)


def _checked(context: Context, saved: Plan | None, *, bind_now: bool) -> Plan:
    """The plan that today's facts give; a saved one must be exactly that."""
    plan = make_plan(context.facts(), bind_now=bind_now)
    if saved is not None and saved != plan:
        raise ConflictError("plan-stale", path=context.args.plan, diff=_difference(saved, plan))
    return plan


def _difference(saved: Plan, fresh: Plan) -> str:
    import difflib
    import json

    before, after = (
        json.dumps(document(plan_verb.SCHEMA, each), indent=1).splitlines()
        for each in (saved, fresh)
    )
    return "\n".join(difflib.unified_diff(before, after, "saved", "today", lineterm="", n=1))


def _conclude(context: Context, done: Run, *, bind_now: bool) -> int:
    """Look again: after a plan nothing may be left of it."""
    left = make_plan(context.facts(), bind_now=bind_now)
    if context.args.json:
        context.json(document("hostpci.run/1", done))
    if left.steps or left.refusals:
        raise PartialError("not-converged", run=done.number)
    context.tell("apply.done", run=done.number)
    if left.reboot is Reboot.ONE:
        context.tell("apply.reboot", waiting=", ".join(left.pending) or "IOMMU")
        return Exit.REBOOT_NEEDED
    context.tell("apply.next-verify")
    return Exit.OK
