"""Short ways to build findings, so that a check reads as its condition."""

from __future__ import annotations

from ..model.facts import Facts
from ..model.finding import Finding, Level, Outcome


def holds(code: str, subject: str = "", *evidence: str, **params: str) -> Finding:
    return Finding(
        code=code, outcome=Outcome.HOLDS, level=Level.PASS,
        subject=subject, params=params, evidence=evidence,
    )  # fmt: skip


def fails(
    code: str, level: Level, subject: str = "", *evidence: str, blocks: bool = False,
    consent: str = "", **params: str,
) -> Finding:  # fmt: skip
    """``consent`` names what an owner may accept; until then it blocks."""
    return Finding(
        code=code, outcome=Outcome.DOES_NOT_HOLD, level=level,
        subject=subject, params=params, evidence=evidence, blocks=blocks or bool(consent),
        consent=consent,
    )  # fmt: skip


def unknown(
    code: str, subject: str = "", *evidence: str, blocks: bool = False, **params: str
) -> Finding:
    """``blocks`` where what is not known could be the host's own disk or network."""
    return Finding(
        code=code, outcome=Outcome.NOT_MEASURED, level=Level.FAIL if blocks else Level.WARN,
        subject=subject, params=params, evidence=evidence, blocks=blocks,
    )  # fmt: skip


def unread(facts: Facts, *paths: str) -> tuple[str, ...]:
    """Those of ``paths`` that could not be read: what hangs on them is not measured."""
    gaps = {each.what for each in facts.unmeasured}
    return tuple(path for path in paths if path in gaps)
