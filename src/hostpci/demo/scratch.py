"""A capture laid out as a tree on disk, so that the very same code can write into it."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import CorruptError

# What a capture that contradicts itself meets; a full disk is no fault of the capture
_CONTRADICTIONS = {
    errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL,
    errno.ENOENT,
}  # fmt: skip


def unpack(capture: dict[str, Any], directory: str) -> None:
    """Write files, links and directories of a capture below ``directory`` (must be empty).

    Raises CorruptError for what would lead out of it or cannot be: a capture is untrusted.
    """
    base = os.path.realpath(directory)
    _lay_links(base, capture)
    for path, names in capture["directories"].items():
        with _laying_out(path):
            _directory(base, path, [n for n in names if not _is_known(capture, path, n)])
    for path, text in capture["files"].items():
        with _laying_out(path):
            _write(base, path, text.encode("utf-8", "surrogateescape"))
    for path, text in capture["binary"].items():
        with _laying_out(path):
            _write(base, path, base64.b64decode(text))
    present = [path for path, found in capture["exists"].items() if found]
    for path in (*present, *capture["times"]):
        with _laying_out(path):
            if not os.path.exists(_inside(base, path)):
                _write(base, path, b"")
    for path, stamp_ns in capture["times"].items():
        with _laying_out(path):
            os.utime(_inside(base, path), ns=(stamp_ns, stamp_ns))


@contextmanager
def _laying_out(path: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise CorruptError("capture-corrupt", path=path, reason=str(error)[:200]) from error
    except OSError as error:
        if error.errno not in _CONTRADICTIONS:
            raise
        raise CorruptError("capture-corrupt", path=path, reason=error.strerror) from error


def _directory(base: str, path: str, unknown: list[str]) -> None:
    """Make a directory; entries of which nothing but the name is known become directories."""
    os.makedirs(_inside(base, path), exist_ok=True)
    for name in unknown:
        os.makedirs(_inside(base, f"{path}/{name}"), exist_ok=True)


def _is_known(capture: dict[str, Any], directory: str, name: str) -> bool:
    path = f"{directory.rstrip('/')}/{name}"
    sections = ("files", "binary", "links", "times", "errors", "exists")
    return any(path in capture[section] for section in sections)


def _inside(base: str, path: str) -> str:
    """Where ``path`` of the capture lies, with every link on the way followed."""
    resolved = os.path.realpath(base + path)
    if resolved != base and not resolved.startswith(base + "/"):
        raise CorruptError("capture-corrupt", path=path, reason="leads out of the tree")
    return resolved


def _lay_links(base: str, capture: dict[str, Any]) -> None:
    """Make the links, then what they point at: only all of them together say where one leads."""
    links = sorted(capture["links"], key=lambda each: (each.count("/"), each))
    for path in links:
        with _laying_out(path):
            _link(base, path, capture["links"][path])
    targets = {}
    for path in links:
        with _laying_out(path):
            targets[path] = _inside(base, path)
            if targets[path] == base:
                raise CorruptError("capture-corrupt", path=path, reason="leads to the top")
    files = set()
    for path in (*capture["files"], *capture["binary"], *capture["times"]):
        with _laying_out(path):
            files.add(_inside(base, path))
    for path, target in targets.items():
        if target not in files:
            with _laying_out(path):
                os.makedirs(target, exist_ok=True)


def _link(base: str, path: str, target: str) -> None:
    parent, _, name = path.rpartition("/")
    parent = _inside(base, parent)
    if target.startswith("/"):
        raise CorruptError("capture-corrupt", path=path, reason="link leads out of the tree")
    os.makedirs(parent, exist_ok=True)
    # Two paths may be one place: the driver of two devices has one link to its module
    if not os.path.lexists(f"{parent}/{name}"):
        os.symlink(target, f"{parent}/{name}")


def _write(base: str, path: str, content: bytes) -> None:
    where = _inside(base, path)
    os.makedirs(where.rpartition("/")[0], exist_ok=True)
    with open(where, "wb") as stream:
        stream.write(content)


def fingerprint(directory: str, without: tuple[str, ...] = ()) -> dict[str, str]:
    """Path -> what it is: hash of a file with its mode, target of a link. Paths in ``without``
    and below are left out."""
    found = {}
    for folder, names, files in os.walk(directory):
        relative = folder.removeprefix(directory) or "/"
        names[:] = [name for name in names if f"{relative.rstrip('/')}/{name}" not in without]
        for name in (*names, *files):
            path = f"{folder}/{name}"
            shown = path.removeprefix(directory)
            if os.path.islink(path):
                found[shown] = f"-> {os.readlink(path)}"
            elif os.path.isfile(path):
                with open(path, "rb") as stream:
                    digest = hashlib.file_digest(stream, "sha256").hexdigest()
                found[shown] = f"{os.stat(path).st_mode:o} {digest}"
    return found
