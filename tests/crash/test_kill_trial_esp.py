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
from hostpci.planner.edits.grubmenu import ENTRY_ID

from ..esp_world import EspHost
from ..unit import test_esp_grub
from ..unit.test_esp_entry import ENTRY, ONE, REFRESH, TWO, planned, recorded
from .dying import call_and_die
from .test_kill_esp import bench, nothing_mounted

__all__ = ["bench"]
Cuts = Callable[[EspHost, Callable[[EspHost], int]], Iterator[tuple[int, EspHost]]]
_KILLED = -9
_TOO_MANY = 600


RECORDED = {"systemd-boot": recorded, "grub": test_esp_grub.recorded}
KNOWN_GOOD = {ENTRY, ENTRY_ID}


@pytest.fixture(params=sorted(RECORDED))
def loader(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def factory(bench: Path, loader: str) -> EspHost:
    host = EspHost(bench / "factory", RECORDED[loader](), ONE, TWO)
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


@pytest.fixture
def arm(bench: Path, loader: str) -> Callable[[EspHost], int]:
    plan = planned(EspHost(bench / "look", RECORDED[loader](), ONE, TWO), REFRESH)

    def arm(on: EspHost) -> int:
        run = Journal(on.machine.files).interrupted()
        if run is not None:
            Executor(on.machine).finish(run)
        elif not Journal(on.machine.files).history().runs:
            Executor(on.machine).apply(plan.plan, "trial", plan.trial)
        return 0

    return arm


@pytest.fixture
def armed(factory: EspHost, arm: Callable[[EspHost], int], bench: Path) -> EspHost:
    host = factory.copied(bench / "armed")
    arm(host)
    return host


def undo(host: EspHost) -> int:
    Undoer(host.machine).undo(Journal(host.machine.files).history())
    return 0


def expect_a_boot(host: EspHost) -> set[str]:
    """Whatever partition the firmware takes, its loader starts something that is there whole."""
    host.runner.lose_power()
    variable = host.file(variable_path(ONE_SHOT))
    asked = variable.read_bytes() if variable.exists() else None
    entries = set()
    for uuid in (ONE, TWO):
        entry = host.boot_entry(uuid)
        host.boots(uuid, entry)
        entries.add(entry)
        if asked is not None:
            variable.write_bytes(asked)
    return entries


def test_an_arming_that_was_cut_boots_as_before_and_undo_ends_it(
    factory: EspHost, cuts: Cuts, arm: Callable[[EspHost], int]
) -> None:
    root, esps = factory.root_print(), factory.esp_print()
    for moment, host in cuts(factory, arm):
        assert not expect_a_boot(host) & KNOWN_GOOD, moment
        undo(host)
        assert host.root_print() == root, moment
        assert host.esp_print() == esps, moment
        assert nothing_mounted(host), moment


def test_an_arming_that_was_killed_is_finished_by_the_same_command(
    factory: EspHost, armed: EspHost, cuts: Cuts, arm: Callable[[EspHost], int]
) -> None:
    root, esps = armed.root_print(), armed.esp_print()
    for moment, host in cuts(factory, arm):
        arm(host)
        assert host.root_print() == root, moment
        assert host.esp_print() == esps, moment
        assert nothing_mounted(host), moment


def test_an_undo_that_was_killed_boots_and_is_finished_by_undo(
    factory: EspHost, armed: EspHost, cuts: Cuts
) -> None:
    root, esps = factory.root_print(), factory.esp_print()
    for moment, host in cuts(armed, undo):
        expect_a_boot(host)
        undo(host)
        assert host.root_print() == root, moment
        assert host.esp_print() == esps, moment
        assert nothing_mounted(host), moment


@pytest.mark.parametrize("ends_well", [True, False])
def test_the_end_of_a_trial_can_be_cut_too(
    factory: EspHost,
    armed: EspHost,
    cuts: Cuts,
    ends_well: bool,  # noqa: FBT001
) -> None:
    root, esps = factory.root_print(), factory.esp_print()
    Executor(armed.machine).apply(Plan(steps=(REFRESH,)), "apply")
    armed.boot_entry(ONE)

    def end(host: EspHost) -> int:
        trial, watched = Journal(host.machine.files).history().runs
        if ends_well:
            Trials(host.machine).confirm(trial, By.PERSON)
        else:
            Trials(host.machine).give_up(trial, watched, Reason.KNOWN_GOOD, ())
        return 0

    for moment, host in cuts(armed, end):
        expect_a_boot(host)
        end(host)
        assert not expect_a_boot(host) & KNOWN_GOOD, moment
        trial = Journal(host.machine.files).history().runs[0]
        Trials(host.machine).clear(trial)
        assert host.esp_print() == esps, moment
        assert host.root_print() == root, moment
