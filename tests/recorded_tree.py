"""A root file system in memory: what a description does not put there is absent, as on a host.

Unlike a capture, which holds only what was once asked, it answers whatever a reader asks.
"""

from __future__ import annotations

import errno
import os

from hostpci.host.root import Root

_MAX_LINKS = 40
# 2026-01-15; what was written when matters only where a description says so
DEFAULT_TIME_NS = 1_768_435_200_000_000_000


class MemoryRoot(Root):
    """Directories, files and symbolic links. Parents come into being by themselves."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._links: dict[str, str] = {}
        self._directories: dict[str, set[str]] = {"/": set()}
        self._times: dict[str, int] = {}
        self.holders: dict[str, tuple[str, ...]] = {}

    # building

    def directory(self, path: str) -> str:
        """Make a directory (through links that are already there); returns its real path."""
        real = self._resolve(path, must_exist=False)
        if real not in self._directories:
            parent, _, name = real.rpartition("/")
            self._directories[self.directory(parent or "/")].add(name)
            self._directories[real] = set()
        return real

    def _place(self, path: str) -> str:
        parent, _, name = path.rpartition("/")
        real = self.directory(parent or "/")
        self._directories[real].add(name)
        return f"{real.rstrip('/')}/{name}"

    def file(self, path: str, content: str | bytes = "", *, time_ns: int = 0) -> None:
        real = self._place(path)
        self._files[real] = content.encode() if isinstance(content, str) else content
        self._times[real] = time_ns or DEFAULT_TIME_NS

    def link(self, path: str, target: str) -> None:
        self._links[self._place(path)] = target

    def remove(self, path: str) -> None:
        parent, _, name = path.rpartition("/")
        real = self._resolve(parent)
        self._directories[real].discard(name)
        for kind in (self._files, self._links):
            kind.pop(f"{real}/{name}", None)

    # answering

    def _resolve(self, path: str, *, must_exist: bool = True) -> str:
        """Follow every link of the path, the last one too."""
        todo = [part for part in path.split("/") if part]
        real: list[str] = []
        hops = 0
        while todo:
            part = todo.pop(0)
            if part in (".", ".."):
                real = real[:-1] if part == ".." else real
                continue
            here = "/" + "/".join([*real, part])
            target = self._links.get(here)
            if target is None:
                real.append(part)
                continue
            hops += 1
            if hops > _MAX_LINKS:
                raise _error(errno.ELOOP, path)
            real = [] if target.startswith("/") else real
            todo = [*(each for each in target.split("/") if each), *todo]
        found = "/" + "/".join(real)
        if must_exist and found not in self._files and found not in self._directories:
            raise _error(errno.ENOENT, path)
        return found

    def read_bytes(self, path: str) -> bytes:
        real = self._resolve(path)
        if real in self._directories:
            raise _error(errno.EISDIR, path)
        return self._files[real]

    def list_directory(self, path: str) -> tuple[str, ...]:
        real = self._resolve(path)
        if real not in self._directories:
            raise _error(errno.ENOTDIR, path)
        return tuple(sorted(self._directories[real]))

    def read_link(self, path: str) -> str:
        parent, _, name = path.rpartition("/")
        here = f"{self._resolve(parent).rstrip('/')}/{name}"
        target = self._links.get(here)
        if target is not None:
            return target
        known = here in self._files or here in self._directories
        raise _error(errno.EINVAL if known else errno.ENOENT, path)

    def exists(self, path: str) -> bool:
        try:
            self._resolve(path)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return False
            raise
        return True

    def modified_ns(self, path: str) -> int:
        return self._times.get(self._resolve(path), DEFAULT_TIME_NS)

    def device_holders(self) -> dict[str, tuple[str, ...]]:
        return dict(self.holders)


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
