"""Reads a log of any size: small ones whole, of large ones the lines in which something may be.

Large is what nobody pastes. GNU grep looks for the literal parts of all signs at once, faster
than anything that Python could do; it is on every Debian. Where it is not, or the log comes from
a pipe, the same is done here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator

from ..diagnose.knowledge import load
from ..diagnose.lines import MAX_CHARS, split
from ..diagnose.scan import Scan
from ..errors import EnvironmentFault, UsageError
from ..host.runner import RealRunner, Tick

Reader = Callable[[int], bytes]
WHOLE_BYTES = 4 << 20
_SHORTEST_LITERAL = 4
_CHUNK_BYTES = 1 << 20


def scan_log(path: str, tick: Tick) -> Scan:
    """Scan a file, or standard input for ``-``. Raises UsageError if it cannot be read."""
    if path == "-":
        return _scan_stream(sys.stdin.buffer.read)
    try:
        with open(path, "rb") as stream:
            if os.fstat(stream.fileno()).st_size <= WHOLE_BYTES:
                return _scan_stream(stream.read)
    except OSError as error:
        raise UsageError("log-unreadable", path=path, reason=error.strerror) from error
    return _scan_with_grep(os.path.realpath(path), tick)


def literals() -> tuple[str, ...]:
    """What every line has in which a sign of a large log may be. Signs of listings have less."""
    found = {sign.literal for sign in load().signs()}
    return tuple(sorted(each for each in found if len(each) >= _SHORTEST_LITERAL))


def _scan_with_grep(path: str, tick: Tick) -> Scan:
    argv = ["grep", "--text", "--line-number", "--fixed-strings"]
    for literal in literals():
        argv += ["-e", literal]
    scan = Scan(load(), is_part=True)
    try:
        for line in RealRunner(tick).lines([*argv, "--", path], good=(0, 1)):
            number, _, text = line.partition(b":")
            scan.feed(split(int(number), text.decode("utf-8", "replace")))
    except EnvironmentFault as fault:
        if fault.code != "command-missing":
            raise
        with open(path, "rb") as stream:
            return _scan_stream(stream.read)
    return scan


def _scan_stream(read: Reader) -> Scan:
    head = read(WHOLE_BYTES + 1)
    if len(head) <= WHOLE_BYTES:
        scan = Scan(load())
        _feed(scan, enumerate(head.split(b"\n"), 1))
        return scan
    scan = Scan(load(), is_part=True)
    wanted = [each.encode() for each in literals()]
    number, rest = 1, b""
    while head or rest:
        lines = (rest + head).split(b"\n")
        rest = lines.pop()[: MAX_CHARS * 4] if head else b""
        if any(each in head for each in wanted):
            _feed(scan, _candidates(enumerate(lines, number), wanted))
        number += len(lines)
        head = read(_CHUNK_BYTES)
    return scan


def _candidates(
    lines: Iterable[tuple[int, bytes]], wanted: Iterable[bytes]
) -> Iterator[tuple[int, bytes]]:
    return ((number, line) for number, line in lines if any(each in line for each in wanted))


def _feed(scan: Scan, lines: Iterable[tuple[int, bytes]]) -> None:
    for number, line in lines:
        scan.feed(split(number, line[: MAX_CHARS * 4].decode("utf-8", "replace")))
