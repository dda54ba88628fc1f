"""``hostpci apply [PLAN]``: finish what was interrupted, then carry out the plan."""

from __future__ import annotations

from ...errors import ConflictError, Exit, PartialError, RefusedError, ToolError, UsageError
from ...model.codec import document
from ...model.journal import History, Run, RunState
from ...model.plan import BindStep, Plan, Reboot
from ...planner.plan import make_plan, why_not_now
from ...render.plan import render_steps
from ..context import Context
from ..remember import remember
from . import plan as plan_verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...executor.apply import Machine


def run(context: Context) -> int:
    saved = plan_verb.load(context.args.plan) if context.args.plan else None
    if not context.args.now and _binds_now(saved):
        raise UsageError("plan-needs-now", path=context.args.plan)
    if context.args.dry_run:
        plan = _checked(context, saved)
        plan_verb.show(context, plan)
        context.tell("apply.dry-run")
        return plan_verb.exit_code(plan)
    return _apply(context, saved)


def _apply(context: Context, saved: Plan | None) -> int:
    """The part that writes; its code is not even loaded for ``--dry-run``."""
    from ...executor.apply import exclusive

    outlive_the_terminal()
    machine = context.machine()
    with exclusive(machine):
        if not _finish_interrupted(context, machine, saved):
            context.tell("confirm.no")
            return Exit.FAILED
        plan = _checked(context, saved)
        plan_verb.show(context, plan)
        if plan.refusals or not plan.steps:
            if not plan.refusals:
                remember(context, machine, context.facts())
            return plan_verb.exit_code(plan)
        if not context.confirm():
            context.tell("confirm.no")
            return Exit.FAILED
        return _conclude(context, machine, _carry_out(context, machine, plan))


def _carry_out(context: Context, machine: Machine, plan: Plan) -> Run:
    """Apply; a stop after the first step was begun is told by its own exit code."""
    from ...executor.apply import Executor
    from ...executor.journal import Journal

    try:
        return Executor(machine, context.announce).apply(plan, "apply")
    except ToolError as error:
        cut = Journal(machine.files).interrupted()
        if cut is not None and cut.intent(0) is not None:
            error.exit = Exit.PARTIAL
        raise


def outlive_the_terminal() -> None:
    """A lost ssh session must not stop a change half-way."""
    import signal

    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _binds_now(plan: Plan | None) -> bool:
    return plan is not None and any(isinstance(step, BindStep) for step in plan.steps)


def _finish_interrupted(context: Context, machine: Machine, saved: Plan | None) -> bool:
    """A run that was cut off goes on where it stopped: forwards, or back if it was an undo.

    Returns False if the person does not want that. A saved plan knows nothing of it.
    """
    from ...executor.apply import Executor
    from ...executor.journal import Journal
    from ...executor.undo import Undoer

    cut = Journal(machine.files).interrupted()
    if cut is None:
        return True
    if saved is not None:
        raise PartialError("interrupted-run", verb="apply")
    context.tell(f"apply.resuming-{cut.state}", run=cut.number)
    if not context.args.json:
        for line, level in render_steps(cut.begin.plan, context.catalog):
            context.out(line, level)
    if not context.confirm():
        return False
    if cut.state is RunState.UNDOING:
        Undoer(machine, announce=context.announce).undo(History(runs=(cut,)))
        return True
    _refuse_unsafe_binds(context, cut)
    Executor(machine, context.announce).finish(cut)
    return True


def _refuse_unsafe_binds(context: Context, cut: Run) -> None:
    """What a run was about to bind may be in use by now."""
    steps = enumerate(cut.begin.plan.steps)
    open_binds = [step for n, step in steps if isinstance(step, BindStep) and not cut.done(n)]
    if not open_binds:
        return
    facts = context.facts()
    for claim in facts.claims.claims:
        reason = why_not_now(facts, claim)
        if reason is not None:
            raise RefusedError("resume-unsafe", address=reason.subject, reason=reason.code)


def _checked(context: Context, saved: Plan | None) -> Plan:
    """The plan that today's facts give; a saved one must be exactly that."""
    plan = make_plan(context.facts(), bind_now=context.args.now)
    plan_verb.tell_of_interrupted(context)
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


def _conclude(context: Context, machine: Machine, done: Run) -> int:
    """Look again: after a plan nothing may be left of it."""
    facts = context.facts()
    left = make_plan(facts, bind_now=context.args.now)
    if context.args.json:
        context.json(document("hostpci.run/1", done))
    if left.steps or left.refusals:
        raise PartialError("not-converged", run=done.number)
    remember(context, machine, facts)
    context.tell("apply.done", run=done.number)
    if left.reboot is Reboot.ONE:
        context.tell("apply.reboot", waiting=", ".join(left.pending) or "IOMMU")
        return Exit.REBOOT_NEEDED
    context.tell("apply.next-verify")
    return Exit.OK
