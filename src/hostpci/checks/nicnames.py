"""Will the host keep its network at the next boot? Names of interfaces and who uses them.

What renumbers: a card put in or taken out shifts every bus behind it, and so does a firmware that
switches a device of the board on or off or splits a slot; udev makes names of those numbers
(systemd.net-naming-scheme: enp4s0 is bus 4). What does not: IOMMU groups and pcie_acs_override,
which leave addresses alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..model.facts import Facts
from ..model.finding import Finding, Level
from ..model.network import Interface
from .moved import moves
from .say import fails, holds, unknown, unread

_SOURCES = ("/etc/network/interfaces", "/sys/class/net")


def relied_on(facts: Facts) -> tuple[Interface, ...]:
    """Interfaces that the configuration names and that stay with the host."""
    claimed = {claim.slot for claim in facts.claims.claims}
    return tuple(
        each
        for each in facts.network.interfaces
        if each.references and each.address.rpartition(".")[0] not in claimed
    )


def check_nic_names(facts: Facts, slot: str) -> Iterator[Finding]:
    gaps = unread(facts, *_SOURCES)
    if gaps:
        yield unknown("nic-names", "", *gaps)
        return
    yield from missing_ports(facts)
    names = [each for each in relied_on(facts) if each.address.rpartition(".")[0] != slot]
    moved = moves(facts)
    for each in names:
        if not each.keeps_its_name:
            level = Level.WARN if moved else Level.NOTICE
            evidence = [f"{move.before} -> {move.after}" for move in moved[:1]]
            yield fails(
                "nic-name-not-pinned", level, each.name, *each.references[:2], *evidence,
                address=each.address,
            )  # fmt: skip
    if names and all(each.keeps_its_name for each in names):
        yield holds("nic-names", "", *(f"{each.name}: {each.pinned_by}" for each in names))


def missing_ports(facts: Facts) -> Iterator[Finding]:
    for each in facts.network.missing:
        yield fails("bridge-port-missing", Level.FAIL, each.name, each.where)
