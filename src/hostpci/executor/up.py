"""What is remembered of an ``up``: one small file for each slot, replaced atomically."""

from __future__ import annotations

import json
import os

from ..errors import CorruptError
from ..host.files import HostFiles
from ..host.root import Root
from ..model.codec import document, open_document
from ..model.journal import FileImage
from ..model.up import UpRecord
from .apply import temporary_name
from .journal import HOME

DIRECTORY = f"{HOME}/up"
_SCHEMA = "hostpci.up-record/1"
_SUFFIX = ".json"
_MAX_BYTES = 1 << 16


def record_path(slot: str) -> str:
    return f"{DIRECTORY}/{slot.replace(':', '-')}{_SUFFIX}"


def read_records(root: Root) -> tuple[UpRecord, ...]:
    """Every record. Raises CorruptError that names the file."""
    try:
        names = sorted(root.list_directory(DIRECTORY))
    except OSError:
        return ()
    paths = [f"{DIRECTORY}/{name}" for name in names if name.endswith(_SUFFIX)]
    return tuple(_read(root, path) for path in paths)


def read_record(root: Root, slot: str) -> UpRecord | None:
    path = record_path(slot)
    return _read(root, path) if root.exists(path) else None


def _read(root: Root, path: str) -> UpRecord:
    try:
        data = json.loads(root.read_bytes(path)[:_MAX_BYTES])
    except (OSError, ValueError) as error:
        raise CorruptError("corrupt-document", path=path, reason=str(error)[:200]) from error
    return open_document(UpRecord, _SCHEMA, data, path)


def write_record(files: HostFiles, record: UpRecord) -> None:
    """Hold the lock (``exclusive``)."""
    files.make_directories(DIRECTORY, 0o700)
    for name in files.names_in(DIRECTORY):
        if not name.endswith(_SUFFIX):
            files.remove(f"{DIRECTORY}/{name}")  # what a cut has left
    path = record_path(record.wish.slot)
    text = json.dumps(document(_SCHEMA, record), indent=1) + "\n"
    like = FileImage(path=path, sha256=None, mode=0o600, owner=os.geteuid(), group=os.getegid())
    files.replace(path, (text.encode(),), temporary=temporary_name(), like=like)


def drop_records(files: HostFiles) -> None:
    for name in files.names_in(DIRECTORY):
        files.remove(f"{DIRECTORY}/{name}")
    files.remove_directory_if_empty(DIRECTORY)
