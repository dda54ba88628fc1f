"""What ``up`` remembers, what it leaves for the boot after, and what its words may be."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostpci.cli.context import Context
from hostpci.cli.main import main
from hostpci.cli.updown import stop_machines
from hostpci.errors import CorruptError, ToolError
from hostpci.executor.apply import Executor, Machine
from hostpci.executor.journal import Journal
from hostpci.executor.tool import TOOL_ARGV
from hostpci.executor.undo import Undoer
from hostpci.executor.up import (
    drop_records,
    read_record,
    read_records,
    record_path,
    write_record,
)
from hostpci.host.files import HostFiles
from hostpci.host.root import TreeRoot
from hostpci.host.runner import RefusingRunner
from hostpci.i18n import Catalog
from hostpci.model.journal import History
from hostpci.model.up import ProvenStart, Stage, UpRecord, UpWish, stages_until
from hostpci.planner.up import UNIT, UNIT_START, plan_going_on, runs_going_on

from ..pvenode.doors import shell
from ..pvenode.node import Node, empty_state

WISH = UpWish(slot="0000:01:00", vmid=100, accept=("group-shares-usb",), driver="580-open")
STARTS = st.builds(
    ProvenStart,
    process=st.sampled_from(["a:1", "a:2", "b:1"]),
    guest_boot=st.sampled_from(["x", "y"]),
    at=st.just("2026-01-01T00:00:00+00:00"),
    versions=st.just({"kernel": "6.8"}),
)


def _machine(tree: Path) -> Machine:
    return Machine(
        files=HostFiles(str(tree)), runner=RefusingRunner(), is_live=False, boot_id="boot"
    )


def test_stages_go_in_one_order_and_end_where_asked() -> None:
    assert stages_until(Stage.VERIFY)[-1] is Stage.VERIFY
    assert stages_until(Stage.RESTART) == tuple(Stage)
    assert all(stages_until(each) == tuple(Stage)[: n + 1] for n, each in enumerate(Stage))


@given(st.lists(STARTS, max_size=6))
def test_a_proof_counts_once_and_a_guest_that_restarts_itself_is_no_new_start(
    starts: list[ProvenStart],
) -> None:
    record = UpRecord(wish=WISH)
    for each in (*starts, *starts):
        record = record.with_proof(each)
    assert len(record.proven) == len({(each.process, each.guest_boot) for each in starts})
    assert record.survived_reset == (len({each.process for each in starts}) > 1)


def test_a_record_is_read_back_as_it_was(tmp_path: Path) -> None:
    record = UpRecord(wish=WISH, has_started=True, goes_on=True).with_proof(
        ProvenStart(process="a:1", guest_boot="x", at="now", versions={"kernel": "6.8"})
    )
    other = replace(record, wish=replace(WISH, slot="0000:02:00"))
    files = _machine(tmp_path).files
    for each in (record, other):
        write_record(files, each)
    assert read_records(TreeRoot(str(tmp_path))) == (record, other)
    assert read_record(TreeRoot(str(tmp_path)), "0000:01:00") == record
    drop_records(files)
    assert read_records(TreeRoot(str(tmp_path))) == ()


def test_what_a_cut_leaves_beside_a_record_is_cleared(tmp_path: Path) -> None:
    files = _machine(tmp_path).files
    write_record(files, UpRecord(wish=WISH))
    folder = tmp_path / record_path(WISH.slot).lstrip("/")
    (folder.parent / ".hostpci-0123456789abcdef.tmp").write_text("{")
    write_record(files, UpRecord(wish=WISH, goes_on=True))
    assert [each.name for each in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize("text", ["", "{", '{"schema": "hostpci.up-record/2"}', "[]"])
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / record_path(WISH.slot).lstrip("/")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(CorruptError) as caught:
        read_record(TreeRoot(str(tmp_path)), WISH.slot)
    assert str(caught.value.params["path"]).endswith("0000-01-00.json")


def test_the_unit_goes_on_once_and_leaves_nothing(tmp_path: Path) -> None:
    machine = _machine(tmp_path)
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    (tmp_path / "var/lib/hostpci").mkdir(parents=True)
    Executor(machine).apply(plan_going_on(TOOL_ARGV, "zh_CN"), "up")
    unit = (tmp_path / UNIT.lstrip("/")).read_text()
    assert f"ExecStart={' '.join(TOOL_ARGV)} up-resume --lang zh_CN\n" in unit
    runs = runs_going_on(Journal(machine.files).history())
    assert len(runs) == 1
    Undoer(machine).undo(History(runs=runs))
    assert runs_going_on(Journal(machine.files).history()) == ()
    left = [str(each.relative_to(tmp_path)) for each in tmp_path.glob("etc/systemd/system/**/*")]
    assert (left, (tmp_path / UNIT_START.lstrip("/")).exists()) == ([], False)


@pytest.mark.parametrize(
    "words",
    [
        ["01:00"], ["--vm", "100"], ["01:00", "--vm", "x"], ["01:00", "--vm", "1" * 12],
        ["nonsense", "--vm", "100"], ["01:00", "--vm", "100", "--until", "later"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_words_are_refused_before_anything_is_looked_at(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["up", *words, "--lang", "en"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("hostpci: ")
    assert "Traceback" not in said


def test_undo_ends_the_machine_by_force_where_the_guest_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = Node(empty_state())
    node.add_vm(100, {}, status="running", deaf=True)
    monkeypatch.setattr(Context, "pve", lambda _self: shell(node))
    stop_machines(Context(Namespace(json=False), Catalog("en")), (UpRecord(wish=WISH),))
    assert node.vm(100)["status"] == "stopped"


def test_undo_takes_nothing_back_under_a_machine_that_cannot_be_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = Node(empty_state())
    node.add_vm(100, {"lock": "backup"}, status="running")
    monkeypatch.setattr(Context, "pve", lambda _self: shell(node))
    with pytest.raises(ToolError) as caught:
        stop_machines(Context(Namespace(json=False), Catalog("en")), (UpRecord(wish=WISH),))
    assert caught.value.code == "undo-vm-runs"
    assert node.vm(100)["status"] == "running"
