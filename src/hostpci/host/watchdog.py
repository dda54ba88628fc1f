"""The hardware watchdog: a host that hangs is reset, if nobody writes here for a while.

Documentation/watchdog/watchdog-api.rst; numbers from include/uapi/linux/watchdog.h.
"""

from __future__ import annotations

import fcntl
import os
import struct

_SETTIMEOUT = 0xC0045706
_MAGIC_CLOSE = b"V"
_KEEPALIVE = b"\0"


class Watchdog:
    """One open watchdog. Once opened it bites unless it is fed, or let go of by ``close``."""

    def __init__(self, name: str, timeout_s: int) -> None:
        """Raises OSError: EBUSY if somebody else feeds it, ENOENT if it is not there."""
        self.name = name
        self._descriptor = os.open(f"/dev/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            wish = struct.pack("i", timeout_s)
            granted: bytes = fcntl.ioctl(self._descriptor, _SETTIMEOUT, wish)
            self.timeout_s: int | None = struct.unpack("i", granted)[0]
        except OSError:
            self.timeout_s = None  # it has one time and no other; it is fed often enough

    def feed(self) -> None:
        os.write(self._descriptor, _KEEPALIVE)

    def close(self) -> None:
        """Let go of it so that it does not bite."""
        os.write(self._descriptor, _MAGIC_CLOSE)
        os.close(self._descriptor)
