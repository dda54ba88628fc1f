"""A capture laid out as a tree on disk, so that the very same code can write into it."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Any

from ..errors import CorruptError


def unpack(capture: dict[str, Any], directory: str) -> None:
    """Write files, links and directories of a capture below ``directory`` (must be empty).

    Raises CorruptError for a link that would lead out of it: a capture is untrusted.
    """
    base = os.path.realpath(directory)
    for path in sorted(capture["links"], key=lambda each: (each.count("/"), each)):
        _link(base, path, capture["links"][path])
    for path, names in capture["directories"].items():
        _directory(base, path, [n for n in names if not _is_known(capture, f"{path}/{n}")])
    for path, text in capture["files"].items():
        _write(base, path, text.encode("utf-8", "surrogateescape"))
    for path, text in capture["binary"].items():
        _write(base, path, base64.b64decode(text))
    present = [path for path, found in capture["exists"].items() if found]
    for path in (*present, *capture["times"]):
        if not os.path.exists(_inside(base, path)):
            _write(base, path, b"")
    for path, stamp_ns in capture["times"].items():
        os.utime(_inside(base, path), ns=(stamp_ns, stamp_ns))


def _directory(base: str, path: str, unknown: list[str]) -> None:
    """Make a directory; entries of which nothing but the name is known become directories."""
    os.makedirs(_inside(base, path), exist_ok=True)
    for name in unknown:
        os.makedirs(_inside(base, f"{path}/{name}"), exist_ok=True)


def _is_known(capture: dict[str, Any], path: str) -> bool:
    sections = ("files", "binary", "links", "times", "errors", "exists")
    return any(path in capture[section] for section in sections)


def _inside(base: str, path: str) -> str:
    resolved = os.path.realpath(base + path)
    if not resolved.startswith(base + "/"):
        raise CorruptError("capture-corrupt", path=path, reason="leads out of the tree")
    return resolved


def _link(base: str, path: str, target: str) -> None:
    parent, name = _inside(base, path.rpartition("/")[0] or "/."), path.rpartition("/")[2]
    os.makedirs(parent, exist_ok=True)
    where = f"{parent}/{name}"
    pointed_at = os.path.normpath(os.path.join(parent, target))
    if target.startswith("/") or not pointed_at.startswith(base + "/"):
        raise CorruptError("capture-corrupt", path=path, reason="link leads out of the tree")
    os.makedirs(pointed_at, exist_ok=True)
    if not os.path.lexists(where):
        os.symlink(target, where)


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
