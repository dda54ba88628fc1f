"""Laws over every slot of every recorded host, not only over those that are asked about.

What the host must not lose is told by the descriptions (who carries the root, the mounts, the
bridges), independently of the readers that find it out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest

from hostpci.checks.registry import run_checks
from hostpci.errors import UsageError
from hostpci.model.claim import Claim, ClaimedFunction, Claims
from hostpci.model.facts import Facts
from hostpci.model.plan import CommandStep, FileStep, Plan
from hostpci.model.risk import NAMES as RISKS
from hostpci.planner.plan import make_plan

from .. import recorded_hosts
from ..recorded_hosts import BuiltHost, Description

NAMES = recorded_hosts.names()
_PROGRAMS = {"grub-mkconfig", "update-initramfs", "proxmox-boot-tool"}
_FILES = (
    "/etc/udev/rules.d/10-hostpci-", "/etc/default/grub.d/90-hostpci.cfg", "/etc/kernel/cmdline",
)  # fmt: skip


@cache
def _host(name: str) -> tuple[Description, Facts]:
    about = recorded_hosts.describe(name)
    return about, BuiltHost(about).facts()


def _full(address: str) -> str:
    return address if address.count(":") == 2 else f"0000:{address}"


def _protected(about: Description) -> set[str]:
    """Functions that carry the root, a mounted disk, a pool, or a port of a bridge."""
    used = set(about.host["root"].split()[1:])
    used |= {line.split()[0].removeprefix("/dev/") for line in about.data.get("mounts", ())}
    used |= {word for words in about.rows("mapper") for word in words[2:]}
    used |= {disk for disks in about.data.get("pools", {}).values() for disk in disks}
    found = {
        _full(address)
        for node, address, *_ in about.rows("disks")
        if any(each.startswith(node) for each in used)
    }
    for _, place, *words in about.rows("nets"):
        if set(words) - {"up", "down", "usb"} and place not in {"bridge", "bond", "vlan"}:
            found.add(_full(place))
    for each in about.functions:
        if "under" in each.words and _behind(about, each.bus) & found:
            found.add(each.words["under"])
    return found


def _behind(about: Description, bus: str) -> set[str]:
    """Every function on a bus and on the buses below it."""
    found = {each.address for each in about.functions if each.bus == bus}
    domain = bus.partition(":")[0]
    for each in about.functions:
        if each.address in found and "bus" in each.words:
            found |= _behind(about, f"{domain}:{each.words['bus']}")
    return found


def _taken_with(about: Description, slot: str) -> set[str]:
    """What a virtual machine with this slot takes: the slot, and its groups but for bridges."""
    own = [each for each in about.functions if each.address.startswith(f"{slot}.")]
    groups = {each.group for each in own} - {""}
    sharing = {
        each.address for each in about.functions if each.group in groups and "bus" not in each.words
    }
    return {each.address for each in own} | sharing


def _slots(facts: Facts) -> Iterator[str]:
    for slot in sorted({each.slot for each in facts.inventory.functions}):
        try:
            run_checks(facts, slot)
        except UsageError:
            continue
        yield slot


def _claimed(facts: Facts, slot: str, accept: tuple[str, ...] = ()) -> Facts:
    functions = tuple(
        ClaimedFunction(address=each.address, identity=each.identity)
        for each in facts.inventory.of_slot(slot)
    )
    claim = Claim(slot=slot, functions=functions, accept=accept)
    return replace(facts, claims=Claims(text="", claims=(claim,)))


@pytest.mark.parametrize("name", NAMES)
def test_what_carries_the_host_cannot_be_given_away_whatever_is_accepted(name: str) -> None:
    about, facts = _host(name)
    protected = _protected(about)
    assert protected
    for slot in _slots(facts):
        if _taken_with(about, slot) & protected:
            plan = make_plan(_claimed(facts, slot, RISKS))
            assert plan.refusals, slot
            assert not plan.steps, slot


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_touches_nothing_but_what_it_must(name: str) -> None:
    _, facts = _host(name)
    for slot in _slots(facts):
        plan = make_plan(_claimed(facts, slot, RISKS))
        for step in plan.steps:
            if isinstance(step, FileStep):
                assert step.path.startswith(_FILES), step
            elif isinstance(step, CommandStep):
                assert step.argv[0] in _PROGRAMS, step
        assert not (plan.refusals and plan.steps)
        _rebuilds_only_what_boots(plan, facts)


def _rebuilds_only_what_boots(plan: Plan, facts: Facts) -> None:
    """At most the running kernel and the next one: the others are the way back."""
    rebuilt = {
        step.argv[-1]
        for step in plan.steps
        if isinstance(step, CommandStep) and step.argv[0] == "update-initramfs"
    }
    assert rebuilt <= {facts.kernel.release, facts.loader.next_release}
