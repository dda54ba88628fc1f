"""The known good entry on boot partitions: when it is planned, what is written, how it goes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from hostpci.errors import ConflictError, EnvironmentFault
from hostpci.executor.apply import Executor
from hostpci.executor.journal import Journal
from hostpci.executor.trial import Trials
from hostpci.executor.undo import Undoer
from hostpci.facts.collect import collect
from hostpci.facts.trial import read_trial_facts
from hostpci.host.runner import Completed
from hostpci.model.efivar import DEFAULT, ONE_SHOT, variable_path
from hostpci.model.plan import CommandStep, EspEntryStep, LoaderVariableStep, Plan, RefreshStep
from hostpci.model.trial import Reason, Trial
from hostpci.planner.plan import rebuild_step
from hostpci.planner.trial import TrialPlan, Wish, plan_trial

from ..esp_world import EspHost, EspRunner
from ..hosts import RecordedHost
from ..loaders import CMDLINE, ROOT, systemd_boot_on_esp

ONE, TWO = "AAAA-1111", "BBBB-2222"
ENTRY = "hostpci-known-good.conf"
REFRESH = RefreshStep(code="esp-refresh", argv=("proxmox-boot-tool", "refresh"))
TRIAL = Trial(within_s=600)


def recorded() -> RecordedHost:
    host = systemd_boot_on_esp(
        RecordedHost().with_only("0000:01:00"), AAAA_1111="uefi", BBBB_2222="uefi"
    )
    return host.with_file("/usr/bin/bootctl", "").with_file("/etc/systemd/system/keep", "")


@pytest.fixture
def host(tmp_path: Path) -> EspHost:
    return EspHost(tmp_path, recorded(), ONE, TWO)


def planned(host: EspHost, *change: RefreshStep | CommandStep) -> TrialPlan:
    facts = collect(host.root, host.runner)
    ground = read_trial_facts(host.root, facts.loader.loader)
    wish = Wish(trial=TRIAL, command=("/usr/bin/tool",), language="en", run=3)
    return plan_trial(facts, ground, Plan(steps=change), wish)


def arm(host: EspHost, *change: RefreshStep) -> None:
    plan = planned(host, *change)
    Executor(host.machine).apply(plan.plan, "trial", plan.trial)


def undo(host: EspHost) -> None:
    Undoer(host.machine).undo(Journal(host.machine.files).history())


def set_variable(host: EspHost, name: str, entry: str) -> None:
    verb = {DEFAULT: "set-default", ONE_SHOT: "set-oneshot"}[name]
    host.runner.run(["bootctl", verb, entry], timeout_s=1)


def codes(plan: TrialPlan) -> list[str]:
    return [step.code for step in plan.plan.steps]


def notes(plan: TrialPlan) -> list[tuple[str, str]]:
    return [(note.code, note.subject) for note in plan.plan.notes]


def test_the_order_is_entry_one_shot_default(host: EspHost) -> None:
    plan = planned(host)
    assert codes(plan)[2:] == ["known-good-esp", "loader-one-shot", "loader-default"]
    assert plan.trial.one_shot == "systemd-boot"
    assert notes(plan)[0] == ("trial-one-shot", "systemd-boot-on-esp")
    entry = plan.plan.steps[2]
    assert isinstance(entry, EspEntryStep)
    assert entry.uuids == (ONE, TWO)
    assert f"options  {ROOT} hostpci=off\n" in entry.text
    assert "initrd=" not in entry.text


@pytest.mark.parametrize("change", [(REFRESH,), (rebuild_step(RecordedHost().release),)])
def test_what_the_change_writes_over_is_copied(host: EspHost, change: tuple[RefreshStep]) -> None:
    entry = planned(host, *change).plan.steps[2]
    assert isinstance(entry, EspEntryStep)
    assert [each.rpartition("/")[0] for each in entry.copies] == ["EFI/hostpci"] * 2
    assert all(f"/{each}\n" in entry.text for each in entry.copies)
    plain = planned(host).plan.steps[2]
    assert isinstance(plain, EspEntryStep)
    assert plain.copies == ()
    assert all(f"/{each}\n" in plain.text for each in plain.images)


def test_a_partition_that_is_not_there_is_named(tmp_path: Path) -> None:
    there = recorded()
    there.with_file("/etc/kernel/proxmox-boot-uuids", f"{ONE}\n{TWO}\nCCCC-3333\n")
    plan = planned(EspHost(tmp_path, there, ONE, TWO))
    assert ("trial-esp-without", "CCCC-3333") in notes(plan)
    entry = plan.plan.steps[2]
    assert isinstance(entry, EspEntryStep)
    assert entry.uuids == (ONE, TWO)


@pytest.mark.parametrize("what", ["bootctl", "line", "pattern"])
def test_where_it_cannot_be_done_it_is_said(host: EspHost, what: str) -> None:
    if what == "bootctl":
        host.file("/usr/bin/bootctl").unlink()
    elif what == "line":
        host.file(CMDLINE).unlink()
    else:
        set_variable(host, DEFAULT, "@saved")
    plan = planned(host)
    assert codes(plan) == ["trial-unit", "trial-start"]
    assert notes(plan)[0][0] == "trial-no-entry"
    assert plan.trial.one_shot == ""


def test_the_trial_boots_once_and_the_known_good_entry_after_it(host: EspHost) -> None:
    arm(host, REFRESH)
    for uuid in (ONE, TWO):
        one_shot = host.file(variable_path(ONE_SHOT)).read_bytes()
        assert host.boot_entry(uuid).startswith("proxmox-")
        assert host.boot_entry(uuid) == ENTRY
        assert host.boots(uuid, ENTRY)["linux"].startswith("/EFI/hostpci/vmlinuz-")
        host.file(variable_path(ONE_SHOT)).write_bytes(one_shot)
    assert not list(host.file("/run").glob(".hostpci-*"))


@pytest.mark.parametrize("has_booted", [False, True])
@pytest.mark.parametrize("theirs", [None, "windows.conf"])
def test_undo_gives_back_every_byte(
    host: EspHost,
    has_booted: bool,  # noqa: FBT001
    theirs: str | None,
) -> None:
    if theirs:
        set_variable(host, DEFAULT, theirs)
    root, esps = host.root_print(), host.esp_print()
    arm(host, REFRESH)
    assert host.esp_print().keys() > esps.keys()
    if has_booted:
        host.file(variable_path(ONE_SHOT)).unlink()
    undo(host)
    assert host.root_print() == root
    assert host.esp_print() == esps
    assert not any(each.name == "hostpci" for each in host.esps.rglob("*"))


def test_a_default_that_somebody_chose_since_stays(host: EspHost) -> None:
    arm(host)
    set_variable(host, DEFAULT, "other.conf")
    undo(host)
    run = Journal(host.machine.files).history().runs[0]
    assert run.kept == (variable_path(DEFAULT),)
    assert "o\0t\0h\0e\0r\0" in host.file(variable_path(DEFAULT)).read_bytes().decode()


def test_a_default_that_was_chosen_before_is_what_the_trial_boots(host: EspHost) -> None:
    set_variable(host, DEFAULT, "mine.conf")
    variables = [s for s in planned(host).plan.steps if isinstance(s, LoaderVariableStep)]
    assert [(s.before, s.after) for s in variables] == [(None, "mine.conf"), ("mine.conf", ENTRY)]


def test_a_partition_that_went_away_is_named_and_the_rest_goes(host: EspHost) -> None:
    arm(host)
    link = host.file(f"/dev/disk/by-uuid/{TWO}")
    link.rmdir() if link.is_dir() else link.unlink()
    undo(host)
    run = Journal(host.machine.files).history().runs[0]
    assert run.kept == (f"{TWO}:/loader/entries/{ENTRY}",)
    assert not (host.esps / ONE / "loader/entries" / ENTRY).exists()


def test_an_image_that_is_not_there_ends_it_before_any_variable(host: EspHost) -> None:
    plan = planned(host)
    next((host.esps / TWO).rglob("initrd.img-*")).unlink()
    with pytest.raises(ConflictError, match="esp-no-image"):
        Executor(host.machine).apply(plan.plan, "trial", plan.trial)
    assert not host.file(variable_path(DEFAULT)).exists()
    undo(host)
    assert not list(host.esps.rglob("hostpci*"))


def test_firmware_that_forgets_is_found_out(host: EspHost, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(host)
    run = EspRunner.run

    def forgetful(self: EspRunner, argv: list[str], **more: object) -> Completed:
        if argv[0] == "bootctl":
            return Completed(argv=tuple(argv), code=0, stdout="", stderr="")
        return run(self, argv, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(EspRunner, "run", forgetful)
    with pytest.raises(ConflictError, match="loader-variable"):
        Executor(host.machine).apply(plan.plan, "trial", plan.trial)


def test_no_room_for_copies_is_said_and_nothing_is_set(
    host: EspHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(host, REFRESH)
    monkeypatch.setattr(type(host.machine.files), "free_bytes", lambda *_: 0)
    with pytest.raises(EnvironmentFault, match="disk-full"):
        Executor(host.machine).apply(plan.plan, "trial", plan.trial)
    assert not host.file(variable_path(DEFAULT)).exists()


def test_what_is_given_up_boots_as_before_at_once(host: EspHost) -> None:
    arm(host, REFRESH)
    host.boot_entry(ONE)
    history = Journal(host.machine.files).history()
    watched = Executor(host.machine).apply(Plan(steps=(REFRESH,)), "apply")
    Trials(host.machine).give_up(history.runs[0], watched, Reason.KNOWN_GOOD, ())
    assert host.boot_entry(ONE).startswith("proxmox-")
    assert (host.esps / ONE / "loader/entries" / ENTRY).exists()


def test_the_known_good_boot_is_known_for_what_it_is() -> None:
    host = recorded()
    name = f"initrd.img-{host.release}"
    host.with_file("/proc/cmdline", f"initrd=\\EFI\\hostpci\\{name} {ROOT} hostpci=off\n")
    facts = host.facts()
    assert facts.loader.loader == "systemd-boot-on-esp"
    assert dataclasses.asdict(facts.loader)["doubt"] == ""
