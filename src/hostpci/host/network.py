"""Is a neighbour there? Asked by the kernel's own ARP, without a program and without a reply."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress

_DISCARD_PORT = 9
_WAIT_S = 3.0
_POLL_S = 0.2
# include/uapi/linux/if_arp.h: ATF_COM, "completed entry"
_COMPLETE = 0x2


def answers_arp(address: str, table: Callable[[], str]) -> bool:
    """Send one datagram that nobody reads, so that the kernel must look the neighbour up.

    ``table`` reads /proc/net/arp. A neighbour that answered a while ago may have gone since: the
    kernel tells so itself after it has asked again in vain.
    """
    # A packet filter may refuse the datagram itself; the table then says what is known
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"", (address, _DISCARD_PORT))
    deadline_s = time.monotonic() + _WAIT_S
    while not _is_complete(address, table()):
        if time.monotonic() > deadline_s:
            return False
        time.sleep(_POLL_S)
    return True


def _is_complete(address: str, table: str) -> bool:
    rows = (line.split() for line in table.splitlines()[1:])
    return any(row[0] == address and int(row[2], 16) & _COMPLETE for row in rows if len(row) > 2)  # noqa: PLR2004
