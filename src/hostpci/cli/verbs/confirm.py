"""``hostpci confirm``: the change on trial stays."""

from __future__ import annotations

from ...errors import ConflictError, Exit, UsageError
from ...model.codec import document
from ...model.journal import RunState
from ...model.proof import Proofs
from ...model.trial import By
from ...planner.trial import OpenTrial, open_trial
from ...render.proof import render_proof
from ..context import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...executor.apply import Machine


def run(context: Context) -> int:
    from ...executor.apply import exclusive
    from ...executor.journal import Journal
    from ...executor.tool import drop_tool
    from ...executor.trial import Trials

    machine = context.machine()
    with exclusive(machine):
        journal = Journal(machine.files)
        trial = _confirmable(open_trial(journal.history()), machine)
        trials = Trials(machine, context.announce)
        done = trials.confirm(trial.run, By.PERSON)
        drop_tool(machine.files, journal.history())
        if machine.is_live:
            trials.withdraw_message()
    if context.args.json:
        context.json(document("hostpci.run/1", done))
    context.tell("confirm.done", run=trial.run.number + 1)
    _say_what_stands(context)
    return Exit.OK


def _confirmable(trial: OpenTrial | None, machine: Machine) -> OpenTrial:
    """The open trial, if its boot has come and it is not lost already."""
    if trial is None or trial.asked.within_s is None:
        raise UsageError("no-trial")
    if trial.confirmed:
        return trial  # said before; only the tidying was cut off
    watched = trial.watched
    if watched is None or trial.given_up is not None or watched.state is not RunState.APPLIED:
        raise ConflictError("trial-over", run=trial.run.number + 1)
    if trial.run.begin.boot_id == machine.boot_id:
        raise ConflictError("trial-not-begun", run=watched.number)
    return trial


def _say_what_stands(context: Context) -> None:
    """The proof of every claim, as ``verify`` gives it; it does not undo the confirmation."""
    from ...executor.verify import verify

    facts = context.facts()
    proofs = Proofs(
        proofs=tuple(
            verify(facts, claim, is_live=context.is_live, reset_test=False)
            for claim in facts.claims.claims
        )
    )
    if not context.args.json:
        for proof in proofs.proofs:
            for line, level in render_proof(proof, context.catalog):
                context.out(line, level)
