"""Bad input and bad machines: a clear error, its exit code, nothing changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hostpci.cli.main import main
from hostpci.demo.scratch import fingerprint

from ..hosts import SLOT, RecordedHost

OURS = ("/var/lib/hostpci",)
CHECKOUT = Path(__file__).parents[2]
NOBODY = 65534
is_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    RecordedHost().tree(tmp_path / "root")
    return tmp_path / "root"


def call(tree: Path, *words: str) -> int:
    return main([*words, "--root", str(tree), "--yes", "--lang=en"])


def read_only_call(tree: Path, *words: str) -> int:
    return main([*words, "--root", str(tree), "--lang=en"])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 2 MiB, mounted for the test."""
    where = tmp_path / "mnt"
    where.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "hostpci-test", str(where)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("this machine does not let us mount")
    yield where
    subprocess.run(["umount", str(where)], check=True)


def fill(ballast: Path) -> None:
    with suppress(OSError), ballast.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(4096))


@is_root
@pytest.mark.processes
def test_a_full_disk_stops_before_anything_changed_and_goes_on_after(
    small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = small_disk / "root"
    RecordedHost().with_only(SLOT).tree(tree)
    assert call(tree, "claim", "01:00") == 0
    before = fingerprint(str(tree), OURS)
    ballast = small_disk / "ballast"
    fill(ballast)
    assert call(tree, "apply") == 1
    assert "no space left" in capsys.readouterr().err
    assert fingerprint(str(tree), OURS) == before
    ballast.unlink()
    assert call(tree, "apply") == 5
    assert call(tree, "undo") == 0


@is_root
@pytest.mark.processes
def test_a_read_only_root_is_refused_by_name(
    small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = small_disk / "root"
    RecordedHost().with_only(SLOT).tree(tree)
    call(tree, "claim", "01:00")
    before = fingerprint(str(tree))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for words in (["apply"], ["undo"], ["release", "01:00"]):
        assert call(tree, *words) == 1
        assert "read-only file system" in capsys.readouterr().err
    assert read_only_call(tree, "plan") == 4
    assert fingerprint(str(tree)) == before


def as_nobody(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the distribution's Python as a user without rights, on the running host."""
    argv = ["/usr/bin/python3", "-IS", *words]
    if os.geteuid() != 0:
        return subprocess.run(argv, capture_output=True, text=True, check=False)
    return subprocess.run(
        argv, capture_output=True, text=True, check=False,
        user=NOBODY, group=NOBODY, extra_groups=[],
    )  # fmt: skip


@pytest.mark.processes
@pytest.mark.parametrize("words", ["claim 01:00", "apply", "verify", "release 01:00"])
def test_only_root_may_change_the_running_host(words: str) -> None:
    program = str(CHECKOUT / "hostpci")
    if as_nobody("-c", f"open({program!r})").returncode != 0:
        pytest.skip("the checkout cannot be read by other users")
    done = as_nobody(program, *words.split(), "--lang=en")
    assert done.returncode == 8, done.stderr
    assert "only root can do this; nothing was changed" in done.stderr


BAD_CLAIMS = {
    "not TOML": b"[[claim\n",
    "not UTF-8": b"\xff\xfe",
    "unknown key": b"answer = 42\n",
    "no functions": b'[[claim]]\nslot = "0000:01:00"\nfunctions = []\n',
    "foreign function": (
        b'[[claim]]\nslot = "0000:01:00"\nfunctions = [{ address = "0000:02:00.0", '
        b'id = "10de:2d04", subsystem = "10b0:205e" }]\n'
    ),
    "shell in an id": (
        b'[[claim]]\nslot = "0000:01:00"\nfunctions = [{ address = "0000:01:00.0", '
        b'id = \'10de:2d04", RUN+="/bin/sh\', subsystem = "10b0:205e" }]\n'
    ),
}


@pytest.mark.parametrize("content", BAD_CLAIMS.values(), ids=BAD_CLAIMS.keys())
def test_a_claims_file_that_cannot_be_read_stops_everything(
    content: bytes, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "etc/hostpci.toml").write_bytes(content)
    before = fingerprint(str(tree), OURS)
    for words in (["apply"], ["claim", "01:00"], ["release", "01:00"]):
        assert call(tree, *words) == 10
        assert "/etc/hostpci.toml" in capsys.readouterr().err
    assert read_only_call(tree, "plan") == 10
    assert fingerprint(str(tree), OURS) == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw.replace(b"0000:01:00", b"0000:01:01", 1),
        lambda raw: b"garbage\n" + raw,
        lambda raw: raw.split(b"\n", 1)[1],
        lambda raw: raw.replace(b"\n", b" \n", 1),
        lambda raw: b"[" * 100_000 + b"\n" + raw,
        lambda raw: raw.replace(b'"entry"', b'"entry":1,"entry"', 1),
    ],
    ids=["changed", "garbage first", "no beginning", "white space", "nested", "two entries"],
)
def test_a_damaged_journal_stops_apply_and_undo(
    damage: object, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(tree, "claim", "01:00")
    journal = tree / "var/lib/hostpci/runs/0001.journal"
    assert callable(damage)
    journal.write_bytes(damage(journal.read_bytes()))
    before = fingerprint(str(tree))
    for words in (["apply"], ["undo"], ["release", "01:00"]):
        assert call(tree, *words) == 10
        assert "0001.journal" in capsys.readouterr().err
    assert fingerprint(str(tree)) == before


def test_a_torn_last_line_of_the_journal_is_what_a_power_cut_leaves(tree: Path) -> None:
    call(tree, "claim", "01:00")
    journal = tree / "var/lib/hostpci/runs/0001.journal"
    journal.write_bytes(journal.read_bytes() + b'{"entry":{"ki')
    assert call(tree, "undo") == 0
    assert not (tree / "etc/hostpci.toml").exists()


BAD_CAPTURES = {
    "empty": "",
    "not JSON": "{",
    "not a capture": "{}",
    "another schema": '{"schema": "hostpci.capture/99"}',
    "a list": "[]",
    "deep": "[" * 200_000,
    "escaping path": None,
    "wrong value": None,
    "bad base64": None,
}


@pytest.mark.parametrize("name", BAD_CAPTURES)
def test_a_damaged_capture_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, text = tmp_path / "capture.json", BAD_CAPTURES[name]
    if text is None:
        host = RecordedHost()
        if name == "escaping path":
            host.data["files"]["/etc/../../etc/shadow"] = "x"
        elif name == "wrong value":
            host.data["directories"]["/etc"] = "not a list"
        else:
            host.data["binary"]["/x"] = "%%%"
        text = json.dumps(host.data)
    path.write_text(text)
    assert main(["scan", "--host", str(path), "--lang=en"]) == 10
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "no usable capture" in captured.err


def test_no_iommu_is_said_and_nothing_is_claimed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = tmp_path / "root"
    RecordedHost().without_iommu().tree(tree)
    before = fingerprint(str(tree), OURS)
    assert call(tree, "claim", "01:00") == 3
    assert "cannot be claimed (iommu-on)" in capsys.readouterr().err
    assert read_only_call(tree, "check", "01:00") == 3
    assert "FAIL: the IOMMU is off" in capsys.readouterr().out
    assert fingerprint(str(tree), OURS) == before


@pytest.mark.parametrize("address", ["05:00", "00:08", "zz:zz", "01:00.8", "", "01:00; rm -rf /"])
def test_an_address_that_is_no_device_changes_nothing(
    address: str, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = fingerprint(str(tree), OURS)
    assert call(tree, "claim", address) == 2
    assert capsys.readouterr().err.startswith("hostpci: ")
    assert fingerprint(str(tree), OURS) == before


def test_what_a_user_changed_since_is_named_and_never_lost(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(tree, "claim", "01:00")
    call(tree, "apply")
    rule = tree / "etc/udev/rules.d/10-hostpci-0000-01-00.rules"
    rule.write_text(rule.read_text() + "# mine\n")
    before = fingerprint(str(tree), OURS)
    assert call(tree, "undo") == 7
    assert str(rule).removeprefix(str(tree)) in capsys.readouterr().err
    assert fingerprint(str(tree), OURS) == before
    assert call(tree, "undo", "--skip-changed") == 0
    assert rule.read_text().endswith("# mine\n")
    assert not (tree / "etc/hostpci.toml").exists()


def test_a_link_planted_where_we_write_is_never_followed(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tree / "etc/hostpci.toml").unlink(missing_ok=True)
    os.symlink(victim, tree / "etc/hostpci.toml")
    assert call(tree, "claim", "01:00") != 0
    assert victim.read_text() == "precious"
    assert "Traceback" not in capsys.readouterr().err


def test_a_linked_directory_on_the_way_is_never_followed(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(tree, "claim", "01:00")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tree / "etc/udev/rules.d").rmdir()
    os.symlink(elsewhere, tree / "etc/udev/rules.d")
    assert call(tree, "apply") == 1
    assert "do not follow links" in capsys.readouterr().err
    assert list(elsewhere.iterdir()) == []


@pytest.mark.processes
@pytest.mark.parametrize("words", ["apply --dry-run", "claim 01:00 --dry-run", "undo --dry-run"])
def test_a_dry_run_does_not_even_load_what_writes(words: str, tree: Path) -> None:
    if not words.startswith("claim"):
        call(tree, "claim", "01:00")
    before = fingerprint(str(tree))
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from hostpci.cli.main import main\n"
        "code = main(sys.argv[2:])\n"
        "writers = {'hostpci.host.files', 'hostpci.executor.apply', 'hostpci.executor.undo'}\n"
        "sys.exit(99 if writers & set(sys.modules) else code)"
    )
    words_of_call = [*words.split(), "--root", str(tree)]
    command = [sys.executable, "-IS", "-c", code, str(CHECKOUT / "src"), *words_of_call]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 4), done.stderr
    assert fingerprint(str(tree)) == before
