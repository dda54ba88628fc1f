"""The common course of attach and detach: looked at, shown, confirmed, carried out, or nothing."""

from __future__ import annotations

from ..errors import Exit, PartialError, ToolError
from ..model.journal import History, Run
from ..model.plan import MappingStep, Plan, VmConfigStep
from .context import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..executor.apply import Machine
    from ..model.vm import VmCase, Wanted


def read(context: Context, vmid: int, wanted: Wanted) -> VmCase:
    """With ``--api`` this machine is not the node, and its facts say nothing."""
    from ..facts.vm import read_case

    host = None if context.option("api") else context.facts()
    return read_case(context.pve(), vmid, wanted, host, context.root())


def carry_out(context: Context, verb: str, show: Callable[[], Plan]) -> int:
    """``show`` looks, shows the plan and returns it. Without ``--dry-run`` nothing else may run."""
    if context.args.dry_run:
        plan = show()
        context.tell("apply.dry-run")
        if plan.refusals:
            return Exit.FINDINGS
        return Exit.CHANGES_PENDING if plan.steps else Exit.OK
    from ..executor.apply import exclusive
    from .verbs.apply import outlive_the_terminal

    outlive_the_terminal()
    machine = context.machine()
    with exclusive(machine):
        _finish_own(context, machine, verb)
        plan = show()
        if plan.refusals or not plan.steps:
            return Exit.FINDINGS if plan.refusals else Exit.OK
        if not context.confirm():
            context.tell("confirm.no")
            return Exit.FAILED
        _apply(context, machine, plan, verb)
    return Exit.OK


def _finish_own(context: Context, machine: Machine, verb: str) -> None:
    """A run of attach or detach that was cut off is taken back, and its verb begins anew.

    It has changed settings of machines at most; anything else is for apply or undo to finish.
    """
    from ..executor.journal import Journal
    from ..executor.undo import Undoer

    cut = Journal(machine.files).interrupted()
    if cut is None:
        return
    if not all(isinstance(each, VmConfigStep | MappingStep) for each in cut.begin.plan.steps):
        raise PartialError("interrupted-run", verb=verb)
    context.tell("attach.resuming", run=cut.number)
    Undoer(machine, announce=context.announce).undo(History(runs=(cut,)))


def _apply(context: Context, machine: Machine, plan: Plan, verb: str) -> Run:
    """All steps, or none: what PVE refuses takes back what it has taken before."""
    from ..executor.apply import Executor
    from ..executor.journal import Journal
    from ..executor.undo import Undoer

    try:
        return Executor(machine, context.announce).apply(plan, verb)
    except ToolError as refused:
        cut = Journal(machine.files).interrupted()
        if cut is not None:
            try:
                Undoer(machine).undo(History(runs=(cut,)))
            except ToolError as second:
                raise PartialError(
                    "attach-half-done", run=cut.number, reason=str(refused), second=str(second)
                ) from refused
            context.tell("attach.taken-back")
        raise
