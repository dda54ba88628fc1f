"""SIGKILL at every moment of attach and its undo, also between a call to PVE and the journal.

PVE's state lies in a file that the fake node writes anew for each call: every call is a moment too.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hostpci.executor.apply import Executor
from hostpci.executor.journal import Journal
from hostpci.executor.undo import Undoer
from hostpci.model.plan import Plan

from ..attach_world import World
from ..pvenode.doors import shell
from ..pvenode.node import Node
from .dying import call_and_die

_KILLED = -9
_TOO_MANY = 400
_WISHES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "address": ({}, {}),
    "mapping": ({"machine": "pc-i440fx-8.1"}, {"mapping": "gpu", "fixes": ("balloon",)}),
    "new disk": ({"efidisk0": None}, {"fixes": ("efidisk",)}),
}


class Bench:
    """Factory and attached, on disk, and copies of both to kill."""

    def __init__(self, name: str, directory: Path) -> None:
        config, wish = _WISHES[name]
        self._directory = directory
        made = World(**config)
        self.factory = self._settle(directory / "factory", made.node.state)
        self.plan: Plan = made.plan(**wish).plan
        self.attached = directory / "attached"
        shutil.copytree(self.factory, self.attached)
        self.apply(self.attached)

    @staticmethod
    def _settle(place: Path, state: dict[str, Any]) -> Path:
        (place / "tree").mkdir(parents=True)
        (place / "pve").mkdir()
        node = Node(copy.deepcopy(state), home=place / "pve")
        node.save()
        return place

    @staticmethod
    def world(place: Path) -> World:
        world = World(place / "tree")
        world.node = Node(home=place / "pve")
        world.pve = shell(world.node)
        return world

    def apply(self, place: Path) -> int:
        machine = self.world(place).machine
        run = Journal(machine.files).interrupted()
        if run is not None:
            Executor(machine).finish(run)
        elif not Journal(machine.files).history().runs:
            Executor(machine).apply(self.plan, "attach")
        return 0

    def undo(self, place: Path) -> int:
        machine = self.world(place).machine
        Undoer(machine).undo(Journal(machine.files).history())
        return 0

    def cuts(self, start: Path, work: Callable[[Path], int]) -> Iterator[tuple[int, Path]]:
        for moment in range(1, _TOO_MANY):
            place = self._directory / f"cut-{moment}"
            shutil.copytree(start, place)
            code = call_and_die(moment, lambda place=place: work(place))  # type: ignore[misc]
            if code == 0:
                assert moment > 30, "the harness did not cut anything"
                return
            assert code == _KILLED, f"moment {moment}: exit {code}"
            yield moment, place
            shutil.rmtree(place)
        pytest.fail("the run never ended")

    def state(self, place: Path) -> dict[str, Any]:
        """Machines, mappings and volumes; tasks and their numbers differ."""
        node = Node(home=place / "pve")
        node.load()
        return {key: node.state[key] for key in ("vms", "mappings", "storages")}


@pytest.fixture(params=sorted(_WISHES))
def at(request: pytest.FixtureRequest, bench: Path) -> Bench:
    return Bench(request.param, bench)


def test_a_killed_attach_is_finished(at: Bench) -> None:
    wanted = at.state(at.attached)
    for moment, place in at.cuts(at.factory, at.apply):
        at.apply(place)
        assert at.state(place) == wanted, moment


def test_a_killed_attach_is_taken_back(at: Bench) -> None:
    wanted = at.state(at.factory)
    for moment, place in at.cuts(at.factory, at.apply):
        at.undo(place)
        assert at.state(place) == wanted, moment


def test_a_killed_undo_is_finished(at: Bench) -> None:
    wanted = at.state(at.factory)
    for moment, place in at.cuts(at.attached, at.undo):
        at.undo(place)
        assert at.state(place) == wanted, moment
