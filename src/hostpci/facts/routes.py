"""Which interface leads to an address: the kernel's main tables, as /proc shows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .look import Look

_DEFAULT = "00000000"
_V6_BITS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """``network`` with ``mask`` (numbers of ``bits`` bits) is reached through ``interface``."""

    interface: str
    network: int
    mask: int
    bits: int


class Routes:
    """``default``: interfaces that lead anywhere."""

    def __init__(self, look: Look) -> None:
        v4 = [line.split() for line in (look.text("/proc/net/route") or "").splitlines()]
        v6 = [line.split() for line in look.lines("/proc/net/ipv6_route", destinations) or ()]
        self.default = {words[0] for words in v4 if words[1:2] == [_DEFAULT] and _is_default(words)}
        self.default |= {words[2] for words in v6 if words[:2] == ["0" * 32, "00"]} - {"lo"}
        self._routes = [*_parsed_v4(v4), *_parsed_v6(v6)]

    def interface_to(self, number: int, bits: int) -> str:
        """Longest prefix wins, as in the kernel; empty if nothing leads there."""
        fitting = [
            (each.mask, each.interface)
            for each in self._routes
            if each.bits == bits and number & each.mask == each.network
        ]
        return max(fitting)[1] if fitting else ""


def _is_default(words: list[str]) -> bool:
    """Without a mask (a capture keeps default routes only) 0.0.0.0 is the default."""
    mask = words[7:8]
    return mask in ([], [_DEFAULT])


def destinations(lines: Iterable[str]) -> Iterator[str]:
    """Destination, prefix length and interface: gateways are nobody's business."""
    for line in lines:
        words = line.split()
        if len(words) > 2:  # noqa: PLR2004
            yield f"{words[0]} {words[1]} {words[-1]}"


def _parsed_v4(rows: list[list[str]]) -> Iterator[Route]:
    """net/ipv4/fib_trie.c prints addresses as they lie in memory: little-endian on x86."""
    for words in rows:
        if len(words) > 7:  # noqa: PLR2004
            network, mask = _little(words[1]), _little(words[7])
            if network is not None and mask is not None:
                yield Route(interface=words[0], network=network, mask=mask, bits=32)


def _parsed_v6(rows: list[list[str]]) -> Iterator[Route]:
    for network, prefix, interface in rows:
        try:
            length, number = int(prefix, 16), int(network, 16)
        except ValueError:
            continue
        if length <= _V6_BITS and interface != "lo":
            mask = (1 << _V6_BITS) - (1 << (_V6_BITS - length))
            yield Route(interface=interface, network=number & mask, mask=mask, bits=_V6_BITS)


def _little(text: str) -> int | None:
    try:
        return int.from_bytes(bytes.fromhex(text), "little")
    except ValueError:
        return None
