"""``hostpci plan``: the least change from what is to what is claimed. Changes nothing."""

from __future__ import annotations

from ...errors import Exit, NotPermittedError
from ...model.codec import document
from ...model.journal import RunState
from ...model.plan import Plan, Reboot
from ...planner.plan import make_plan
from ..context import Context

SCHEMA = "hostpci.plan/1"


def run(context: Context) -> int:
    plan = make_plan(context.facts(), bind_now=context.args.now)
    tell_of_interrupted(context)
    if context.args.output:
        save(context.args.output, plan)
        context.tell("plan.saved", path=context.args.output)
    show(context, plan)
    return exit_code(plan)


def tell_of_interrupted(context: Context) -> None:
    """A plan is about the host as it is; a run that was cut off changes it before anything else."""
    open_states = {RunState.APPLYING, RunState.UNDOING}
    try:
        runs = context.history().runs
    except NotPermittedError:
        context.tell("scan.unmeasured", what="/var/lib/hostpci/runs", why="EACCES")
        return
    for each in runs:
        if each.state in open_states:
            state = context.catalog.text(f"state.{each.state}")
            context.tell("plan.interrupted", run=each.number, state=state)


def show(context: Context, plan: Plan) -> None:
    if context.args.json:
        context.json(document(SCHEMA, plan))
        return
    from ...render.plan import render_plan

    for line, level in render_plan(plan, context.catalog):
        context.out(line, level)


def exit_code(plan: Plan) -> Exit:
    if plan.refusals:
        return Exit.FINDINGS
    if plan.steps:
        return Exit.CHANGES_PENDING
    return Exit.REBOOT_NEEDED if plan.reboot is Reboot.ONE else Exit.OK


def save(path: str, plan: Plan) -> None:
    """Write the plan for a later ``apply PLAN``. A file of that name is replaced."""
    import json

    from ...host.files import write_output

    write_output(path, json.dumps(document(SCHEMA, plan), indent=2) + "\n")


def load(path: str) -> Plan:
    """Read a saved plan. Raises UsageError or CorruptError."""
    import json

    from ...errors import CorruptError, UsageError
    from ...host.root import regular_only
    from ...model.codec import open_document

    try:
        with open(path, encoding="utf-8", opener=regular_only) as stream:
            data = json.load(stream)
    except OSError as error:
        raise UsageError("no-such-file", path=path, reason=error.strerror) from error
    except (ValueError, RecursionError) as error:
        raise CorruptError("corrupt-document", path=path, reason=str(error)[:200]) from error
    return open_document(Plan, SCHEMA, data, path)
