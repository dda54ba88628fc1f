"""The edits of the claims file that claim and release make. Pure: facts in, one step out."""

from __future__ import annotations

from ..checks.registry import run_checks
from ..errors import RefusedError, UsageError
from ..facts.claims import PATH, with_claim, without_claim
from ..model.claim import Claim, ClaimedFunction
from ..model.facts import Facts
from ..model.plan import FileStep


def claim_step(facts: Facts, slot: str) -> FileStep | None:
    """The edit that claims ``slot`` with the identities of now; None if it is claimed just so.

    Raises UsageError if nothing is there, RefusedError if the facts speak against it.
    """
    functions = facts.inventory.of_slot(slot)
    if not functions:
        raise UsageError("no-such-device", address=slot)
    blocking = [each for each in run_checks(facts, slot).blocking if each.code != "identity"]
    if blocking:
        raise RefusedError("claim-refused", slot=slot, reason=blocking[0].code)
    incomplete = [each.address for each in functions if not each.identity.is_complete]
    if incomplete:
        raise RefusedError("identity-unread", address=incomplete[0])
    wanted = Claim(
        slot=slot,
        functions=tuple(
            ClaimedFunction(address=each.address, identity=each.identity) for each in functions
        ),
    )
    present = facts.claims.of_slot(slot)
    if present is not None and present.functions == wanted.functions:
        return None
    if present is not None:
        raise RefusedError("claimed-otherwise", slot=slot, path=PATH)
    text = facts.claims.text
    return FileStep(code="claim-write", path=PATH, before=text, after=with_claim(text, wanted))


def release_step(facts: Facts, slot: str) -> FileStep:
    """The edit that takes the claim of ``slot`` out. Raises UsageError if there is none."""
    text = facts.claims.text
    if text is None or facts.claims.of_slot(slot) is None:
        raise UsageError("not-claimed", slot=slot)
    return FileStep(code="claim-remove", path=PATH, before=text, after=without_claim(text, slot))
