"""What sits at another address than before: the same function found again by who it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..model.facts import Facts
from ..model.pci import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    identity: Identity
    before: str
    after: str


def moves(facts: Facts) -> tuple[Move, ...]:
    """Claimed functions that moved, and whatever else moved since the baseline, by address.

    Of several equal functions it cannot be told which went where; they are paired in the order
    of their addresses, which is the order in which a shift of the buses leaves them.
    """
    was, now = _known(facts), {each.address: each.identity for each in facts.inventory.functions}
    gone = sorted(address for address, who in was.items() if now.get(address) != who)
    # Who is not in the baseline may have been there all the time: only claims are known of it
    news = sorted(address for address, who in now.items() if was.get(address) != who)
    return tuple(_paired(was, now, gone, news))


def _known(facts: Facts) -> dict[str, Identity]:
    baseline = facts.state.baseline
    known = {each.address: each.identity for each in baseline.functions} if baseline else {}
    for claim in facts.claims.claims:
        known.update({each.address: each.identity for each in claim.functions})
    return known


def _paired(
    was: dict[str, Identity], now: dict[str, Identity], gone: list[str], news: list[str]
) -> Iterator[Move]:
    for before in gone:
        after = next((each for each in news if now[each] == was[before]), None)
        if after is not None:
            news.remove(after)
            yield Move(identity=was[before], before=before, after=after)
