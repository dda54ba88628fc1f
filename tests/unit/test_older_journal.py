"""A journal that an older version wrote: undo must be possible months and updates later."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from hostpci.errors import CorruptError
from hostpci.executor.apply import Executor, Machine
from hostpci.executor.journal import RUNS, read_history
from hostpci.executor.undo import Undoer
from hostpci.host.files import HostFiles
from hostpci.host.root import TreeRoot
from hostpci.host.runner import RefusingRunner
from hostpci.model.journal import RunState
from hostpci.model.plan import FileStep, Plan

OURS = "/etc/hostpci.toml"


def applied(directory: Path) -> tuple[Machine, Path]:
    """One run that wrote a file, and the file of its journal."""
    files = HostFiles(str(directory))
    machine = Machine(files=files, runner=RefusingRunner(), is_live=False, boot_id="one")
    step = FileStep(code="claim-write", path=OURS, before=None, after="# ours\n")
    (directory / "etc").mkdir(parents=True)
    Executor(machine).apply(Plan(steps=(step,)), "claim")
    return machine, directory / RUNS.lstrip("/") / "0001.journal"


def sealed(entry: dict[str, Any]) -> str:
    body = json.dumps(entry, sort_keys=True, separators=(",", ":"))
    return f'{{"entry":{body},"sha256":"{hashlib.sha256(body.encode()).hexdigest()}"}}\n'


def as_older(path: Path) -> None:
    """As a version wrote it whose steps had no ``adds`` and ``takes`` yet."""
    lines = [json.loads(line)["entry"] for line in path.read_text().splitlines()]
    for step in lines[0]["plan"]["steps"]:
        del step["adds"], step["takes"]
    path.write_text("".join(sealed(each) for each in lines))


def test_what_an_older_version_wrote_is_read_and_taken_back(tmp_path: Path) -> None:
    machine, journal = applied(tmp_path)
    as_older(journal)
    before = journal.read_bytes()
    (run,) = read_history(TreeRoot(str(tmp_path))).runs
    assert run.state is RunState.APPLIED
    Undoer(machine).undo(read_history(TreeRoot(str(tmp_path))))
    assert not (tmp_path / OURS.lstrip("/")).exists()
    assert journal.read_bytes().startswith(before)
    (run,) = read_history(TreeRoot(str(tmp_path))).runs
    assert run.state is RunState.UNDONE


def test_damage_in_it_is_still_seen(tmp_path: Path) -> None:
    _, journal = applied(tmp_path)
    as_older(journal)
    journal.write_text(journal.read_text().replace("# ours", "# evil"))
    with pytest.raises(CorruptError, match="checksum"):
        read_history(TreeRoot(str(tmp_path)))
