"""A file in memory, without a name or a place on any disk: what a program reads of ours."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


class MemoryFile:
    """Use it in a ``with``. Filled anew it keeps its pages: that costs less than new ones."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("hostpci")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    def fill(self, content: bytes) -> None:
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        left = memoryview(content)
        while left:
            left = left[os.write(self.descriptor, left) :]
        os.ftruncate(self.descriptor, len(content))

    def rewind(self) -> None:
        """To the begin, from where the next program reads."""
        os.lseek(self.descriptor, 0, os.SEEK_SET)
