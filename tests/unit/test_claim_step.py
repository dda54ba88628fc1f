"""Claiming a slot again keeps what its owner decided about it."""

from __future__ import annotations

from dataclasses import replace

from hostpci.facts.claims import PATH, parse_claims, with_claim
from hostpci.planner.claim import claim_step, release_step

from ..hosts import SLOT, RecordedHost
from .support import claim_of


def test_claiming_again_what_has_knobs_and_accepted_risks_changes_nothing(
    guide: RecordedHost,
) -> None:
    owned = replace(claim_of(guide.facts()), accept=("group-shares-usb",), options=("softdep",))
    facts = guide.with_file(PATH, with_claim(None, owned)).facts()
    assert facts.claims.of_slot(SLOT) == owned
    assert claim_step(facts, SLOT) is None


def test_releasing_takes_the_knobs_of_the_slot_too(guide: RecordedHost) -> None:
    owned = replace(claim_of(guide.facts()), options=("softdep",))
    text = with_claim("# mine\n", owned)
    step = release_step(guide.with_file(PATH, text).facts(), SLOT)
    assert step.after == "# mine\n"
    assert parse_claims(step.after) == ()
