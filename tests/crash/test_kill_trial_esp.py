"""SIGKILL at every moment of a trial on boot partitions: what boots next boots, and all ends."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hostpci.executor.apply import Executor
from hostpci.executor.journal import Journal
from hostpci.executor.trial import Trials
from hostpci.executor.undo import Undoer
from hostpci.model.efivar import ONE_SHOT, variable_path
from hostpci.model.plan import Plan
from hostpci.model.trial import By, Reason

from ..esp_world import EspHost
from ..unit.test_esp_entry import ENTRY, ONE, REFRESH, TWO, planned, recorded
from .dying import call_and_die
from .test_kill_esp import bench, nothing_mounted

__all__ = ["bench"]
Cuts = Callable[[EspHost, Callable[[EspHost], int]], Iterator[tuple[int, EspHost]]]
_KILLED = -9
_TOO_MANY = 600


@pytest.fixture
def factory(bench: Path) -> EspHost:
    host = EspHost(bench / "factory", recorded(), ONE, TWO)
    for name in (
        "lib",
        "usr",
        "sys/bus",
        "sys/class",
        "sys/kernel",
        "sys/devices",
    ):  # nobody reads it now
        shutil.rmtree(host.file(f"/{name}"), ignore_errors=True)
    return host


@pytest.fixture
def cuts(bench: Path) -> Cuts:
    def all_cuts(start: EspHost, work: Callable[[EspHost], int]) -> Iterator[tuple[int, EspHost]]:
        for moment in range(1, _TOO_MANY):
            host = start.copied(bench / f"cut-{moment}")
            code = call_and_die(moment, lambda host=host: work(host))  # type: ignore[misc]
            if code == 0:
                assert moment > 20, "the harness did not cut anything"
                return
            assert code == _KILLED, f"moment {moment}: exit {code}"
            yield moment, host
            shutil.rmtree(bench / f"cut-{moment}")
        pytest.fail("the run never ended")

    return all_cuts


def armer(host: EspHost) -> Callable[[EspHost], int]:
    plan = planned(host, REFRESH)

    def arm(on: EspHost) -> int:
        run = Journal(on.machine.files).interrupted()
        if run is not None:
            Executor(on.machine).finish(run)
        elif not Journal(on.machine.files).history().runs:
            Executor(on.machine).apply(plan.plan, "trial", plan.trial)
        return 0

    return arm


def armed(factory: EspHost, directory: Path) -> EspHost:
    host = factory.copied(directory)
    arm = armer(EspHost(directory / "look", recorded(), ONE, TWO))
    arm(host)
    return host


def undo(host: EspHost) -> int:
    Undoer(host.machine).undo(Journal(host.machine.files).history())
    return 0


def expect_a_boot(host: EspHost, moment: int) -> str:
    """Whatever partition the firmware takes, its loader starts something that is there whole."""
    host.runner.lose_power()
    variable = host.file(variable_path(ONE_SHOT))
    asked = variable.read_bytes() if variable.exists() else None
    entries = set()
    for uuid in (ONE, TWO):
        entries.add(host.boot_entry(uuid))
        for entry in entries:
            host.boots(uuid, entry)
        if asked is not None:
            variable.write_bytes(asked)
    assert len(entries) == 1, moment
    return entries.pop()


def test_an_arming_that_was_cut_boots_as_before_and_undo_ends_it(
    factory: EspHost, cuts: Cuts, bench: Path
) -> None:
    root, esps = factory.root_print(), factory.esp_print()
    arm = armer(EspHost(bench / "look", recorded(), ONE, TWO))
    for moment, host in cuts(factory, arm):
        assert expect_a_boot(host, moment).startswith("proxmox-"), moment
        undo(host)
        assert host.root_print() == root, moment
        assert host.esp_print() == esps, moment
        assert nothing_mounted(host), moment


def test_an_arming_that_was_killed_is_finished_by_the_same_command(
    factory: EspHost, cuts: Cuts, bench: Path
) -> None:
    arm = armer(EspHost(bench / "look", recorded(), ONE, TWO))
    whole = factory.copied(bench / "whole")
    arm(whole)
    root, esps = whole.root_print(), whole.esp_print()
    for moment, host in cuts(factory, arm):
        arm(host)
        assert host.root_print() == root, moment
        assert host.esp_print() == esps, moment
        assert nothing_mounted(host), moment


def test_an_undo_that_was_killed_boots_and_is_finished_by_undo(
    factory: EspHost, cuts: Cuts, bench: Path
) -> None:
    root, esps = factory.root_print(), factory.esp_print()
    for moment, host in cuts(armed(factory, bench / "armed"), undo):
        expect_a_boot(host, moment)
        undo(host)
        assert host.root_print() == root, moment
        assert host.esp_print() == esps, moment
        assert nothing_mounted(host), moment


@pytest.mark.parametrize("ends_well", [True, False])
def test_the_end_of_a_trial_can_be_cut_too(
    factory: EspHost,
    cuts: Cuts,
    bench: Path,
    ends_well: bool,  # noqa: FBT001
) -> None:
    root, esps = factory.root_print(), factory.esp_print()
    start = armed(factory, bench / "armed")
    Executor(start.machine).apply(Plan(steps=(REFRESH,)), "apply")
    start.boot_entry(ONE)

    def end(host: EspHost) -> int:
        trial, watched = Journal(host.machine.files).history().runs
        if ends_well:
            Trials(host.machine).confirm(trial, By.PERSON)
        else:
            Trials(host.machine).give_up(trial, watched, Reason.KNOWN_GOOD, ())
        return 0

    for moment, host in cuts(start, end):
        expect_a_boot(host, moment)
        end(host)
        assert expect_a_boot(host, moment) != ENTRY, moment
        trial = Journal(host.machine.files).history().runs[0]
        Trials(host.machine).clear(trial)
        assert host.esp_print() == esps, moment
        assert host.root_print() == root, moment
