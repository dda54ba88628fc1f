"""Where facts are read from: the running host, a tree on disk, or somebody's capture.

Readers get a Root as an argument and never open a path themselves, so the same code looks at
``/``, at a test tree and at a capture. Nothing here can write.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable

Keep = Callable[[Iterable[str]], Iterable[str]]

_HELD_PREFIXES = (
    "/dev/snd/", "/dev/dri/", "/dev/nvidia", "/dev/vfio/", "/dev/kfd", "/dev/fb", "/dev/sd",
    "/dev/nvme", "/dev/vd", "/dev/dm-",
)  # fmt: skip


class NotCapturedError(OSError):
    """A capture does not say: neither the content nor the absence of this path was recorded."""

    def __init__(self, path: str) -> None:
        super().__init__(errno.ENODATA, "not in the capture", path)


def regular_only(path: str, _flags: int) -> int:
    """For ``open(opener=)``: a pipe or a device in the place of a file would let us wait forever.

    What the kernel shows in /proc and /sys are regular files.
    """
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(number).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # open() itself refuses directories
        os.close(number)
        raise OSError(errno.EINVAL, "no regular file", path)
    return number


class Root:
    """The interface. Every method raises OSError the way the ``os`` call would."""

    is_live = False

    def read_bytes(self, path: str) -> bytes:
        raise NotImplementedError

    def read_head(self, path: str, count: int) -> bytes:
        """The first bytes of a file that may be of any size."""
        return self.read_bytes(path)[:count]

    def size(self, path: str) -> int:
        return len(self.read_bytes(path))

    def read_text(self, path: str) -> str:
        return self.read_bytes(path).decode("utf-8", "replace")

    def digest(self, path: str) -> str:
        """SHA-256 of the content, in hexadecimal."""
        import hashlib

        return hashlib.sha256(self.read_bytes(path)).hexdigest()

    def filtered_lines(self, path: str, keep: Keep) -> tuple[str, ...]:
        """Lines of a large file that ``keep`` lets through; ``keep`` must be idempotent."""
        return tuple(keep(self.read_text(path).splitlines()))

    def list_directory(self, path: str) -> tuple[str, ...]:
        """Sorted names."""
        raise NotImplementedError

    def read_link(self, path: str) -> str:
        raise NotImplementedError

    def exists(self, path: str) -> bool:
        raise NotImplementedError

    def modified_ns(self, path: str) -> int:
        raise NotImplementedError

    def device_holders(self) -> dict[str, tuple[str, ...]]:
        """Device node -> processes (``comm[pid]``) that hold it open."""
        raise NotImplementedError


class TreeRoot(Root):
    """A directory that holds, or is, a root file system. Links never lead out of it."""

    def __init__(self, base: str = "/") -> None:
        self.base = os.path.realpath(base)
        self.is_live = self.base == "/"

    def _real(self, path: str) -> str:
        if self.is_live:
            return path
        return self._inside(self.base + path, path)

    def _inside(self, candidate: str, path: str) -> str:
        resolved = os.path.realpath(candidate)
        if resolved != self.base and not resolved.startswith(self.base + "/"):
            raise PermissionError(errno.EACCES, "link leads out of the tree", path)
        return resolved

    def read_bytes(self, path: str) -> bytes:
        try:
            with open(self._real(path), "rb", buffering=0, opener=regular_only) as stream:
                return stream.read()
        except OSError as error:
            # A link to /dev/null is how udev and systemd are told to pass over a file of theirs
            is_odd = error.errno in (errno.EINVAL, errno.EACCES)
            if is_odd and os.path.realpath(self.base + path) == os.devnull:
                return b""
            raise

    def read_head(self, path: str, count: int) -> bytes:
        with open(self._real(path), "rb", opener=regular_only) as stream:
            return stream.read(count)

    def size(self, path: str) -> int:
        return os.stat(self._real(path)).st_size

    def list_directory(self, path: str) -> tuple[str, ...]:
        return tuple(sorted(os.listdir(self._real(path))))

    def read_link(self, path: str) -> str:
        if self.is_live:
            return os.readlink(path)
        parent, _, name = path.rpartition("/")
        return os.readlink(f"{self._inside(self.base + parent, path)}/{name}")

    def exists(self, path: str) -> bool:
        try:
            os.stat(self._real(path))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def modified_ns(self, path: str) -> int:
        return os.stat(self._real(path)).st_mtime_ns

    def device_holders(self) -> dict[str, tuple[str, ...]]:
        return _scan_open_devices() if self.is_live else {}


def _scan_open_devices() -> dict[str, tuple[str, ...]]:
    holders: dict[str, set[str]] = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for target in _open_files_of(pid):
            if target.startswith(_HELD_PREFIXES):
                holders.setdefault(target, set()).add(f"{_command_of(pid)}[{pid}]")
    return {path: tuple(sorted(names)) for path, names in sorted(holders.items())}


def _open_files_of(pid: str) -> list[str]:
    # A process may end while we look at it: then it holds nothing any more.
    try:
        return [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return []


def _command_of(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return "?"
