"""Hides whose network a host is in, and keeps which interface is needed for what.

Of the routes only the default ones stay, and one to each address that something on the host needs;
those addresses are the redacted ones, which stand for them in the capture's texts too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..host.capture import CaptureRoot
from .look import Look
from .networks import SOCKETS, address_in, peers
from .routes import Routes

_V4, _V6 = "/proc/net/route", "/proc/net/ipv6_route"
# Of these every address is a replacement once they are hidden
TABLES = (_V4, _V6, *SOCKETS)
Way = tuple[str, int, int]  # interface, address, its bits

_V4_BITS = 32
_HEAD, _WIDE_HEAD = "Iface\tDestination", "\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask"


def hide_network(data: dict[str, Any], redact: Callable[[str], str]) -> None:
    """Rewrite the tables of ``data``, a recording, in place."""
    look = Look(CaptureRoot(data))
    routes = Routes(look)
    needed = dict.fromkeys((number, bits) for _, number, bits in peers(look))
    stands_for = {each: (_hidden(*each, redact), each[1]) for each in needed}
    ways = [(routes.interface_to(*each), *stands_for[each]) for each in needed]
    files = data["files"]
    if _V4 in files:
        files[_V4] = _table_v4(_default_v4(files[_V4]), ways)
    if _V6 in files:
        files[_V6] = _table_v6(_default_v6(files[_V6]), ways)
    for path in SOCKETS:
        if path in files:
            files[path] = _with_others(files[path], stands_for)


def _table_v4(default: list[str], ways: list[Way]) -> str:
    kept = [f"{name}\t00000000" for name in default]
    hosts = [
        f"{name}\t{_words(to, bits)}\t0\t1\t0\t0\t0\tFFFFFFFF"
        for name, to, bits in ways
        if name and bits == _V4_BITS
    ]
    return "\n".join([f"{_HEAD}{_WIDE_HEAD if hosts else ''}", *kept, *hosts]) + "\n"


def _table_v6(default: list[str], ways: list[Way]) -> str:
    kept = [f"{'0' * 32} 00 {name}\n" for name in default]
    hosts = [f"{to:032x} 80 {name}\n" for name, to, bits in ways if name and bits != _V4_BITS]
    return "".join([*kept, *hosts])


def _default_v4(table: str) -> list[str]:
    rows = [line.split() for line in table.splitlines()[1:]]
    return [row[0] for row in rows if row[1:2] == ["00000000"] and row[7:8] in ([], ["00000000"])]


def _default_v6(table: str) -> list[str]:
    rows = [line.split() for line in table.splitlines()]
    return [row[-1] for row in rows if row[:2] == ["0" * 32, "00"]]


def _hidden(number: int, bits: int, redact: Callable[[str], str]) -> int:
    import ipaddress

    make = ipaddress.IPv4Address if bits == _V4_BITS else ipaddress.IPv6Address
    return int(make(redact(str(make(number)))))


def _words(number: int, bits: int) -> str:
    """As the kernel prints it: words of 32 bits, each as it lies in memory."""
    words = [number >> at & 0xFFFFFFFF for at in range(bits - 32, -1, -32)]
    return "".join(word.to_bytes(4, "little").hex().upper() for word in words)


def _with_others(table: str, stands_for: dict[tuple[int, int], tuple[int, int]]) -> str:
    """Of a session its own port says what it is; the other end's says nothing."""
    lines = []
    for line in table.splitlines():
        first, local, remote, state = line.split()
        here, _, port = local.partition(":")
        there = remote.partition(":")[0]
        ends = [_words(*stands_for[address_in(text)]) for text in (here, there)]
        lines.append(f"{first} {ends[0]}:{port} {ends[1]}:0000 {state}\n")
    return "".join(lines)
