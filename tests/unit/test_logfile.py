"""Large logs: the same is found as in small ones, with grep and without, in bounded memory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostpci.cli import logfile
from hostpci.cli.logfile import WHOLE_BYTES, pieces, scan_log
from hostpci.diagnose.engine import judge
from hostpci.diagnose.knowledge import load
from hostpci.diagnose.lines import MAX_CHARS, messages
from hostpci.diagnose.scan import Scan

pytestmark = pytest.mark.processes
ORDINARY = b"Nov 01 00:00:00 pve1 systemd[1]: session-7.scope: Deactivated successfully.\n"
AER = "kernel: pcieport 0000:00:1c.0: AER: Corrected error message received from 0000:01:00.0"
# 400 lines, each of another shape, so that the log does not repeat itself
QUIET = "".join(
    f"quiet {a}{b}\n" for a in "ghijklmnopqrstuvwxyz" for b in "ghijklmnopqrstuvwxyz"
).encode()
FLR = "kernel: vfio-pci 0000:01:00.0: not ready 65535ms after FLR; giving up"
# Lines that a search of the raw log could miss: ends, colours, written breaks, short literals,
# what is not ASCII
SIGNS = (
    FLR,
    f"{FLR}\r",
    "kernel: \x1b[31mvfio-pci 0000:01:00.0: not \x1b[0mready 65535ms after FLR; giving up",
    "pve1 qm[7]: first\\x0aNVGI",
    "rsyslogd: one#012D3cold#0120",
    "windows: 错误代码 43",
    "GSP RPC timeout",
    "guest said Code 43",
    "D3cold  ",
    "vfio-pci 0000:01:00.0: BAR 1: can\u2019t reserve [mem 0x90000000-0x9fffffff 64bit pref]",
    "> > vfio-pci 0000:01:00.0: BAR 3: can't\u00a0reserve [mem 0x90000000-0x9fffffff 64bit pref]",
    "> D3cold",
    "pve1 kernel: \xff\xfe(rev ff) \U0001f4a5",
)


@pytest.fixture(params=["grep", "no grep"])
def means(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "no grep":
        monkeypatch.setattr("hostpci.host.runner._FOR_BYTES", {"PATH": "/nonexistent"})
        monkeypatch.setenv("PATH", "/nonexistent")
    return str(request.param)


def _quiet(_program: str, _seconds: float) -> None:
    pass


def _large(tmp_path: Path, lines: tuple[str, ...]) -> str:
    """A log with these lines at its begin, in its middle and at its end, which has no newline."""
    body = "\n".join(lines).encode("utf-8", "surrogateescape")
    quiet = ORDINARY * (WHOLE_BYTES // len(ORDINARY) + 1)
    path = tmp_path / "log"
    path.write_bytes(body + b"\n" + quiet + body + b"\n" + quiet + body)
    return str(path)


def _counts(scan: Scan) -> dict[str, int]:
    return {code: sum(each.count for each in hits) for code, hits in scan.hits.items()}


def _numbers(scan: Scan) -> set[int]:
    return {hit.line.number for hits in scan.hits.values() for each in hits for hit in each.kept}


@pytest.mark.usefixtures("means")
def test_a_large_log_gives_what_its_lines_give(tmp_path: Path) -> None:
    path = _large(tmp_path, SIGNS)
    whole = Scan(load())
    whole.feed(messages(Path(path).read_bytes().decode("utf-8", "replace").split("\n")))
    found = scan_log(path, _quiet)
    assert _counts(found) == _counts(whole)
    assert _numbers(found) == _numbers(whole)
    assert found.total == Path(path).read_bytes().count(b"\n") + 1


@pytest.mark.usefixtures("means")
def test_a_storm_is_counted_to_the_last_line(tmp_path: Path) -> None:
    rows = 100_000
    path = tmp_path / "log"
    path.write_text(f"{FLR} and qmstart\n" * rows + "GSP RPC timeout\n")
    found = _counts(scan_log(str(path), _quiet))
    assert found["reset-flr-not-ready"] == rows
    assert found["guest-nvidia-gsp-fail"] == 1


@pytest.mark.usefixtures("means")
def test_a_storm_after_many_scattered_lines_of_its_kind_is_one(tmp_path: Path) -> None:
    """They were seen often enough to be known, and never so close that they were a storm."""
    scattered = f"{AER}\n".encode() + QUIET
    path = tmp_path / "log"
    path.write_bytes(scattered * 2500 + f"{AER}\n".encode() * 5000 + ORDINARY * 400)
    found = {each.code: each for each in judge(scan_log(str(path), _quiet))}
    assert found["aer-storm"].sightings[0].count == 7500


@pytest.mark.usefixtures("means")
def test_scattered_lines_are_no_storm_however_many(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes((f"{AER}\n".encode() + QUIET) * 3000)
    assert "aer-storm" not in {each.code for each in judge(scan_log(str(path), _quiet))}


def test_standard_input_is_read_like_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _large(tmp_path, SIGNS)
    with open(path, "rb") as stream:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(stream))
        piped = scan_log("-", _quiet)
        assert _counts(piped) == _counts(scan_log(path, _quiet))


def test_a_line_without_an_end_does_not_fill_the_memory() -> None:
    blocks: Iterator[bytes] = iter([b"x" * 1_000_000] * 50 + [f"x\n{FLR}\n".encode()])
    found = list(pieces(b"head\n", lambda _size: next(blocks, b"")))
    assert found[0] == b"head\n"
    assert sum(map(len, found)) < MAX_CHARS * 4 + 1_000_000
    assert found[-1].endswith(f"x\n{FLR}\n".encode())


def test_progress_is_told_about_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, float]] = []
    clock = iter(each * 0.4 for each in range(100))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    progress = logfile.Progress("log", lambda *words: told.append(words))
    for _ in range(10):
        progress.add(1_000_000)
    assert 2 <= len(told) <= 4
    assert told[0][0] == "log, 3 MB"
