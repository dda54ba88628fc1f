"""What --confirm-within and --resume of apply come to: words to a wish, a wish to a plan."""

from __future__ import annotations

import re

from ..errors import ConflictError, RefusedError, UsageError
from ..facts.health import read_health
from ..facts.trial import read_trial_facts
from ..model.journal import History
from ..model.plan import Plan
from ..model.trial import Health, Trial
from ..planner.trial import TrialPlan, Wish, open_trial, plan_trial
from .context import Context

_DURATION = re.compile(r"([1-9]\d{0,5})([smh])")
_SECONDS = {"s": 1, "m": 60, "h": 3600}
# A host needs this long to boot at all; after a day nobody remembers the trial
SHORTEST_S, LONGEST_S = 30, 24 * 3600


def asked_trial(context: Context) -> Trial | None:
    """What the words of apply ask for; None for a plain apply."""
    within, healthy = context.option("confirm_within"), context.option("healthy")
    if within is None:
        if healthy is not None:
            raise UsageError("healthy-alone")
        return Trial(within_s=None) if context.option("resume") else None
    return Trial(within_s=parse_duration(within), healthy=parse_healthy(healthy or ""))


def parse_duration(text: str) -> int:
    """``90s``, ``10m``, ``1h`` in seconds. Raises UsageError."""
    match = _DURATION.fullmatch(text)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise UsageError("bad-duration", text=text)
    return seconds


def parse_healthy(text: str) -> tuple[Health, ...]:
    """``default-route,ssh``. Raises UsageError for a check that there is not."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = [each.value for each in Health]
    for name in names:
        if name not in known:
            raise UsageError("no-such-check", name=name, known=", ".join(known))
    return tuple(dict.fromkeys(Health(name) for name in names))


def prepare(context: Context, trial: Trial | None, change: Plan) -> TrialPlan | None:
    """The trial's own steps for a change that is about to be made.

    Raises RefusedError where a trial would be worth nothing: a check that does not hold today
    cannot tell a good boot from a bad one.
    """
    if trial is None or not change.steps:
        return None
    from ..executor.tool import TOOL_ARGV

    facts = context.facts()
    ground = read_trial_facts(context.root(), facts.loader.loader)
    if not ground.has_systemd:
        raise RefusedError("trial-no-systemd")
    _demand_health(context, trial)
    numbers = [run.number for run in context.history().runs]
    wish = Wish(
        trial=trial, command=TOOL_ARGV, language=context.catalog.language,
        run=2 + max(numbers, default=0),
    )  # fmt: skip
    return plan_trial(facts, ground, change, wish)


def _demand_health(context: Context, trial: Trial) -> None:
    for answer in read_health(context.root(), context.runner(), trial.healthy):
        if answer.holds is None:
            raise RefusedError("trial-unmeasured", name=answer.health, evidence=answer.evidence)
        if not answer.holds:
            raise RefusedError("trial-unhealthy", name=answer.health, evidence=answer.evidence)


def refuse_while_open(history: History) -> None:
    """One trial at a time: nobody could say which of two changes a bad boot comes from."""
    trial = open_trial(history)
    if trial is not None:
        raise ConflictError("trial-open", run=trial.run.number + 1)


def unhealthy(context: Context, wanted: tuple[Health, ...]) -> tuple[str, ...]:
    """Those checks that do not hold, or cannot be told to hold, with what was seen."""
    answers = read_health(context.root(), context.runner(), wanted)
    return tuple(f"{each.health}: {each.evidence}" for each in answers if not each.holds)
