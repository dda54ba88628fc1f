"""``hostpci claim ADDRESS``: write down that this slot, with these identities, is for guests."""

from __future__ import annotations

from ...checks.registry import run_checks
from ...errors import RefusedError, UsageError
from ...facts.claims import PATH, with_claim
from ...model.address import parse_slot
from ...model.claim import Claim, ClaimedFunction
from ...model.facts import Facts
from ...model.plan import FileStep
from ..change import Change
from ..context import Context


def run(context: Context) -> int:
    slot = parse_slot(context.args.address)
    return Change(context, "claim").carry_out(lambda facts: claim_step(facts, slot))


def claim_step(facts: Facts, slot: str) -> FileStep | None:
    """The edit of the claims file; None if the slot is claimed just so already."""
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
    if present == wanted:
        return None
    if present is not None:
        raise RefusedError("claimed-otherwise", slot=slot, path=PATH)
    text = facts.claims.text
    return FileStep(code="claim-write", path=PATH, before=text, after=with_claim(text, wanted))
