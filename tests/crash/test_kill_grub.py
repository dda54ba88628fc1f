"""grub.cfg is whole at every moment, though the program that makes it writes piece by piece."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from hostpci.executor.apply import Executor, Machine
from hostpci.executor.journal import read_history
from hostpci.executor.undo import Undoer
from hostpci.host.files import HostFiles
from hostpci.host.root import TreeRoot
from hostpci.host.runner import Completed, Runner
from hostpci.model.plan import CommandStep, Plan
from hostpci.planner.commandline import command_line_steps

from ..hosts import RecordedHost
from .dying import call_and_die

GRUB_CFG = "boot/grub/grub.cfg"
OLD, NEW = b"menuentry 'of before'\n" * 9, b"menuentry 'of now'\n" * 9
_TOO_MANY = 400


class MkConfig(Runner):
    """grub-mkconfig 2.06 empties the file that it is told to write, and then fills it."""

    def __init__(self, base: Path) -> None:
        self._base = base

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        keep: Callable[[Iterable[str]], Iterable[str]] | None = None,
    ) -> Completed:
        path = argv[2] if argv[1:2] == ("-o",) else "/boot/grub/grub.cfg"
        for name in (f"{path}.new", path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            descriptor = os.open(self._base / name.lstrip("/"), flags, 0o600)
            left = NEW
            while left:
                left = left[os.write(descriptor, left) :]
            os.close(descriptor)
        os.unlink(self._base / f"{path}.new".lstrip("/"))
        return Completed(argv=tuple(argv), code=0, stdout="", stderr="")


def machine(tree: Path) -> Machine:
    files = HostFiles(str(tree))
    return Machine(files=files, runner=MkConfig(tree), is_live=False, boot_id="one")


def grub_step() -> CommandStep:
    step = command_line_steps(RecordedHost().facts(), ("iommu=pt",))[-1]
    assert isinstance(step, CommandStep)
    return step


def host_with_grub(tree: Path) -> Path:
    (tree / "boot/grub").mkdir(parents=True)
    (tree / GRUB_CFG).write_bytes(OLD)
    (tree / GRUB_CFG).chmod(0o444)
    (tree / "var/lib").mkdir(parents=True)
    return tree


def apply(tree: Path) -> int:
    HostFiles(str(tree)).make_directories("/var/lib/hostpci", 0o700)
    Executor(machine(tree)).apply(Plan(steps=(grub_step(),)), verb="apply")
    return 0


def undo(tree: Path) -> int:
    there = machine(tree)
    Undoer(there).undo(read_history(TreeRoot(str(tree))))
    return 0


def names(tree: Path) -> list[str]:
    return sorted(str(each.relative_to(tree)) for each in (tree / "boot").rglob("*"))


def survivors(bench: Path, act: Callable[[Path], int], prepare: Callable[[Path], object]) -> int:
    """Kill ``act`` at every moment; grub.cfg must be whole, and undo must give all back."""
    for moment in range(1, _TOO_MANY):
        tree = host_with_grub(bench / f"cut-{moment}")
        prepare(tree)
        code = call_and_die(moment, lambda here=tree: act(here))  # type: ignore[misc]
        assert (tree / GRUB_CFG).read_bytes() in (OLD, NEW), f"torn at moment {moment}"
        undo(tree)
        assert (tree / GRUB_CFG).read_bytes() == OLD
        assert (tree / GRUB_CFG).stat().st_mode & 0o777 == 0o444
        assert names(tree) == ["boot/grub", GRUB_CFG]
        assert not list((tree / "var/lib/hostpci").glob("grub.cfg*"))
        if code == 0:
            return moment
    pytest.fail("never came to its end")


def test_a_cut_while_grub_cfg_is_made_leaves_the_old_one_or_the_new_one(bench: Path) -> None:
    assert survivors(bench, apply, lambda _: None) > 20


def test_a_cut_while_it_is_given_back_leaves_one_of_the_two(bench: Path) -> None:
    assert survivors(bench, undo, apply) > 5


def test_a_program_that_ends_well_and_writes_nothing_changes_nothing(
    bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = host_with_grub(bench / "host")
    monkeypatch.setattr("tests.crash.test_kill_grub.NEW", b"")
    with pytest.raises(Exception, match="command-made-nothing"):
        apply(tree)
    assert (tree / GRUB_CFG).read_bytes() == OLD
