"""Consent is per risk and by name; what would destroy the host has no name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hostpci.checks.registry import run_checks
from hostpci.errors import RefusedError, ToolError, UsageError
from hostpci.facts.claims import PATH, parse_claims, with_claim
from hostpci.i18n import Catalog
from hostpci.model.finding import Level
from hostpci.model.risk import NAMES, risk_of_sharing
from hostpci.planner.claim import claim_step
from hostpci.planner.plan import make_plan
from hostpci.render.findings import render_findings

from ..hosts import DEVICES, SLOT, RecordedHost
from .support import claim_of, claimed, codes, findings

SATA, NIC, USB_CLASS = "0000:00:1f.2", "0000:00:04.0", "0x0c0330\n"
EN = Catalog("en")


def with_usb_in_group(host: RecordedHost) -> RecordedHost:
    host.data["files"][f"{DEVICES}/{SATA}/class"] = USB_CLASS
    return host.with_group(SATA, 8)


def accepting(host: RecordedHost, *names: str) -> RecordedHost:
    """Claim the card and accept, as ``claim --accept`` writes it."""
    step = claim_step(host.facts(), SLOT, names)
    assert step is not None
    assert step.after is not None
    return host.with_file(step.path, step.after)


def refused(host: RecordedHost, *names: str) -> ToolError:
    with pytest.raises(ToolError) as caught:
        claim_step(host.facts(), SLOT, names)
    return caught.value


def shown(host: RecordedHost) -> str:
    lines = render_findings(run_checks(host.facts(), SLOT), EN)
    return "\n".join(line for line, _ in lines)


def test_a_risk_with_a_name_blocks_until_the_claim_holds_the_name(guide: RecordedHost) -> None:
    with_usb_in_group(guide)
    (found,) = run_checks(guide.facts(), SLOT).blocking
    assert (found.consent, found.level, found.is_accepted) == (
        "group-shares-usb", Level.FAIL, False,
    )  # fmt: skip
    accepting(guide, "group-shares-usb")
    assert run_checks(guide.facts(), SLOT).blocking == ()
    (found,) = findings(guide, "group-shared")
    assert (found.level, found.is_accepted) == (Level.WARN, True)


def test_what_is_accepted_goes_into_the_claim_and_the_plan_goes_on(guide: RecordedHost) -> None:
    accepting(with_usb_in_group(guide), "group-shares-usb", "group-shares-usb")
    (claim,) = parse_claims(guide.data["files"][PATH])
    assert claim.accept == ("group-shares-usb",)
    plan = make_plan(guide.facts())
    assert (plan.refusals, [step.code for step in plan.steps]) == ((), ["rule-write"])


def test_a_claim_that_accepts_nothing_is_refused_with_the_words_to_say(guide: RecordedHost) -> None:
    error = refused(with_usb_in_group(guide))
    assert isinstance(error, RefusedError)
    assert error.code == "claim-needs-consent"
    assert error.params["words"] == "--accept group-shares-usb"


def test_consent_to_one_risk_is_none_to_another(guide: RecordedHost) -> None:
    guide._clone("0000:00:1b.0", "0000:00:1b.1")
    with_usb_in_group(guide).with_group("0000:00:1b.0", 8)
    error = refused(guide, "group-shares-usb")
    assert error.params["words"] == "--accept group-shares-audio"
    accepting(guide, "group-shares-usb", "group-shares-audio")
    assert make_plan(guide.facts()).refusals == ()


def test_what_the_host_needs_cannot_be_accepted_by_any_name(guide: RecordedHost) -> None:
    guide.with_group(NIC, 8)
    for name in NAMES:
        error = refused(guide, name)
        assert (error.code, error.params["possible"]) == ("consent-idle", "-")
    assert refused(guide).code == "claim-refused"
    assert NIC in str(refused(guide).params["reason"])


def test_a_name_written_into_the_file_by_hand_accepts_nothing_that_has_no_name(
    guide: RecordedHost,
) -> None:
    claim = replace(claim_of(guide.facts()), accept=NAMES)
    guide.with_file(PATH, with_claim(None, claim)).with_group(NIC, 8)
    plan = make_plan(guide.facts())
    assert (plan.steps, codes(plan.refusals)) == ((), ["group-shared"])


def test_consent_beside_what_cannot_be_accepted_does_not_help(guide: RecordedHost) -> None:
    with_usb_in_group(guide).with_group(NIC, 8)
    error = refused(guide, "group-shares-usb")
    assert error.code == "claim-refused"
    assert SATA not in str(error.params["reason"])


@pytest.mark.parametrize("name", ["force", "all", "GROUP-SHARES-USB", "group-shares-", "", "*"])
def test_an_unknown_name_is_told_with_what_can_be_said(guide: RecordedHost, name: str) -> None:
    error = refused(with_usb_in_group(guide), name)
    assert isinstance(error, UsageError)
    assert (error.code, error.params["possible"]) == ("consent-unknown", "group-shares-usb")


def test_a_name_that_does_not_apply_is_told_with_what_does(guide: RecordedHost) -> None:
    error = refused(with_usb_in_group(guide), "group-shares-nic")
    assert (error.code, error.params["possible"]) == ("consent-idle", "group-shares-usb")
    assert refused(RecordedHost(), "group-shares-usb").params["possible"] == "-"


def test_a_risk_that_came_after_the_claim_is_accepted_by_claiming_again(
    guide: RecordedHost,
) -> None:
    with_usb_in_group(claimed(guide))
    assert codes(make_plan(guide.facts()).refusals) == ["group-shared"]
    step = claim_step(guide.facts(), SLOT, ("group-shares-usb",))
    assert step is not None
    assert step.code == "claim-accept"
    accepting(guide, "group-shares-usb")
    assert make_plan(guide.facts()).refusals == ()
    assert claim_step(guide.facts(), SLOT, ("group-shares-usb",)) is None


def test_consent_for_one_slot_is_none_for_another(guide: RecordedHost) -> None:
    accepting(with_usb_in_group(guide), "group-shares-usb")
    guide.with_twin().with_group("0000:00:1f.3", 42)
    blocking = run_checks(guide.facts(), "0000:02:00").blocking
    assert [each.subject for each in blocking] == ["0000:00:1f.3"]


def test_a_name_nobody_knows_in_the_file_is_told_and_accepts_nothing(guide: RecordedHost) -> None:
    claim = replace(claim_of(guide.facts()), accept=("group-shares-ubs",))
    with_usb_in_group(guide.with_file(PATH, with_claim(None, claim)))
    assert [each.params["name"] for each in findings(guide, "consent-unknown")] == [
        "group-shares-ubs"
    ]
    assert codes(run_checks(guide.facts(), SLOT).blocking) == ["group-shared"]


def test_check_says_the_words_and_the_loss_and_what_cannot_be_accepted(
    guide: RecordedHost,
) -> None:
    lines = shown(with_usb_in_group(guide).with_group(NIC, 8)).splitlines()
    usb = next(n for n, line in enumerate(lines) if line.startswith(f"FAIL: {SATA}"))
    nic = next(n for n, line in enumerate(lines) if line.startswith(f"FAIL: {NIC}"))
    assert "can be accepted with --accept group-shares-usb: this USB controller" in lines[usb + 2]
    assert lines[nic + 3] == "      -> cannot be accepted", lines[nic : nic + 4]


def test_check_goes_on_to_say_what_was_accepted(guide: RecordedHost) -> None:
    text = shown(accepting(with_usb_in_group(guide), "group-shares-usb"))
    assert f"WARN: {SATA}" in text
    assert "accepted by the claim (group-shares-usb): this USB controller" in text
    assert f"hostpci claim {SATA}" in text


@pytest.mark.parametrize(
    ("class_code", "name"),
    [
        (0x0C0330, "group-shares-usb"), (0x0C0320, "group-shares-usb"),
        (0x020000, "group-shares-nic"), (0x028000, "group-shares-nic"),
        (0x010601, "group-shares-storage"), (0x010802, "group-shares-storage"),
        (0x040300, "group-shares-audio"), (0x030000, "group-shares-display"),
        (0x030200, "group-shares-display"), (0x048000, "group-shares-other"),
        (0x0C8000, "group-shares-other"), (0x108000, "group-shares-other"),
        (0, "group-shares-other"),
    ],
)  # fmt: skip
def test_the_name_of_a_shared_group_is_what_is_lost(class_code: int, name: str) -> None:
    assert risk_of_sharing(class_code) == name
