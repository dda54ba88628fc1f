"""After an apply: write down what the host is now, for ``check --drift`` to compare with."""

from __future__ import annotations

from ..facts.state import baseline_of
from .context import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..executor.apply import Machine
    from ..model.facts import Facts


def remember(context: Context, machine: Machine, facts: Facts) -> None:
    """Store the baseline. A host on which nothing is claimed has nothing to drift from."""
    from ..errors import EnvironmentFault
    from ..executor.apply import now
    from ..executor.baseline import store_baseline

    if not facts.claims.claims and not facts.claims.host_options:
        return
    try:
        store_baseline(machine.files, baseline_of(facts, now()))
    except EnvironmentFault as fault:
        # The run itself is done and journaled; only the comparison will be with an older state
        context.tell("drift.not-stored", reason=str(fault))
