"""``claim --accept NAME``: consent in words, and no word that accepts everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from hostpci.cli.main import main

from ..hosts import DEVICES, RecordedHost

SATA, NIC = "0000:00:1f.2", "0000:00:04.0"


def call(*words: str) -> int:
    return main([*words, "--lang=en"])


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """The card's group holds a USB controller with nothing on it."""
    host = RecordedHost().with_group(SATA, 8)
    host.data["files"][f"{DEVICES}/{SATA}/class"] = "0x0c0330\n"
    host.tree(tmp_path / "root")
    return tmp_path / "root"


def test_a_shared_group_from_refusal_to_plan(
    shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = f"--root={shared}"
    assert call("claim", "01:00", "--yes", root) == 3
    refusal = capsys.readouterr().err
    assert "hostpci claim 0000:01:00 --accept group-shares-usb" in refusal
    assert not (shared / "etc/hostpci.toml").exists()
    assert call("claim", "01:00", "--accept", "group-shares-usb", "--yes", root) == 0
    assert 'accept = ["group-shares-usb"]' in (shared / "etc/hostpci.toml").read_text()
    assert call("plan", root) == 4
    assert call("apply", "--yes", root) == 5


@pytest.mark.parametrize("words", [["--force"], ["--accept"], ["--accept", "all"], ["-f"]])
def test_there_is_no_word_for_everything(shared: Path, words: list[str]) -> None:
    assert call("claim", "01:00", *words, "--yes", f"--root={shared}") == 2
    assert not (shared / "etc/hostpci.toml").exists()


def test_what_the_host_needs_is_refused_whatever_is_accepted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    RecordedHost().with_group(NIC, 8).tree(tmp_path / "root")
    root = f"--root={tmp_path}/root"
    assert call("claim", "01:00", "--accept", "group-shares-nic", "--yes", root) == 2
    assert "nothing that is accepted by group-shares-nic" in capsys.readouterr().err
    assert call("claim", "01:00", "--yes", root) == 3
    assert call("check", "01:00", root) == 3
    assert "cannot be accepted" in capsys.readouterr().out


def test_what_changed_since_the_claim_is_refused_at_plan_and_apply(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The claim was good when it was made; apply looks again before the first step."""
    RecordedHost().tree(tmp_path / "root")
    root = f"--root={tmp_path}/root"
    assert call("claim", "01:00", "--yes", root) == 0
    assert call("plan", "-o", f"{tmp_path}/plan.json", root) == 4
    before = (tmp_path / "root/etc/hostpci.toml").read_text()
    host = RecordedHost().with_group(NIC, 8)
    host.with_file("/etc/hostpci.toml", before).tree(tmp_path / "later")
    later = f"--root={tmp_path}/later"
    assert call("plan", later) == 3
    assert call("apply", "--yes", later) == 3
    assert call("apply", f"{tmp_path}/plan.json", "--yes", later) == 7
    assert "0000:00:04.0" in capsys.readouterr().out
    assert not list((tmp_path / "later/etc/udev/rules.d").glob("10-hostpci-*"))
