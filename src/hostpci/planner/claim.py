"""The edits of the claims file that claim and release make. Pure: facts in, one step out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..checks import elsewhere
from ..checks.registry import run_checks
from ..errors import RefusedError, UsageError
from ..facts.claims import PATH, with_claim, with_claim_changed, without_claim
from ..model.claim import Claim, ClaimedFunction
from ..model.facts import Facts
from ..model.plan import FileStep
from ..model.risk import NAMES


def claim_step(facts: Facts, slot: str, accept: tuple[str, ...] = ()) -> FileStep | None:
    """The edit that claims ``slot`` with the identities of now; None if it is claimed just so.

    ``accept``: names of risks that the owner takes, beside those that a claim already holds.
    Raises UsageError if nothing is there or a name says nothing here, RefusedError if the facts
    speak against it.
    """
    functions = facts.inventory.of_slot(slot)
    if not functions:
        raise UsageError("no-such-device", address=slot)
    _refuse_blocked(facts, slot, accept)
    incomplete = [each.address for each in functions if not each.identity.is_complete]
    if incomplete:
        raise RefusedError("identity-unread", address=incomplete[0])
    wanted = Claim(
        slot=slot,
        functions=tuple(
            ClaimedFunction(address=each.address, identity=each.identity) for each in functions
        ),
        accept=tuple(dict.fromkeys(accept)),
    )
    present = facts.claims.of_slot(slot)
    if present is not None:
        return _with_more_accepted(facts, present, wanted)
    text = facts.claims.text
    return FileStep(code="claim-write", path=PATH, before=text, after=with_claim(text, wanted))


def _with_more_accepted(facts: Facts, present: Claim, wanted: Claim) -> FileStep | None:
    if present.functions != wanted.functions:
        raise RefusedError("claimed-otherwise", slot=present.slot, path=PATH)
    accept = tuple(dict.fromkeys((*present.accept, *wanted.accept)))
    if accept == present.accept:
        return None
    text = facts.claims.text or ""
    after = with_claim_changed(text, replace(present, accept=accept))
    return FileStep(code="claim-accept", path=PATH, before=text, after=after)


def _refuse_blocked(facts: Facts, slot: str, accept: tuple[str, ...]) -> None:
    """Raise for a name that says nothing here, then for what still stands in the way."""
    findings = run_checks(facts, slot, accept)
    possible = tuple(dict.fromkeys(each.consent for each in findings.findings if each.consent))
    for name in accept:
        if name not in NAMES:
            raise UsageError("consent-unknown", name=name, slot=slot, possible=_list(possible))
        if name not in possible:
            raise UsageError("consent-idle", name=name, slot=slot, possible=_list(possible))
    # Who sits there is what is being written down.
    blocking = [each for each in findings.blocking if each.code not in elsewhere.CODES]
    firm = [f"{each.subject} {each.code}".strip() for each in blocking if not each.consent]
    if firm:
        raise RefusedError("claim-refused", slot=slot, reason=_list(dict.fromkeys(firm)))
    names = dict.fromkeys(each.consent for each in blocking)
    if names:
        words = " ".join(f"--accept {each}" for each in names)
        raise RefusedError("claim-needs-consent", slot=slot, names=_list(names), words=words)


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "-"


def release_step(facts: Facts, slot: str) -> FileStep:
    """The edit that takes the claim of ``slot`` out. Raises UsageError if there is none."""
    text = facts.claims.text
    if text is None or facts.claims.of_slot(slot) is None:
        raise UsageError("not-claimed", slot=slot)
    return FileStep(code="claim-remove", path=PATH, before=text, after=without_claim(text, slot))
