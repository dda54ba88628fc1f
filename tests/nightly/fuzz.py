"""Coverage-guided fuzzing of what strangers send: captures, and lines of logs. No dependency.

``./dev fuzz --seconds N``: inputs that reach new lines of ours are kept and changed further. An
exception that is none of ours, or an input that takes longer than it may, is written down and
ends the run with status 1.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from hostpci.checks.registry import run_checks
from hostpci.cli.logfile import Progress, scan_stream
from hostpci.diagnose.decode import KINDS, NotDecodableError, decode
from hostpci.diagnose.engine import judge
from hostpci.diagnose.knowledge import Sign, load
from hostpci.diagnose.tables import decode_table
from hostpci.errors import ToolError
from hostpci.facts.capture import Maker
from hostpci.facts.collect import collect
from hostpci.facts.logs import read_logs, relevant_lines
from hostpci.facts.look import Look
from hostpci.facts.redact import Redactor
from hostpci.host.capture import CaptureRoot, load_capture
from hostpci.host.runner import ReplayRunner
from hostpci.i18n import Catalog
from hostpci.model.journal import History
from hostpci.planner.plan import make_plan
from hostpci.render.diagnoses import render_diagnoses

from ..hosts import SLOT, RecordedHost

# SIGALRM, which nothing catches, ends the child then
_MOST_SECONDS, _NEVER_ENDS_SECONDS = 10.0, 60.0
_TOKENS = (
    b"", b"\0", b"\xff", b"0x", b"9" * 5000, b"../", b"\\ud800", b"[[", b"{}", b"null", b"-1",
    b"0000:01:00.0", b"UPID:", b"::", b"@", b"-----BEGIN A-----", b"\x1f\x8b", b"1e999", b"%s",
)  # fmt: skip
Target = Callable[[bytes], None]


def captured(data: bytes) -> None:
    """What ``--host FILE`` does with it."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        file.write(data)
        file.flush()
        capture = load_capture(file.name)
    root, runner = CaptureRoot(capture), ReplayRunner(capture["commands"])
    facts = collect(root, runner)
    run_checks(facts, SLOT)
    make_plan(facts)
    read_logs(Look(root), runner)
    Maker(root, runner, History(runs=()))


REDACTOR = Redactor()
FACTS = RecordedHost().facts()


def logged(data: bytes) -> None:
    """What a capture does with lines."""
    lines = data.decode("utf-8", "replace").splitlines()
    for line in relevant_lines(lines):
        REDACTOR.text(line)


def diagnosed(data: bytes) -> None:
    """What ``doctor --log`` does with it, up to what a person reads."""
    scan = scan_stream(io.BytesIO(data).read, Progress("fuzz", lambda *_: None))
    found = judge(scan, FACTS)
    for _ in render_diagnoses(found, scan.total, load(), Catalog("zh_CN")):
        pass


def decoded(data: bytes) -> None:
    """What ``explain --decode`` does with a table, or with a value of any kind."""
    for kind in KINDS:
        with suppress(NotDecodableError):
            decode(kind, data.decode("utf-8", "replace"))
    with suppress(NotDecodableError):
        decode_table(data)


class Coverage:
    """Which lines of ours were reached."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, int]] = set()
        self._new = 0

    def of(self, target: Target, data: bytes) -> int:
        """How many lines nobody had reached before."""
        self._new = 0
        sys.settrace(self._entered)
        try:
            target(data)
        except ToolError:
            pass
        finally:
            sys.settrace(None)
        return self._new

    def _entered(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        return self._line if "hostpci" in frame.f_code.co_filename else None

    def _line(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        place = (frame.f_code.co_filename, frame.f_lineno)
        if place not in self.seen:
            self.seen.add(place)
            self._new += 1
        return self._line


def changed(data: bytes, others: list[bytes], dice: random.Random) -> bytes:
    for _ in range(dice.choice((1, 1, 2, 4, 8))):
        at = dice.randrange(len(data) + 1)
        length = dice.choice((0, 1, 1, 4, 40, 400))
        other = dice.choice(others)
        start = dice.randrange(len(other) + 1)
        piece = dice.choice((
            dice.choice(_TOKENS), other[start : start + length], bytes([dice.randrange(256)]),
        ))  # fmt: skip
        data = data[:at] + piece + data[at + length :]
    return data


def seeds() -> dict[Target, list[bytes]]:
    host = RecordedHost().with_only(SLOT)
    small = json.dumps(host.data).encode()
    log = b"[    1.0] kernel: vfio-pci 0000:01:00.0: not ready 1023ms after FLR; waiting\n"
    task = b"UPID:pve:0009A4C1:0123ABCD:6921F00E:qmstart:100:root@pam: start failed\n"
    known = [b" ".join(sign.literal.encode() for sign in signs) + b"\n" for signs in _families()]
    tables = [each + struct.pack("<I", 96) + bytes(88) for each in (b"DMAR", b"IVRS")]
    return {
        captured: [small],
        logged: [log, task, log + task],
        diagnosed: [log, task, log + task, *known],
        decoded: [*tables, b"0x62:0x65:2028", b"0x1d", b"flr bus", b"79"],
    }


def _families() -> list[list[Sign]]:
    """The signs of each family of faults: what stands together in a log."""
    families: dict[str, list[Sign]] = {}
    for fault in load().faults.values():
        families.setdefault(fault.family, []).extend(fault.signs)
    return list(families.values())


def main(words: list[str]) -> int:
    """The work is a child's: Python cannot leave a regular expression, or a loop in C, by itself.

    What it is about to try is in a file, so that the input of a run that never ends is known.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    args = parser.parse_args(words)
    folder = Path(tempfile.mkdtemp(prefix="hostpci-fuzz-"))
    child = os.fork()
    if child == 0:
        os._exit(_fuzz(args.seconds, args.seed, folder))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == 0:
        shutil.rmtree(folder)
    elif status < 0:
        print(f"ended by signal {-status}: {folder}", file=sys.stderr)  # noqa: T201
    return 1 if status else 0


def _fuzz(seconds: float, seed: int, folder: Path) -> int:
    dice, coverage = random.Random(seed), Coverage()  # noqa: S311  (no secret)
    corpus, runs, until = seeds(), 0, time.monotonic() + seconds
    for target, inputs in corpus.items():
        for data in inputs:
            coverage.of(target, data)
    while time.monotonic() < until:
        target = dice.choice(list(corpus))
        data = changed(dice.choice(corpus[target]), corpus[target], dice)
        path = folder / target.__name__
        path.write_bytes(data)
        signal.setitimer(signal.ITIMER_REAL, _NEVER_ENDS_SECONDS)
        started = time.monotonic()
        try:
            is_new = coverage.of(target, data) > 0
        except Exception as error:  # noqa: BLE001  (that is what is looked for)
            return _found(path, repr(error))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if time.monotonic() - started > _MOST_SECONDS:
            return _found(path, "it took too long")
        runs += 1
        if is_new:
            corpus[target].append(data)
    kept = sum(map(len, corpus.values()))
    said = f"seed {seed}: {runs} runs, {len(coverage.seen)} lines reached, {kept} inputs kept"
    print(said, flush=True)  # noqa: T201
    return 0


def _found(path: Path, why: str) -> int:
    print(f"{path.name}: {why}: {path}", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
