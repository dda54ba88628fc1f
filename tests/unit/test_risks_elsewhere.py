"""A claimed card that is somewhere else: found by who it is, told, and never bound blindly."""

from __future__ import annotations

import pytest

from hostpci.checks.registry import run_checks
from hostpci.errors import RefusedError
from hostpci.model.finding import Finding
from hostpci.planner.claim import claim_step
from hostpci.planner.plan import make_plan

from ..hosts import AUDIO, DEVICES, SLOT, VGA, RecordedHost
from .support import claimed, codes, findings, next_boot, with_rule

SECOND, THIRD = "0000:02:00", "0000:03:00"


def moved(host: RecordedHost, *slots: str) -> RecordedHost:
    """The claimed card (or one equal to it) sits elsewhere, and at its old address another one."""
    claimed(host)
    for number, slot in enumerate(slots or (SECOND,), start=42):
        host.with_twin(slot, number)
    host.with_identity(VGA, device="1e84", subsystem_device="0001")
    return host.with_identity(AUDIO, device="10f8", subsystem_device="0001")


def one(host: RecordedHost, code: str) -> Finding:
    (found,) = findings(host, code)
    return found


def test_a_card_at_another_address_is_found_and_the_way_is_told(guide: RecordedHost) -> None:
    found = one(moved(guide), "identity-moved")
    assert (found.subject, found.params["now"], found.blocks) == (SLOT, SECOND, True)
    assert "identity-moved" in codes(make_plan(guide.facts()).refusals)


def test_nothing_is_bound_at_either_address(guide: RecordedHost) -> None:
    with_rule(claimed(guide), after_image_s=1)
    guide.with_twin().with_identity(VGA, device="1e84")
    after = next_boot(guide)
    slots = (SLOT, SECOND)
    assert not any(
        driver == "vfio-pci" for address, driver in after.items() if address[:-2] in slots
    )


def test_a_card_in_another_domain_is_found(guide: RecordedHost) -> None:
    assert one(moved(guide, "10000:01:00"), "identity-moved").params["now"] == "10000:01:00"


def test_a_claim_of_an_address_where_another_sits_has_to_be_released_first(
    guide: RecordedHost,
) -> None:
    with pytest.raises(RefusedError, match="claimed-otherwise"):
        claim_step(moved(guide).facts(), SLOT)


def test_of_two_equal_cards_it_is_not_guessed_which_was_claimed(guide: RecordedHost) -> None:
    found = one(moved(guide, SECOND, THIRD), "identity-twice")
    assert found.params["now"] == f"{SECOND}, {THIRD}"


def test_a_twin_that_is_claimed_itself_is_not_the_one_that_moved(guide: RecordedHost) -> None:
    claimed(guide).with_twin()
    claimed(guide, SECOND)
    guide.with_identity(VGA, device="1e84")
    assert findings(guide, "identity-moved") == []
    assert one(guide, "identity-gone").subject == SLOT


def test_both_twins_in_place_are_no_finding(guide: RecordedHost) -> None:
    claimed(guide).with_twin()
    assert not {"identity-moved", "identity-twice", "identity-gone"} & set(
        codes(run_checks(guide.facts(), SLOT).findings)
    )


def test_part_of_a_card_is_not_the_card(guide: RecordedHost) -> None:
    """A sound function with the same ids is on other cards of that family too."""
    moved(guide)
    listed = guide.data["directories"][DEVICES]
    guide.data["directories"][DEVICES] = [each for each in listed if each != f"{SECOND}.0"]
    assert one(guide, "identity-gone").subject == SLOT


def test_a_card_that_was_taken_out_is_told_as_gone(guide: RecordedHost) -> None:
    claimed(guide).without_device(SLOT)
    assert one(guide, "identity-gone").subject == SLOT
    assert codes(make_plan(guide.facts()).refusals) == ["identity", "identity"]
