"""Reads a log of any size: small ones whole, of large ones the lines in which something may be.

A large log goes through memory piece by piece. GNU grep looks for all patterns in a piece at
once, faster than anything that Python could do; it is on every Debian. Where it is not, lines are
told apart by their shapes (diagnose/bulk.py). What has been seen often enough is only counted from
then on: an ordinary journal names its services in every other line, and storms repeat one line.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator

from ..diagnose.bulk import LONGEST_BYTES, Bulk, repeats
from ..diagnose.knowledge import Sign, load
from ..diagnose.lines import TYPOGRAPHIC, split
from ..diagnose.scan import KEPT_HITS, Scan
from ..errors import EnvironmentFault, UsageError
from ..host.memory import MemoryFile
from ..host.runner import RealRunner, Tick

Reader = Callable[[int], bytes]
WHOLE_BYTES = 4 << 20
_FIRST_BYTES, _PIECE_BYTES = 1 << 18, 16 << 20
_STORM_LINES = 500
# What the engine makes several lines of, or takes out, before it looks: see lines.split
_ALWAYS = (r"\\x0a", r"#012", r"\\nNVRM", "\x1b", "^>", *TYPOGRAPHIC)


def scan_log(path: str, tick: Tick) -> Scan:
    """Scan a file, or standard input for ``-``. Raises UsageError if it cannot be read."""
    if path == "-":
        return scan_stream(sys.stdin.buffer.read, Progress(path, tick))
    try:
        with open(path, "rb") as stream:
            return scan_stream(stream.read, Progress(path, tick))
    except OSError as error:
        raise UsageError("log-unreadable", path=path, reason=error.strerror) from error


class Progress:
    """Says once a second how much has been read."""

    def __init__(self, path: str, tick: Tick) -> None:
        self._path, self._tick = path, tick
        self._started = self._told = time.monotonic()
        self._bytes = 0

    def add(self, size: int) -> None:
        self._bytes += size
        now = time.monotonic()
        if now - self._told >= 1:
            self._told = now
            self._tick(f"{self._path}, {self._bytes // 1_000_000} MB", now - self._started)


def scan_stream(read: Reader, progress: Progress) -> Scan:
    head = read(WHOLE_BYTES + 1)
    if len(head) <= WHOLE_BYTES:
        scan = Scan(load())
        _feed(scan, enumerate(head.split(b"\n"), 1))
        return scan
    scan = Scan(load(), is_part=True)
    number = 1
    with MemoryFile() as copy:
        search = _Search(scan, copy)
        for piece in pieces(head, read):
            progress.add(len(piece))
            search.piece(piece, number)
            number += piece.count(b"\n")
    scan.total = number - piece.endswith(b"\n")
    return scan


def pieces(head: bytes, read: Reader) -> Iterator[bytes]:
    """Whole lines in every piece. What a line has beyond what is ever looked at is dropped, so
    that one without an end does not fill the memory."""
    rest = b""
    for block in _blocks(head, read):
        end = block.rfind(b"\n") + 1
        if end:
            yield b"".join((rest, memoryview(block)[:end]))
            rest = b""
        rest += block[end : end + LONGEST_BYTES - len(rest)]
    if rest:
        yield rest


def _blocks(head: bytes, read: Reader) -> Iterator[bytes]:
    """A small one first: it is enough to learn which marks are in every other line."""
    yield head[:_FIRST_BYTES]
    yield head[_FIRST_BYTES:]
    while block := read(_PIECE_BYTES):
        yield block


class _Search:
    """Looks for what is not yet known well enough, in one piece after the other."""

    def __init__(self, scan: Scan, copy: MemoryFile) -> None:
        self._scan = scan
        self._copy = copy
        self._marks = {id(sign) for sign in load().marks}
        self._signs = list(load().signs())
        self._counted: list[Sign] = []
        self._has_grep = True
        self._bulk = Bulk(scan, self._signs)

    def piece(self, piece: bytes, number: int) -> None:
        if repeats(piece) or not self._was_grepped(piece, number):
            self._bulk.piece(piece, number)
        self._leave_what_is_known()

    def _was_grepped(self, piece: bytes, number: int) -> bool:
        """False where there is no grep; nothing has been fed then."""
        if self._has_grep:
            try:
                self._with_grep(piece, number)
            except EnvironmentFault as fault:
                if fault.code != "command-missing":
                    raise
                self._has_grep = False
        return self._has_grep

    def _with_grep(self, piece: bytes, number: int) -> None:
        patterns = [_for_grep(sign.pattern) for sign in self._signs]
        self._copy.fill(piece)
        _feed(self._scan, _numbered(self._grepped("--line-number", *patterns, *_ALWAYS), number))
        for sign in self._counted:
            (count,) = self._grepped("--count", _for_grep(sign.pattern))
            self._scan.count(sign, int(count))

    def _grepped(self, option: str, *patterns: str) -> Iterator[bytes]:
        """What GNU grep says of a piece in memory; a pipe would need a thread to fill it."""
        argv = ["grep", "--text", "--extended-regexp", option]
        for pattern in patterns:
            argv += ["-e", pattern]
        self._copy.rewind()
        return RealRunner().lines(argv, good=(0, 1), stdin=self._copy.descriptor)

    def _leave_what_is_known(self) -> None:
        """Of marks it is enough that they were there; how often a fault shows is told."""
        known = [each for each in self._signs if self._is_known(each)]
        if known:
            self._scan.leave(known)
            left = {id(each) for each in known}
            self._signs = [each for each in self._signs if id(each) not in left]
            counted = [each for each in known if id(each) not in self._marks]
            self._counted += counted
            self._bulk.leave(counted, [each for each in known if id(each) in self._marks])

    def _is_known(self, sign: Sign) -> bool:
        if id(sign) in self._marks:
            return self._scan.is_enough(sign, KEPT_HITS)
        return self._scan.is_enough(sign, _STORM_LINES)


def _numbered(lines: Iterable[bytes], first: int) -> Iterator[tuple[int, bytes]]:
    for line in lines:
        number, _, text = line.partition(b":")
        yield first + int(number) - 1, text


def _for_grep(pattern: str) -> str:
    """White space at the end of a line is gone before the engine looks."""
    blank = "[[:space:]]*$"
    inner = pattern[:-1] + blank if pattern.endswith("$") else pattern
    return inner.replace("|$)", f"|{blank})")


def _feed(scan: Scan, lines: Iterable[tuple[int, bytes]]) -> None:
    for number, line in lines:
        scan.feed(split(number, line[:LONGEST_BYTES].decode("utf-8", "replace")))
