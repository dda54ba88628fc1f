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
    """A change of settings: shown, confirmed, carried out under the lock."""

    def __init__(self, context: Context, verb: str) -> None:
        self._context = context
        self._verb = verb

    def carry_out(self, make_step: Callable[[Facts], FileStep | None]) -> int:
        """Facts -> one edit -> run."""

        def plan_of(facts: Facts) -> Plan:
            step = make_step(facts)
            return Plan(steps=() if step is None else (step,))

        return self.carry_out_plan(plan_of)

    def carry_out_plan(self, make_plan: Callable[[Facts], Plan]) -> int:
        """Facts -> steps -> run. Without ``--dry-run`` nothing else may run meanwhile."""
        context = self._context
        if context.args.dry_run:
            plan = make_plan(context.facts())
            self._show(plan)
            return Exit.FINDINGS if plan.refusals else Exit.OK
        from ..executor.apply import Executor, exclusive
        from ..executor.journal import Journal

        machine = context.machine()
        with exclusive(machine):
            if Journal(machine.files).interrupted():
                raise PartialError("interrupted-run", verb=self._verb)
            plan = make_plan(context.facts())
            self._show(plan)
            if plan.refusals or not plan.steps:
                return Exit.FINDINGS if plan.refusals else Exit.OK
            if not context.confirm():
                context.tell("confirm.no")
                return Exit.FAILED
            Executor(machine, context.announce).apply(plan, self._verb)
        context.tell(f"{self._verb}.done")
        return Exit.OK

    def _show(self, plan: Plan) -> None:
        if self._context.args.json:
            self._context.json(document("hostpci.plan/1", plan))  # an error takes its place
            return
        from ..render.findings import render_finding
        from ..render.plan import render_plan, render_steps

        render = render_plan if plan.refusals else render_steps
        for line, level in render(plan, self._context.catalog):
            self._context.out(line, level)
        for note in plan.notes:
            for line, level in render_finding(note, self._context.catalog):
                self._context.out(line, level)
