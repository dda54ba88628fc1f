"""The common course of claim and release: one edit of the claims file, journaled like any run."""

from __future__ import annotations

from ..errors import Exit, PartialError
from ..model.codec import document
from ..model.plan import FileStep, Plan
from .context import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..model.facts import Facts


class Change:
    """One edit: shown, confirmed, carried out under the lock."""

    def __init__(self, context: Context, verb: str) -> None:
        self._context = context
        self._verb = verb

    def carry_out(self, make_step: Callable[[Facts], FileStep | None]) -> int:
        """Facts -> step -> run. Without ``--dry-run`` nothing else may run meanwhile."""
        context = self._context
        if context.args.dry_run:
            self._show(make_step(context.facts()))
            return Exit.OK
        from ..executor.apply import Executor, exclusive
        from ..executor.journal import Journal

        machine = context.machine()
        with exclusive(machine):
            if Journal(machine.files).interrupted():
                raise PartialError("interrupted-run", verb=self._verb)
            step = make_step(context.facts())
            self._show(step)
            if step is None:
                return Exit.OK
            if not context.confirm():
                context.tell("confirm.no")
                return Exit.FAILED
            Executor(machine, context.announce).apply(Plan(steps=(step,)), self._verb)
        context.tell(f"{self._verb}.done")
        return Exit.OK

    def _show(self, step: FileStep | None) -> None:
        plan = Plan(steps=() if step is None else (step,))
        if self._context.args.json:
            self._context.json(document("hostpci.plan/1", plan))  # an error takes its place
            return
        from ..render.plan import render_steps

        for line, level in render_steps(plan, self._context.catalog):
            self._context.out(line, level)
