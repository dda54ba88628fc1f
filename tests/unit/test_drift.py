"""Drift: what changed since the baseline, how much it matters, and what a capture says of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from hostpci.facts.capture import make_capture
from hostpci.facts.state import baseline_of
from hostpci.host.capture import CaptureRoot
from hostpci.model.baseline import BASELINE, SCHEMA
from hostpci.model.codec import document
from hostpci.model.drift import Drift
from hostpci.model.finding import Finding, Level, Outcome
from hostpci.model.journal import History
from hostpci.model.rule import rule_path
from hostpci.planner.drift import find_drift

from .. import recorded_hosts
from ..hosts import SLOT, VGA, RecordedHost
from .support import claimed, on_vfio, with_rule

Change = Callable[[RecordedHost], object]
WHEN = "2026-01-01T00:00:00+00:00"
STAYS = "0000:00:03.0"


def settled() -> RecordedHost:
    """A host whose claim is applied and bound, with the baseline of that moment."""
    host = on_vfio(with_rule(claimed(RecordedHost()), after_image_s=60))
    return remembered(host)


def remembered(host: RecordedHost) -> RecordedHost:
    text = json.dumps(document(SCHEMA, baseline_of(host.facts(), WHEN)))
    return host.with_file(BASELINE, text)


def drift_of(host: RecordedHost) -> Drift:
    return find_drift(host.facts())


def changes(drift: Drift) -> dict[str, Finding]:
    return {each.code: each for each in drift.findings if each.outcome is Outcome.DOES_NOT_HOLD}


def rebooted_once(host: RecordedHost) -> None:
    host.with_file("/proc/sys/kernel/random/boot_id", "11111111-2222-3333-4444-555555555555\n")


def edited(path: str) -> Change:
    def change(host: RecordedHost) -> None:
        host.with_file(path, host.data["files"].get(path, "") + "# edited\n")
        host.data.get("digests", {}).pop(path, None)
        host.data["times"].setdefault(path, host.data["times"].get(rule_path(SLOT), 0))

    return change


def new_firmware(host: RecordedHost) -> None:
    host.with_file("/sys/class/dmi/id/bios_version", "F20\n")


def new_microcode(host: RecordedHost) -> None:
    host.with_file("/sys/devices/system/cpu/cpu0/microcode/version", "0xa20120e\n")


def moved_card(host: RecordedHost) -> None:
    for function in ("0", "1"):
        host._clone(f"{SLOT}.{function}", f"0000:02:00.{function}")
        host.with_group(f"0000:02:00.{function}", 8)
    host.without_device(SLOT)


def moved_bus(host: RecordedHost) -> None:
    host._clone("0000:00:04.0", "0000:00:06.0")
    host.without_device("0000:00:04")


def pulled_card(host: RecordedHost) -> None:
    host.without_device(SLOT)


def new_card(host: RecordedHost) -> None:
    host._clone("0000:00:04.0", "0000:00:1e.0")


def other_group(host: RecordedHost) -> None:
    for function in ("0", "1"):
        host.with_group(f"{SLOT}.{function}", 9)
    names = host.data["directories"]["/sys/kernel/iommu_groups"]
    host.data["directories"]["/sys/kernel/iommu_groups"] = sorted({*names, "9"})


def joined_group(host: RecordedHost) -> None:
    host.with_group("0000:00:04.0", 8)


def not_bound(host: RecordedHost) -> None:
    rebooted_once(host)
    host.with_driver(VGA, None)


def word(text: str) -> Change:
    return lambda host: host.with_command_line(text)


def test_nothing_has_changed() -> None:
    drift = drift_of(settled())
    assert changes(drift) == {}
    assert not drift.matters
    assert drift.since == WHEN
    rebooted = settled()
    rebooted_once(rebooted)
    assert not drift_of(rebooted).matters


@pytest.mark.parametrize(
    ("change", "code", "level"),
    [
        (new_firmware, "drift-firmware", Level.WARN),
        (new_microcode, "drift-microcode", Level.INFO),
        (moved_card, "drift-moved", Level.FAIL),
        (moved_card, "drift-plan-refused", Level.FAIL),
        (moved_bus, "drift-renumbered", Level.WARN),
        (pulled_card, "drift-gone", Level.FAIL),
        (new_card, "drift-added", Level.INFO),
        (other_group, "drift-group-number", Level.WARN),
        (joined_group, "drift-group-members", Level.WARN),
        (not_bound, "drift-not-bound", Level.WARN),
        (edited(rule_path(SLOT)), "drift-own-file", Level.WARN),
        (edited(rule_path(SLOT)), "drift-plan-pending", Level.WARN),
        (edited("/etc/default/grub"), "drift-file", Level.NOTICE),
        (edited("/etc/modprobe.d/vfio.conf"), "drift-file", Level.NOTICE),
        (edited("/etc/hostpci.toml"), "drift-file", Level.NOTICE),
        (word("quiet2"), "drift-command-line", Level.NOTICE),
        (word("iommu=pt"), "drift-command-line", Level.WARN),
        (word("vfio-pci.ids=10de:2d04"), "drift-command-line", Level.WARN),
    ],
)
def test_a_change_is_named_with_what_it_matters(change: Change, code: str, level: Level) -> None:
    host = settled()
    change(host)
    drift = drift_of(host)
    found = changes(drift)
    assert code in found
    assert found[code].level is level
    assert drift.matters is any(each.level in (Level.WARN, Level.FAIL) for each in found.values())


def test_a_moved_card_is_found_again() -> None:
    host = settled()
    moved_card(host)
    found = [each for each in drift_of(host).findings if each.code == "drift-moved"]
    assert [(each.subject, each.params["after"]) for each in found] == [
        (f"{SLOT}.0", "0000:02:00.0"),
        (f"{SLOT}.1", "0000:02:00.1"),
    ]


def test_another_kernel_alone_does_not_matter() -> None:
    facts = settled().facts()
    assert facts.state.baseline is not None
    baseline = replace(facts.state.baseline, kernel="6.1.0-1-amd64", pve_version="pve-manager/8")
    facts = replace(
        facts,
        state=replace(facts.state, baseline=baseline),
        platform=replace(facts.platform, pve_version="pve-manager/9"),
    )
    drift = find_drift(facts)
    assert set(changes(drift)) == {"drift-kernel", "drift-pve"}
    assert not drift.matters


def test_a_new_kernel_whose_image_overtakes_the_rule_does() -> None:
    host = settled().with_modules_in_initramfs("gpu/nouveau")
    assert "drift-plan-pending" in changes(drift_of(host))


def test_a_claim_waits_in_the_boot_of_its_apply() -> None:
    host = remembered(with_rule(claimed(RecordedHost()), after_image_s=60))
    assert not drift_of(host).matters
    rebooted_once(host)
    assert "drift-not-bound" in changes(drift_of(host))
    on_vfio(host)
    assert not drift_of(host).matters


def test_words_of_ours_arrive_with_the_boot_after_the_apply() -> None:
    from hostpci.planner.edits.grub import drop_in

    host = settled().with_file("/etc/default/grub.d/90-hostpci.cfg", drop_in(("iommu=pt",)))
    host = remembered(host)
    host.with_command_line("iommu=pt")
    assert "drift-command-line" not in changes(drift_of(host))


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"schema": "hostpci.baseline/9"}', "\0", "9" * 9]
)
def test_a_baseline_that_cannot_be_understood_is_not_measured(text: str) -> None:
    drift = drift_of(settled().with_file(BASELINE, text))
    (found,) = drift.findings
    assert (found.code, found.outcome) == ("drift-baseline", Outcome.NOT_MEASURED)
    assert drift.matters


def test_no_baseline_is_not_measured() -> None:
    assert [each.code for each in drift_of(RecordedHost()).findings] == ["drift-baseline"]


@pytest.mark.parametrize("change", [None, new_firmware, moved_card, edited("/etc/default/grub")])
def test_a_capture_says_the_same_and_keeps_its_secrets(change: Change | None) -> None:
    secret = "auto enp0s4\niface enp0s4 inet static\n\taddress 203.0.113.77/24\n"
    host = settled().with_file("/etc/network/interfaces", secret)
    host = remembered(host)
    if change:
        change(host)
    facts = host.facts()
    digests = {each.sha256 for each in facts.state.files}
    capture = make_capture(CaptureRoot(host.data), host.runner(), History(runs=()))
    text = json.dumps(capture)
    real = {each for each in digests if not each.startswith("0" * 48)}
    assert real
    assert not [each for each in real if each in text]
    assert "203.0.113.77" not in text
    again = RecordedHost()
    again.data = capture
    before, after = drift_of(host), drift_of(again)
    assert [(e.code, e.level) for e in before.findings] == [
        (e.code, e.level) for e in after.findings
    ]


# Whether the claims can be had at all is the plan's answer, not a change
_OF_THE_PLAN = {"drift-plan-pending", "drift-plan-refused", "bridge-port-missing"}


@pytest.mark.parametrize("name", recorded_hosts.names())
def test_no_recorded_host_differs_from_itself(name: str) -> None:
    facts = recorded_hosts.BuiltHost(recorded_hosts.describe(name)).facts()
    same = replace(facts, state=replace(facts.state, baseline=baseline_of(facts, WHEN)))
    told = set(changes(find_drift(same))) - _OF_THE_PLAN
    assert {code for code in told if not code.startswith("known-bad")} <= {
        "drift-next-kernel",
        "drift-moved",  # a claim whose card is not where it was claimed
        "drift-gone",
    }
