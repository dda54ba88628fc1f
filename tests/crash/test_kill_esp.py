"""SIGKILL at every moment of a change that boots from ESPs: the next apply or undo finishes it.

Cut is also what the host's own programs do: the tool may be killed between two partitions, and
a partition may stay mounted.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hostpci.executor.apply import Executor
from hostpci.executor.journal import Journal
from hostpci.executor.undo import Undoer
from hostpci.facts.collect import collect
from hostpci.model.plan import Plan
from hostpci.planner.commandline import loader_update, word_edits
from hostpci.planner.plan import rebuild_step

from ..esp_world import EspHost
from ..hosts import RecordedHost
from ..loaders import grub_on_esp, systemd_boot_on_esp
from .dying import call_and_die

WORDS = ("iommu=pt", "intel_iommu=on")
_KILLED = -9
_TOO_MANY = 600


def sd_host(directory: Path) -> EspHost:
    host = systemd_boot_on_esp(RecordedHost().with_only("0000:01:00"), AAAA_1111="uefi")
    return EspHost(directory, host, "AAAA-1111")


def grub_host(directory: Path) -> EspHost:
    host = grub_on_esp(RecordedHost().with_only("0000:01:00"), efi=True, AAAA_1111="grub")
    return EspHost(directory, host, "AAAA-1111")


MAKERS = {"systemd-boot": sd_host, "grub": grub_host}


@pytest.fixture
def bench() -> Iterator[Path]:
    memory = Path("/dev/shm")
    where = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=where, prefix="hostpci-test-") as directory:
        yield Path(directory)


def plan_of(host: EspHost) -> Plan:
    """Words and an image, all in one run."""
    facts = collect(host.root, host.runner)
    edits = word_edits(facts, WORDS)
    image = rebuild_step(facts.kernel.release)
    plan = Plan(steps=(*edits, image, *loader_update(facts, edits)))
    assert len(plan.steps) == 3
    return plan


class Bench:
    """One host as it comes and one to which everything was done, and copies of both to kill."""

    def __init__(self, loader: str, directory: Path) -> None:
        self._directory = directory
        self.factory = MAKERS[loader](directory / "factory")
        self.plan = plan_of(self.factory)
        for name in ("lib", "usr", "sys/bus", "sys/class", "sys/kernel"):  # nobody reads it now
            shutil.rmtree(self.factory.file(f"/{name}"), ignore_errors=True)
        self.applied = self.factory.copied(directory / "applied")
        self.apply(self.applied)

    def apply(self, host: EspHost) -> int:
        run = Journal(host.machine.files).interrupted()
        if run is not None:
            Executor(host.machine).finish(run)
        elif not Journal(host.machine.files).history().runs:
            Executor(host.machine).apply(self.plan, "apply")
        return 0

    def undo(self, host: EspHost) -> int:
        Undoer(host.machine).undo(Journal(host.machine.files).history())
        return 0

    def cuts(self, start: EspHost, work: Callable[[EspHost], int]) -> Iterator[tuple[int, EspHost]]:
        for moment in range(1, _TOO_MANY):
            place = self._directory / f"cut-{moment}"
            host = start.copied(place)
            code = call_and_die(moment, lambda host=host: work(host))  # type: ignore[misc]
            if code == 0:
                assert moment > 40, "the harness did not cut anything"
                return
            assert code == _KILLED, f"moment {moment}: exit {code}"
            yield moment, host
            shutil.rmtree(place)
        pytest.fail("the run never ended")

    def expect_factory(self, host: EspHost, moment: int) -> None:
        assert host.root_print() == self.factory.root_print(), moment
        assert host.esp_print() == self.factory.esp_print(), moment
        assert nothing_mounted(host), moment


@pytest.fixture(params=sorted(MAKERS))
def hosts(request: pytest.FixtureRequest, bench: Path) -> Bench:
    return Bench(request.param, bench)


def nothing_mounted(host: EspHost) -> bool:
    return list(host.file("/run").glob(".hostpci-*")) == []


def _words_on(host: EspHost) -> list[str]:
    texts = [*host.esps.rglob("*.conf"), *host.esps.rglob("grub.cfg")]
    return sorted(each.read_text() for each in texts)


def test_a_killed_apply_is_finished_by_apply(hosts: Bench) -> None:
    for moment, host in hosts.cuts(hosts.factory, hosts.apply):
        hosts.apply(host)
        assert host.esp_print().keys() == hosts.applied.esp_print().keys(), moment
        assert _words_on(host) == _words_on(hosts.applied), moment
        assert nothing_mounted(host), moment


def test_a_killed_apply_is_taken_back_by_undo(hosts: Bench) -> None:
    for moment, host in hosts.cuts(hosts.factory, hosts.apply):
        hosts.undo(host)
        hosts.expect_factory(host, moment)


def test_a_killed_undo_is_finished_by_undo(hosts: Bench) -> None:
    for moment, host in hosts.cuts(hosts.applied, hosts.undo):
        hosts.undo(host)
        hosts.expect_factory(host, moment)
