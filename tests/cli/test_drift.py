"""check --drift through the command line: baseline, edits, capture, timer, undo."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hostpci.cli.main import main
from hostpci.demo.scratch import fingerprint
from hostpci.model.baseline import BASELINE
from hostpci.model.drifttimer import SERVICE, TIMER, TIMER_START
from hostpci.model.rule import rule_path

from ..hosts import SLOT, RecordedHost

UNITS = (SERVICE, TIMER, TIMER_START)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    RecordedHost().tree(tmp_path / "host")
    return tmp_path / "host"


def call(*words: str) -> int:
    return main([*words, "--lang=en"])


def applied(tree: Path) -> str:
    root = f"--root={tree}"
    assert call("claim", "01:00", "--yes", root) == 0
    assert call("apply", "--yes", root) == 5
    return root


def test_an_apply_writes_the_baseline_for_root_alone(tree: Path) -> None:
    assert not (tree / BASELINE[1:]).exists()
    applied(tree)
    path = tree / BASELINE[1:]
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text())["schema"] == "hostpci.baseline/1"


def test_right_after_an_apply_nothing_has_changed_and_nothing_is_written(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = applied(tree)
    before = fingerprint(str(tree))
    capsys.readouterr()
    assert call("check", "--drift", root) == 0
    assert "Nothing that matters has changed." in capsys.readouterr().out
    assert fingerprint(str(tree)) == before


def test_a_foreign_edit_is_drift_until_it_is_applied_away(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = applied(tree)
    rule = tree / rule_path(SLOT)[1:]
    rule.write_text(rule.read_text() + "# somebody was here\n")
    capsys.readouterr()
    assert call("check", "--drift", root) == 3
    out = capsys.readouterr().out
    assert f"WARN: {rule_path(SLOT)}: a file of ours was changed by somebody else" in out
    assert call("apply", "--yes", root) == 5
    assert call("check", "--drift", root) == 0


def test_an_apply_with_nothing_to_do_takes_the_present_state_for_the_right_one(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = applied(tree)
    (tree / "sys/class/dmi/id/bios_version").write_text("F20\n")
    assert call("check", "--drift", root) == 3
    assert call("apply", "--yes", root) == 5
    assert call("check", "--drift", root) == 0


def test_a_dry_run_writes_no_baseline(tree: Path) -> None:
    root = f"--root={tree}"
    call("claim", "01:00", "--yes", root)
    call("apply", "--dry-run", root)
    assert not (tree / BASELINE[1:]).exists()


def test_undo_takes_the_baseline_away(tree: Path) -> None:
    before = fingerprint(str(tree))
    root = applied(tree)
    (tree / "var/lib/hostpci/.hostpci-0123456789abcdef.tmp").write_text("left by a cut")
    assert call("undo", "--yes", "--forget", root) in (0, 5)
    assert fingerprint(str(tree)) == before


def test_a_capture_carries_it(tree: Path, tmp_path: Path) -> None:
    root = applied(tree)
    (tree / "sys/class/dmi/id/bios_version").write_text("F20\n")
    capture = str(tmp_path / "host.json")
    assert call("capture", "-o", capture, root) == 0
    assert call("check", "--drift", f"--host={capture}") == 3


def test_the_timer_is_files_that_undo_takes_back(tree: Path) -> None:
    ours = ("/var/lib/hostpci",)
    before = fingerprint(str(tree), ours)
    root = f"--root={tree}"
    assert call("check", "--drift", "--timer", "on", "--yes", root) == 0
    assert all((tree / path[1:]).is_file() for path in UNITS)
    service = (tree / SERVICE[1:]).read_text()
    command = service.partition("ExecStart=")[2].partition("\n")[0].split()
    assert (tree / command[2][1:]).is_file()
    assert command[3:5] == ["check", "--drift"]
    once = fingerprint(str(tree))
    assert call("check", "--drift", "--timer", "on", "--yes", root) == 0
    assert fingerprint(str(tree)) == once
    assert call("undo", "--yes", root) == 0
    assert fingerprint(str(tree), ours) == before


def test_the_timer_is_switched_off(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = ("/var/lib/hostpci",)
    before = fingerprint(str(tree), ours)
    root = f"--root={tree}"
    call("check", "--drift", "--timer", "on", "--yes", root)
    assert call("check", "--drift", "--timer", "off", "--yes", root) == 0
    assert not any((tree / path[1:]).exists() for path in UNITS)
    assert call("undo", "--yes", root) == 0
    assert fingerprint(str(tree), ours) == before
    assert call("check", "--drift", "--timer", "maybe", root) == 2
    assert "on or off" in capsys.readouterr().err


def test_nothing_of_the_timer_is_left(tree: Path) -> None:
    before = fingerprint(str(tree))
    root = f"--root={tree}"
    call("check", "--drift", "--timer", "on", "--yes", root)
    assert call("undo", "--yes", "--forget", root) == 0
    assert fingerprint(str(tree)) == before


def test_the_timer_needs_a_yes(tree: Path) -> None:
    before = fingerprint(str(tree), ("/var/lib/hostpci",))
    assert call("check", "--drift", "--timer", "on", f"--root={tree}") == 2
    assert fingerprint(str(tree), ("/var/lib/hostpci",)) == before
