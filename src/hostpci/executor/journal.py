"""The journal on disk: one file per run, one checksummed line per entry, synced one by one.

A line is JSON ``{"entry": {...}, "sha256": "..."}``. A last line without its end is what a power
cut leaves while appending: it never happened. Any other line that does not check is damage, and
then nothing is read, applied or undone on its word.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from ..errors import CorruptError, EnvironmentFault, NotPermittedError
from ..host.root import Root, TreeRoot
from ..model import journal as model
from ..model.codec import DecodeError, decode, encode
from ..model.journal import Begin, Entry, History, Run, RunState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host.files import HostFiles

HOME = "/var/lib/hostpci"
RUNS = f"{HOME}/runs"
KEPT = f"{HOME}/kept"
_SUFFIX = ".journal"
_ENTRY_TYPES: tuple[type[Entry], ...] = (
    Begin, model.Intent, model.Done, model.Failed, model.Applied,
    model.UndoIntent, model.StepUndone, model.Undone,
    model.Booted, model.Proved, model.Confirmed, model.GivenUp,
)  # fmt: skip
_BY_KIND = {each.KIND: each for each in _ENTRY_TYPES}
_SPARE_BYTES = 1 << 20
_TEMPORARY = re.compile(r"\.hostpci-[0-9a-f]{16}\.tmp")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def read_history(root: Root) -> History:
    """Every run, oldest first. Raises CorruptError that names the damaged file."""
    try:
        names = [name for name in root.list_directory(RUNS) if name.endswith(_SUFFIX)]
    except FileNotFoundError:
        return History(runs=())
    except PermissionError as error:
        raise NotPermittedError("needs-root") from error
    except OSError as error:
        raise CorruptError("journal-unreadable", path=RUNS, reason=error.strerror) from error
    runs = (_read_run(root, name) for name in sorted(names, key=lambda each: (len(each), each)))
    return History(runs=tuple(run for run in runs if run is not None))


def _read_run(root: Root, name: str) -> Run | None:
    path = f"{RUNS}/{name}"
    try:
        raw = root.read_bytes(path)
    except OSError as error:
        raise CorruptError("journal-unreadable", path=path, reason=error.strerror) from error
    lines = raw.split(b"\n")[:-1]
    entries = tuple(_parse(line, f"{path}:{n}") for n, line in enumerate(lines, start=1))
    if not entries:
        return None
    number = name.removesuffix(_SUFFIX)
    if not isinstance(entries[0], Begin) or not number.isdigit():
        raise CorruptError("journal-corrupt", path=path, reason="does not begin with a plan")
    return Run(number=int(number), entries=entries)


class Journal:
    """Write access to the journal of one root."""

    def __init__(self, files: HostFiles) -> None:
        self._files = files

    def history(self) -> History:
        """Every run. Raises CorruptError if somebody else may have written them."""
        if not self._files.is_ours(RUNS):
            raise CorruptError("journal-foreign", path=RUNS)
        return read_history(TreeRoot(self._files.base))

    def interrupted(self) -> Run | None:
        """The run that was cut off in the middle, if there is one."""
        open_states = {RunState.APPLYING, RunState.UNDOING}
        return next((run for run in self.history().runs if run.state in open_states), None)

    def begin(self, entry: Begin) -> Run:
        """Start a new run: directories, then the first entry, all synced."""
        self._files.make_directories(RUNS, 0o700)
        self._files.make_directories(KEPT, 0o700)
        if self._files.free_bytes(HOME) < _SPARE_BYTES:
            raise EnvironmentFault("disk-full", path=HOME, reason="less than 1 MiB is free")
        names = [name.removesuffix(_SUFFIX) for name in self._files.names_in(RUNS)]
        number = 1 + max((int(name) for name in names if name.isdigit()), default=0)
        return self.add(Run(number=number, entries=()), entry)

    def add(self, run: Run, entry: Entry) -> Run:
        """Append one entry and sync it; a torn tail of an earlier cut is overwritten."""
        path = f"{RUNS}/{run.number:04d}{_SUFFIX}"
        there = (self._files.read(path) or b"").split(b"\n")[: len(run.entries)]
        written = sum(len(line) + 1 for line in there)
        self._files.append(path, _line(entry), from_offset=written)
        return Run(number=run.number, entries=(*run.entries, entry))

    def drop_copies(self) -> None:
        """Remove kept copies that no run can need any more, and half-written ones."""
        needed = {
            image.kept
            for run in self.history().runs
            if run.state is not RunState.UNDONE
            for entry in run.entries
            if isinstance(entry, model.Intent)
            for image in entry.before
        }
        for name in self._files.names_in(KEPT):
            if name not in needed:
                self._files.remove(f"{KEPT}/{name}")

    def forget(self) -> None:
        """Remove the whole journal: only when everything in it has been undone."""
        for directory in (RUNS, KEPT):
            for name in self._files.names_in(directory):
                self._files.remove(f"{directory}/{name}")
            self._files.remove_directory_if_empty(directory)
        self._files.remove_directory_if_empty(HOME)


def _line(entry: Entry) -> bytes:
    return _sealed(encode(entry))


def _sealed(data: Any) -> bytes:  # noqa: ANN401  (JSON)
    body = json.dumps(data, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(body.encode()).hexdigest()
    return f'{{"entry":{body},"sha256":"{digest}"}}\n'.encode()


def _parse(line: bytes, where: str) -> Entry:
    try:
        data = json.loads(line)
        entry = _decode_entry(data["entry"])
        # As it stands there, not as this version would write it: it may have learned more keys.
        if _sealed(data["entry"]) != line + b"\n":
            raise ValueError("checksum does not match")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptError("journal-corrupt", path=where, reason=str(error)) from error
    return entry


def _decode_entry(data: Any) -> Entry:  # noqa: ANN401  (JSON)
    kind = data.get("kind") if isinstance(data, dict) else None
    if kind not in _BY_KIND:
        raise DecodeError("kind", f"unknown {kind!r}")
    entry = decode(_BY_KIND[kind], data)
    _check_names(entry)
    return entry


def _check_names(entry: Entry) -> None:
    """Names that we make ourselves have one form; a journal that holds others is not ours."""
    temporary = entry.temporary if isinstance(entry, model.Intent | model.UndoIntent) else ""
    if temporary and not _TEMPORARY.fullmatch(temporary):
        raise DecodeError("temporary", f"not a name of ours: {temporary!r}")
    if isinstance(entry, model.Intent):
        for image in entry.before:
            if image.kept is not None and not _SHA256.fullmatch(image.kept):
                raise DecodeError("kept", f"not a name of ours: {image.kept!r}")
