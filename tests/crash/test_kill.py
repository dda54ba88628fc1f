"""SIGKILL at every moment that touches the disk: the next apply or undo finishes the job."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hostpci.demo.scratch import fingerprint

from ..hosts import RecordedHost
from .dying import run_and_die

OURS = ("/var/lib/hostpci",)
RULE = "/etc/udev/rules.d/10-hostpci-0000-01-00.rules"
_KILLED = -9
_TOO_MANY = 400


_NEVER = 10**9
_DONE = (0, 5)


def run(moment: int, tree: Path, *words: str) -> int:
    return run_and_die(moment, [*words, "--root", str(tree), "--yes"])


def whole(tree: Path, *words: str) -> None:
    assert run(_NEVER, tree, *words) in _DONE


def copy(start: Path, target: Path) -> Path:
    """A copy that shares what hostpci only ever replaces, and copies what it appends to."""

    def link_or_copy(source: str, destination: str) -> None:
        (shutil.copy2 if "/var/lib/hostpci/" in source else os.link)(source, destination)

    shutil.copytree(start, target, symlinks=True, copy_function=link_or_copy)
    return target


@pytest.fixture(scope="module")
def factory(disk: Path) -> Path:
    directory = disk / "factory"
    RecordedHost().with_only("0000:01:00").tree(directory)
    return directory


@pytest.fixture(scope="module")
def claimed(factory: Path, disk: Path) -> Path:
    directory = disk / "claimed"
    copy(factory, directory)
    whole(directory, "claim", "01:00")
    return directory


@pytest.fixture(scope="module")
def applied(claimed: Path, disk: Path) -> Path:
    directory = disk / "applied"
    copy(claimed, directory)
    whole(directory, "apply")
    return directory


def cuts(start: Path, bench: Path, *words: str) -> Iterator[tuple[int, Path]]:
    """As ``cuts_of``, of one command line."""
    return cuts_of(start, bench, lambda moment, tree: run(moment, tree, *words))


def cuts_of(
    start: Path, bench: Path, act: Callable[[int, Path], int]
) -> Iterator[tuple[int, Path]]:
    """Yield a fresh copy of ``start`` killed at moment 1, 2, 3, ... until the run survives."""
    for moment in range(1, _TOO_MANY):
        tree = bench / f"cut-{moment}"
        copy(start, tree)
        code = act(moment, tree)
        if code in _DONE:
            assert moment > 20, "the harness did not cut anything"
            shutil.rmtree(tree)
            return
        assert code == _KILLED, f"moment {moment}: exit {code}"
        yield moment, tree
        shutil.rmtree(tree)
    pytest.fail("the run never ended")


def no_leftovers(tree: Path) -> list[str]:
    return [path for path in fingerprint(str(tree)) if path.endswith(".tmp")]


def test_apply_finishes_an_apply_that_was_killed_anywhere(
    claimed: Path, applied: Path, bench: Path
) -> None:
    wanted = fingerprint(str(applied), OURS)
    for moment, tree in cuts(claimed, bench, "apply"):
        whole(tree, "apply")
        assert fingerprint(str(tree), OURS) == wanted, moment
        assert no_leftovers(tree) == [], moment


def test_undo_takes_back_an_apply_that_was_killed_anywhere(
    claimed: Path, factory: Path, bench: Path
) -> None:
    wanted = fingerprint(str(factory), OURS)
    for moment, tree in cuts(claimed, bench, "apply"):
        whole(tree, "undo")
        assert fingerprint(str(tree), OURS) == wanted, moment
        assert no_leftovers(tree) == [], moment


def test_a_killed_claim_is_finished_by_apply_or_taken_back_by_undo(
    factory: Path, claimed: Path, applied: Path, bench: Path
) -> None:
    factory_print = fingerprint(str(factory), OURS)
    applied_print = fingerprint(str(applied), OURS)
    for moment, tree in cuts(factory, bench, "claim", "01:00"):
        other = bench / "other"
        copy(tree, other)
        whole(tree, "apply")
        # Cut before its first entry, the claim never happened, and there is nothing to finish.
        assert fingerprint(str(tree), OURS) in (factory_print, applied_print), moment
        whole(other, "undo")
        assert fingerprint(str(other), OURS) == factory_print, moment
        shutil.rmtree(other)


def test_a_killed_undo_is_finished_by_undo(applied: Path, factory: Path, bench: Path) -> None:
    wanted = fingerprint(str(factory), OURS)
    for moment, tree in cuts(applied, bench, "undo"):
        whole(tree, "undo")
        assert fingerprint(str(tree), OURS) == wanted, moment
        assert no_leftovers(tree) == [], moment


def test_at_no_moment_is_a_file_half_written(claimed: Path, bench: Path) -> None:
    whole_tree = bench / "whole"
    copy(claimed, whole_tree)
    whole(whole_tree, "apply")
    complete = Path(f"{whole_tree}{RULE}").read_bytes()
    for moment, tree in cuts(claimed, bench, "apply"):
        found = Path(f"{tree}{RULE}")
        assert not found.exists() or found.read_bytes() == complete, moment
