"""The step that copies a file to a place of our own, and its way back."""

from __future__ import annotations

from pathlib import Path

import pytest

from hostpci.demo.scratch import fingerprint
from hostpci.errors import ConflictError, EnvironmentFault
from hostpci.executor import apply as apply_module
from hostpci.executor.apply import Executor, Machine
from hostpci.executor.journal import Journal
from hostpci.executor.undo import Undoer
from hostpci.host.files import HostFiles
from hostpci.host.runner import RefusingRunner
from hostpci.model.journal import Done, Run
from hostpci.model.plan import CopyStep, FileStep, Plan

OURS = ("/var/lib/hostpci",)
IMAGE, COPY = "/boot/initrd.img-6", "/boot/hostpci/initrd.img-6"
STEP = CopyStep(code="known-good-image", source=IMAGE, path=COPY)
ENV = FileStep(
    code="trial-pending", path="/boot/grub/hostpci.env", before=None, after="pending",
    host_rewrites=True,
)  # fmt: skip


@pytest.fixture
def base(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "boot").mkdir(parents=True)
    (root / "var/lib").mkdir(parents=True)
    (root / IMAGE[1:]).write_bytes(b"\x00image\xff" * 100_000)
    (root / IMAGE[1:]).chmod(0o640)
    return root


def machine(base: Path) -> Machine:
    return Machine(files=HostFiles(str(base)), runner=RefusingRunner(), is_live=False, boot_id="")


def undo(on: Machine) -> None:
    Undoer(on).undo(Journal(on.files).history())


def test_a_copy_has_the_bytes_and_the_mode_and_goes_with_its_directory(base: Path) -> None:
    before = fingerprint(str(base), OURS)
    on = machine(base)
    Executor(on).apply(Plan(steps=(STEP,)), "trial")
    copy = base / COPY[1:]
    assert copy.read_bytes() == (base / IMAGE[1:]).read_bytes()
    assert copy.stat().st_mode & 0o777 == 0o640
    undo(on)
    assert fingerprint(str(base), OURS) == before
    assert not copy.parent.exists()


def test_a_directory_that_holds_something_else_stays(base: Path) -> None:
    on = machine(base)
    Executor(on).apply(Plan(steps=(STEP,)), "trial")
    (base / "boot/hostpci/theirs").write_text("x")
    undo(on)
    assert [each.name for each in (base / "boot/hostpci").iterdir()] == ["theirs"]


def test_what_lies_there_already_is_not_overwritten(base: Path) -> None:
    (base / "boot/hostpci").mkdir()
    (base / COPY[1:]).write_text("somebody's")
    with pytest.raises(ConflictError, match="file-changed"):
        Executor(machine(base)).apply(Plan(steps=(STEP,)), "trial")
    assert (base / COPY[1:]).read_text() == "somebody's"


def test_without_a_source_nothing_is_begun(base: Path) -> None:
    (base / IMAGE[1:]).unlink()
    with pytest.raises(ConflictError, match="file-changed"):
        Executor(machine(base)).apply(Plan(steps=(STEP,)), "trial")
    assert not (base / "boot/hostpci").exists()


def test_without_room_nothing_is_begun(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply_module, "_SPACE_MARGIN_BYTES", 1 << 60)
    with pytest.raises(EnvironmentFault, match="disk-full"):
        Executor(machine(base)).apply(Plan(steps=(STEP,)), "trial")
    assert not (base / "boot/hostpci").exists()


def test_a_copy_whose_end_was_not_noted_is_taken_as_done(base: Path) -> None:
    on = machine(base)
    whole = Executor(on).apply(Plan(steps=(STEP,)), "trial")
    path = base / f"var/lib/hostpci/runs/{whole.number:04d}.journal"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]))  # begin and intent; done and applied were cut off
    (cut,) = Journal(on.files).history().runs
    assert cut.done(0) is None
    again: Run = Executor(on).finish(cut)
    assert isinstance(again.done(0), Done)
    undo(on)
    assert not (base / "boot/hostpci").exists()


def test_a_file_that_the_boot_loader_rewrites_is_never_in_the_way(base: Path) -> None:
    before = fingerprint(str(base), OURS)
    on = machine(base)
    Executor(on).apply(Plan(steps=(ENV,)), "trial")
    (base / ENV.path[1:]).write_text("started")
    undo(on)
    assert fingerprint(str(base), OURS) == before
