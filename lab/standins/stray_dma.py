"""Runs in a lab host: lets QEMU's edu device write to memory that nobody has mapped for it.

Its registers are in QEMU's docs/specs/edu.rst.
"""

from __future__ import annotations

import mmap
import os
import struct

_DEVICE = "/sys/bus/pci/devices/0000:00:06.0"
_SOURCE, _TARGET, _COUNT, _COMMAND = 0x80, 0x88, 0x90, 0x98
_BUFFER = 0x40000
_TO_MEMORY, _START = 2, 1
_MEMORY_AND_MASTER = 6


def main() -> None:
    """Enable the device, and start one transfer."""
    with open(f"{_DEVICE}/enable", "w", encoding="ascii") as stream:
        stream.write("1")
    config = os.open(f"{_DEVICE}/config", os.O_RDWR)
    (command,) = struct.unpack("<H", os.pread(config, 2, 4))
    os.pwrite(config, struct.pack("<H", command | _MEMORY_AND_MASTER), 4)
    with mmap.mmap(os.open(f"{_DEVICE}/resource0", os.O_RDWR | os.O_SYNC), 4096) as registers:
        for offset, value in (
            (_SOURCE, _BUFFER), (_TARGET, 0x7654000), (_COUNT, 16), (_COMMAND, _TO_MEMORY | _START),
        ):  # fmt: skip
            registers[offset : offset + 8] = struct.pack("<Q", value)


if __name__ == "__main__":
    main()
