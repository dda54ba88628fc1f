"""Carrying out and taking back: commands that rewrite files, surprises, copies, resumption."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from hostpci.demo.scratch import fingerprint
from hostpci.errors import BusyError, ConflictError, CorruptError, EnvironmentFault, ToolError
from hostpci.executor.apply import Executor, Machine, exclusive
from hostpci.executor.journal import Journal, _line
from hostpci.executor.undo import Undoer
from hostpci.host.files import HostFiles
from hostpci.host.runner import Completed, RealRunner, Runner
from hostpci.model.journal import Entry, FileImage, History, Intent, RunState, UndoIntent
from hostpci.model.plan import CommandStep, FileStep, Plan

OURS = ("/var/lib/hostpci",)
IMAGE = "/boot/initrd.img-6"
SUMS = "/var/lib/initramfs-tools/6"
RULE = "/etc/udev/rules.d/10-hostpci-0000-01-00.rules"
BUILD = CommandStep(
    code="initramfs-rebuild", argv=("update-initramfs", "-u", "-k", "6"), touches=(IMAGE, SUMS)
)
WRITE = FileStep(code="rule-write", path=RULE, before=None, after="rule\n")


class Builder(Runner):
    """update-initramfs on a tree: the image says which build it is and whether the rule is in."""

    def __init__(self, base: Path, *, dies: bool = False) -> None:
        self.base = base
        self.builds = 0
        self.dies = dies

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        keep: Callable[[Iterable[str]], Iterable[str]] | None = None,
    ) -> Completed:
        self.builds += 1
        rule = "with rule" if (self.base / RULE[1:]).exists() else "without rule"
        (self.base / IMAGE[1:]).write_text(f"build {self.builds} {rule}")
        if self.dies:
            raise EnvironmentFault(
                "command-failed", command="update-initramfs", status=1, reason="no space"
            )
        (self.base / SUMS[1:]).parent.mkdir(parents=True, exist_ok=True)
        (self.base / SUMS[1:]).write_text(f"sum {self.builds}")
        return Completed(argv=tuple(argv), code=0, stdout="", stderr="")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "boot").mkdir(parents=True)
    (root / "etc/udev/rules.d").mkdir(parents=True)
    (root / "var/lib").mkdir(parents=True)
    (root / IMAGE[1:]).write_bytes(b"\x00factory\xff" * 100_000)
    (root / IMAGE[1:]).chmod(0o600)
    return root


def machine(base: Path, *, dies: bool = False) -> Machine:
    runner = Builder(base, dies=dies)
    return Machine(files=HostFiles(str(base)), runner=runner, is_live=False, boot_id="")


def undo(on: Machine) -> None:
    Undoer(on).undo(Journal(on.files).history())


def test_a_rebuilt_image_and_its_checksum_get_their_old_bytes_back(base: Path) -> None:
    before, on = fingerprint(str(base), OURS), machine(base)
    Executor(on).apply(Plan(steps=(WRITE, BUILD)), "apply")
    assert (base / IMAGE[1:]).read_text() == "build 1 with rule"
    assert (base / SUMS[1:]).exists()
    undo(on)
    after = fingerprint(str(base), OURS)
    after.pop(SUMS, None)
    assert after == before
    assert not (base / SUMS[1:]).exists()


def test_an_image_that_the_host_rebuilt_since_is_built_again_without_us(base: Path) -> None:
    on = machine(base)
    Executor(on).apply(Plan(steps=(WRITE, BUILD)), "apply")
    (base / IMAGE[1:]).write_text("a kernel update built this, with rule")
    undo(on)
    assert (base / IMAGE[1:]).read_text() == "build 2 without rule"
    assert Journal(on.files).history().runs[0].state is RunState.UNDONE


def test_an_image_of_a_kernel_that_was_removed_since_stays_removed(base: Path) -> None:
    on = machine(base)
    Executor(on).apply(Plan(steps=(WRITE, BUILD)), "apply")
    (base / IMAGE[1:]).unlink()
    (base / SUMS[1:]).unlink()
    undo(on)
    assert not (base / IMAGE[1:]).exists()
    assert not (base / RULE[1:]).exists()


def test_a_command_that_failed_half_way_is_taken_back_whole(base: Path) -> None:
    before = fingerprint(str(base), OURS)
    on = machine(base, dies=True)
    with pytest.raises(EnvironmentFault, match="command-failed"):
        Executor(on).apply(Plan(steps=(WRITE, BUILD)), "apply")
    assert Journal(on.files).history().runs[0].state is RunState.APPLYING
    undo(machine(base))
    assert fingerprint(str(base), OURS) == before


def test_a_command_that_failed_half_way_is_finished_by_the_next_apply(base: Path) -> None:
    before = fingerprint(str(base), OURS)
    with pytest.raises(EnvironmentFault):
        Executor(machine(base, dies=True)).apply(Plan(steps=(WRITE, BUILD)), "apply")
    on = machine(base)
    cut = Journal(on.files).interrupted()
    assert cut is not None
    assert Executor(on).finish(cut).state is RunState.APPLIED
    undo(on)
    after = fingerprint(str(base), OURS)
    after.pop(SUMS, None)
    assert after == before, "the copy of the first attempt is the one that counts"


def test_a_damaged_copy_is_never_put_back_the_file_is_made_anew(base: Path) -> None:
    on = machine(base)
    Executor(on).apply(Plan(steps=(WRITE, BUILD)), "apply")
    (kept,) = (base / "var/lib/hostpci/kept").iterdir()
    kept.write_bytes(b"rotten")
    undo(on)
    assert (base / IMAGE[1:]).read_text() == "build 2 without rule"
    assert not (base / RULE[1:]).exists()


def test_an_image_the_host_built_after_a_failed_command_is_never_lost(base: Path) -> None:
    with pytest.raises(EnvironmentFault):
        Executor(machine(base, dies=True)).apply(Plan(steps=(WRITE, BUILD)), "apply")
    (base / IMAGE[1:]).write_text("a kernel update built this")
    undo(machine(base))
    assert (base / IMAGE[1:]).read_text() == "build 1 without rule"


def test_the_host_s_new_image_is_what_a_retried_command_is_taken_back_to(base: Path) -> None:
    with pytest.raises(EnvironmentFault):
        Executor(machine(base, dies=True)).apply(Plan(steps=(WRITE, BUILD)), "apply")
    (base / IMAGE[1:]).write_text("a kernel update built this")
    on = machine(base)
    cut = Journal(on.files).interrupted()
    assert cut is not None
    Executor(on).finish(cut)
    undo(on)
    assert (base / IMAGE[1:]).read_text() == "a kernel update built this"


class Killed(Builder):
    """The machine goes down while the program runs: no result, no failure, no entry."""

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        keep: Callable[[Iterable[str]], Iterable[str]] | None = None,
    ) -> Completed:
        super().run(argv, timeout_s=timeout_s, keep=keep)
        raise KeyboardInterrupt


@pytest.mark.parametrize(("boot_id", "content"), [("", None), ("another", "build 1 without rule")])
def test_after_a_cut_in_a_command_its_bytes_are_ours_only_in_the_same_boot(
    base: Path, boot_id: str, content: str | None
) -> None:
    factory = (base / IMAGE[1:]).read_bytes()
    on = Machine(files=HostFiles(str(base)), runner=Killed(base), is_live=False, boot_id="")
    with pytest.raises(KeyboardInterrupt):
        Executor(on).apply(Plan(steps=(WRITE, BUILD)), "apply")
    later = Machine(
        files=HostFiles(str(base)), runner=Builder(base), is_live=False, boot_id=boot_id
    )
    undo(later)
    assert (base / IMAGE[1:]).read_bytes() == (content.encode() if content else factory)


def test_copies_are_dropped_when_nobody_can_need_them(base: Path) -> None:
    on = machine(base)
    Executor(on).apply(Plan(steps=(BUILD,)), "apply")
    journal = Journal(on.files)
    journal.drop_copies()
    assert len(list((base / "var/lib/hostpci/kept").iterdir())) == 1
    undo(on)
    journal.drop_copies()
    assert list((base / "var/lib/hostpci/kept").iterdir()) == []


def test_a_file_that_changed_between_plan_and_step_stops_the_run_before_it(base: Path) -> None:
    on = machine(base)
    second = FileStep(code="rule-write", path="/etc/second", before="expected\n", after="new\n")
    (base / "etc/second").write_text("surprise\n")
    with pytest.raises(ConflictError, match="file-changed"):
        Executor(on).apply(Plan(steps=(WRITE, second)), "apply")
    assert (base / "etc/second").read_text() == "surprise\n"
    assert (base / RULE[1:]).read_text() == "rule\n"
    undo(on)
    assert not (base / RULE[1:]).exists()
    assert (base / "etc/second").read_text() == "surprise\n"


def test_directories_that_a_step_made_go_with_it(base: Path) -> None:
    on, step = machine(base), FileStep(code="x", path="/etc/a/b/c", before=None, after="x")
    Executor(on).apply(Plan(steps=(step,)), "apply")
    assert (base / "etc/a/b/c").exists()
    undo(on)
    assert not (base / "etc/a").exists()


def test_a_removed_file_comes_back_with_its_mode(base: Path) -> None:
    (base / "etc/x").write_text("old")
    (base / "etc/x").chmod(0o604)
    before, on = fingerprint(str(base), OURS), machine(base)
    step = FileStep(code="rule-remove", path="/etc/x", before="old", after=None)
    Executor(on).apply(Plan(steps=(step,)), "apply")
    assert not (base / "etc/x").exists()
    undo(on)
    assert fingerprint(str(base), OURS) == before


def test_runs_are_taken_back_newest_first(base: Path) -> None:
    on = machine(base)
    texts = [None, "one", "two", "three"]
    for old, new in pairwise(texts):
        step = FileStep(code="claim-write", path="/etc/x", before=old, after=new)
        Executor(on).apply(Plan(steps=(step,)), "claim")
    newest = Journal(on.files).history().runs[-1]
    Undoer(on).undo(History(runs=(newest,)))
    assert (base / "etc/x").read_text() == "two"
    undo(on)
    assert not (base / "etc/x").exists()


def test_everything_is_looked_at_before_anything_is_taken_back(base: Path) -> None:
    on = machine(base)
    steps = tuple(
        FileStep(code="x", path=f"/etc/{name}", before=None, after=name) for name in "abc"
    )
    Executor(on).apply(Plan(steps=steps), "apply")
    (base / "etc/a").write_text("mine now")
    with pytest.raises(ConflictError, match="in-the-way"):
        undo(on)
    assert (base / "etc/c").read_text() == "c", "the last step was not taken back either"


def test_an_edit_between_two_runs_is_in_the_way_of_the_older_one(base: Path) -> None:
    on = machine(base)
    first = FileStep(code="claim-write", path="/etc/x", before=None, after="one\n")
    Executor(on).apply(Plan(steps=(first,)), "claim")
    with (base / "etc/x").open("a") as stream:
        stream.write("# mine\n")
    second = FileStep(code="claim-write", path="/etc/x", before="one\n# mine\n", after="two\n")
    Executor(on).apply(Plan(steps=(second,)), "claim")
    with pytest.raises(ConflictError, match="in-the-way"):
        undo(on)
    assert (base / "etc/x").read_text() == "two\n"
    runs = Undoer(on, skip_changed=True).undo(Journal(on.files).history())
    assert (base / "etc/x").read_text() == "one\n# mine\n"
    assert [run.kept for run in runs] == [(), ("/etc/x",)]


@pytest.mark.parametrize("occupant", ["link", "directory"])
def test_what_is_no_file_any_more_is_in_the_way_and_kept(base: Path, occupant: str) -> None:
    on = machine(base)
    Executor(on).apply(Plan(steps=(WRITE,)), "apply")
    rule = base / RULE[1:]
    rule.unlink()
    if occupant == "link":
        rule.symlink_to("/dev/null")
    else:
        rule.mkdir()
    with pytest.raises(ConflictError, match="in-the-way"):
        undo(on)
    (run,) = Undoer(on, skip_changed=True).undo(Journal(on.files).history())
    assert run.kept == (RULE,)
    assert rule.is_symlink() or rule.is_dir()


def test_a_forged_journal_writes_and_removes_nothing_outside(base: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "keep").write_text("precious")
    on = machine(base)
    outside = "/.." * 20 + str(victim)
    for path in (f"{outside}/new", "/etc/../../victim/new", "/etc//x", "/etc/./x"):
        step = FileStep(code="x", path=path, before=None, after="evil")
        with pytest.raises(ToolError):
            Executor(on).apply(Plan(steps=(step,)), "apply")
        (base / "var/lib/hostpci/runs/0001.journal").unlink()
    assert sorted(os.listdir(victim)) == ["keep"]


@pytest.mark.parametrize(
    "entry",
    [
        Intent(step=0, temporary="keep"),
        Intent(step=0, temporary="../.hostpci-0123456789abcdef.tmp"),
        UndoIntent(step=0, temporary="keep"),
        Intent(step=0, before=(FileImage(path="/etc/x", sha256="0" * 64, kept="../../x"),)),
    ],
)
def test_names_in_a_journal_that_are_not_ours_are_damage(base: Path, entry: Entry) -> None:
    on = machine(base)
    Executor(on).apply(Plan(steps=(WRITE,)), "apply")
    path = base / "var/lib/hostpci/runs/0001.journal"
    path.write_bytes(path.read_bytes() + _line(entry))
    with pytest.raises(CorruptError, match="journal-corrupt"):
        undo(on)


def test_a_journal_that_others_can_write_is_not_believed(base: Path) -> None:
    on = machine(base)
    Executor(on).apply(Plan(steps=(WRITE,)), "apply")
    (base / "var/lib/hostpci/runs").chmod(0o777)
    with pytest.raises(CorruptError, match="journal-foreign"):
        undo(on)


def test_runs_are_taken_in_the_order_of_their_numbers(base: Path) -> None:
    on = machine(base)
    Executor(on).apply(Plan(steps=(WRITE,)), "apply")
    runs = base / "var/lib/hostpci/runs"
    (runs / "0001.journal").rename(runs / "9999.journal")
    Executor(on).apply(Plan(steps=()), "apply")
    assert [run.number for run in Journal(on.files).history().runs] == [9999, 10000]


def test_directories_above_ours_are_open_to_read(tmp_path: Path) -> None:
    files = HostFiles(str(tmp_path))
    files.make_directories("/var/lib/hostpci", 0o700)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("var", "var/lib/hostpci")]
    assert modes == [0o755, 0o700]


def test_a_lock_on_a_directory_that_was_removed_is_no_lock(tmp_path: Path) -> None:
    on = machine(tmp_path)
    with exclusive(on), pytest.raises(BusyError), exclusive(on):
        pytest.fail("two at once")
    assert not (tmp_path / "var/lib/hostpci").exists(), "nothing begun, nothing left"


@pytest.mark.processes
def test_a_program_that_outlives_us_keeps_the_lock(base: Path) -> None:
    """Killed in the middle of update-initramfs, the next run waits for it, not for us."""
    pid = os.fork()
    if pid == 0:
        on = Machine(files=HostFiles(str(base)), runner=RealRunner(), is_live=False, boot_id="")
        with exclusive(on):
            threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGKILL)).start()
            on.runner.run(["sleep", "2"], timeout_s=30)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    with pytest.raises(BusyError), exclusive(machine(base)):
        pytest.fail("the program is still at work")
    time.sleep(2.5)
    with exclusive(machine(base)):
        pass
