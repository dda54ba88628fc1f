"""Consent by name: it takes the block off one risk and leaves the risk in sight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..model.facts import Facts
from ..model.finding import Finding, Level
from ..model.risk import NAMES
from .say import fails


def weighed(finding: Finding, accepted: tuple[str, ...]) -> Finding:
    """The finding as it counts for an owner who accepted these names."""
    if finding.blocks and finding.consent and finding.consent in accepted:
        return replace(finding, blocks=False, level=Level.WARN)
    return finding


def check_consents(facts: Facts, slot: str) -> Iterator[Finding]:
    """A name that means nothing: somebody believes something accepted that is not."""
    claim = facts.claims.of_slot(slot)
    for name in claim.accept if claim else ():
        if name not in NAMES:
            yield fails("consent-unknown", Level.WARN, slot, name=name, known=", ".join(NAMES))
