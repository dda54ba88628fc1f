"""``hostpci apply [PLAN]``: finish what was interrupted, then carry out the plan."""

from __future__ import annotations

from ...errors import (
    ConflictError,
    DeclinedError,
    Exit,
    PartialError,
    RefusedError,
    ToolError,
    UsageError,
)
from ...model.codec import document
from ...model.journal import History, Run, RunState
from ...model.plan import BindStep, Plan, Reboot
from ...model.trial import Trial
from ...planner.hook import needs_tool
from ...planner.plan import make_plan, why_not_now
from ...planner.trial import TrialPlan, open_trial
from ...render.plan import render_steps
from ..context import Context
from ..remember import remember
from ..trial import asked_trial, prepare, refuse_while_open
from . import plan as plan_verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...executor.apply import Machine
    from ...executor.journal import Journal


def run(context: Context) -> int:
    trial = asked_trial(context)
    saved = plan_verb.load(context.args.plan) if context.args.plan else None
    if not context.args.now and _binds_now(saved):
        raise UsageError("plan-needs-now", path=context.args.plan)
    if context.args.dry_run:
        plan = _checked(context, saved)
        show(context, plan, prepare(context, trial, plan))
        context.tell("apply.dry-run")
        return plan_verb.exit_code(plan)
    return _apply(context, saved, trial)


def _apply(context: Context, saved: Plan | None, trial: Trial | None) -> int:
    """The part that writes; its code is not even loaded for ``--dry-run``."""
    from ...executor.apply import exclusive

    outlive_the_terminal()
    machine = context.machine()
    with exclusive(machine):
        if not _finish_interrupted(context, machine, saved):
            context.tell("confirm.no")
            return Exit.FAILED
        plan = _checked(context, saved)
        if plan.steps:
            refuse_while_open(context.history())
        prepared = prepare(context, trial, plan)
        show(context, plan, prepared)
        if plan.refusals or not plan.steps:
            if not plan.refusals:
                remember(context, machine, context.facts())
            return plan_verb.exit_code(plan)
        if not context.confirm():
            context.tell("confirm.no")
            return Exit.FAILED
        done = _carry_out(context, machine, plan, prepared)
        return _conclude(context, machine, done, prepared)


def show(context: Context, plan: Plan, prepared: TrialPlan | None) -> None:
    """The plan, after what has to be in place before it."""
    if prepared is None or context.args.json:
        plan_verb.show(context, plan)
        return
    from ...render.findings import render_finding

    context.out(context.catalog.text("trial.plan-head"), "HEAD")
    for line, level in render_steps(prepared.plan, context.catalog):
        context.out(line, level)
    for note in prepared.plan.notes:
        for line, level in render_finding(note, context.catalog):
            context.out(line, level)
    context.out("")
    context.out(context.catalog.text("trial.plan-change"), "HEAD")
    plan_verb.show(context, plan)


def _carry_out(context: Context, machine: Machine, plan: Plan, prepared: TrialPlan | None) -> Run:
    """Apply; a stop after the first step was begun is told by its own exit code."""
    from ...executor.apply import Executor
    from ...executor.journal import Journal

    executor = Executor(machine, context.announce)
    try:
        if prepared is not None:
            from ...executor.tool import install_tool

            install_tool(machine.files)
            executor.apply(prepared.plan, "trial", prepared.trial)
        if needs_tool(plan):
            from ...executor.tool import install_tool

            install_tool(machine.files)
        return executor.apply(plan, "apply")
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


def finish_interrupted(context: Context) -> None:
    """For verbs that go on where a run was cut off. Raises DeclinedError."""
    from ...executor.apply import exclusive

    if not any(
        each.state in (RunState.APPLYING, RunState.UNDOING) for each in context.history().runs
    ):
        return
    machine = context.machine()
    with exclusive(machine):
        if not _finish_interrupted(context, machine, None):
            raise DeclinedError("declined")


def _finish_interrupted(context: Context, machine: Machine, saved: Plan | None) -> bool:
    """A run that was cut off goes on where it stopped: forwards, or back if it was an undo.

    Returns False if the person does not want that. A saved plan knows nothing of it.
    """
    from ...executor.apply import Executor
    from ...executor.journal import Journal
    from ...executor.undo import Undoer

    cut = _cut_off(Journal(machine.files))
    if cut is None:
        return True
    if saved is not None:
        raise PartialError("interrupted-run", verb="apply")
    is_trial = cut.begin.trial is not None
    context.tell("trial.resuming" if is_trial else f"apply.resuming-{cut.state}", run=cut.number)
    if not context.args.json:
        for line, level in render_steps(cut.begin.plan, context.catalog):
            context.out(line, level)
    if not context.confirm():
        return False
    # A trial that was cut off in the making watches over nothing: the run it is for comes after.
    if cut.state is RunState.UNDOING or is_trial:
        Undoer(machine, announce=context.announce).undo(History(runs=(cut,)))
        return True
    _refuse_unsafe_binds(context, cut)
    Executor(machine, context.announce).finish(cut)
    return True


def _cut_off(journal: Journal) -> Run | None:
    """The run that was cut off; or a whole trial, if it was cut off before what it is for began."""
    trial = open_trial(journal.history())
    alone = trial.run if trial is not None and trial.watched is None else None
    return journal.interrupted() or alone


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


def _conclude(context: Context, machine: Machine, done: Run, prepared: TrialPlan | None) -> int:
    """Look again: after a plan nothing may be left of it."""
    facts = context.facts()
    left = make_plan(facts, bind_now=context.args.now)
    if context.args.json:
        context.json(document("hostpci.run/1", done))
    if left.steps or left.refusals:
        raise PartialError("not-converged", run=done.number)
    remember(context, machine, facts)
    context.tell("apply.done", run=done.number)
    if prepared is not None and prepared.trial.within_s is not None:
        context.tell("trial.armed", minutes=round(prepared.trial.within_s / 60, 1))
    if left.reboot is Reboot.ONE:
        context.tell("apply.reboot", waiting=", ".join(left.pending) or "IOMMU")
        return Exit.REBOOT_NEEDED
    context.tell("apply.next-verify")
    return Exit.OK
