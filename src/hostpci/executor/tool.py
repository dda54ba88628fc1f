"""A copy of this program in our own store, for what has to run when the checkout may be gone.

One file, a zip archive that the interpreter runs as it is: replaced atomically, and the same
sources always give the same bytes, so that a second installation writes nothing.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from functools import cache

from ..host.files import HostFiles
from ..model.journal import FileImage, History, RunState
from ..model.plan import FileStep
from .apply import temporary_name
from .journal import HOME

DIRECTORY = f"{HOME}/tool"
TOOL = f"{DIRECTORY}/hostpci.pyz"
# -B: Python would leave its own compiled copies beside ours
TOOL_ARGV = ("/usr/bin/python3", "-IBS", TOOL)

_MAIN = """\
import sys

from hostpci.cli.main import entry

sys.exit(entry())
"""
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# The recorded host of the demo is most of the package's size
_LEFT_OUT = ("__pycache__", "guide-host.json")
# The first moment that a zip archive can express
_EPOCH = (1980, 1, 1, 0, 0, 0)


def install_tool(files: HostFiles) -> str:
    """Put the copy there, if it is not there just so, and return its path."""
    content = _archive()
    files.make_directories(DIRECTORY, 0o700)
    found = files.image(TOOL)
    for name in files.names_in(DIRECTORY):
        if f"{DIRECTORY}/{name}" != TOOL:
            files.remove(f"{DIRECTORY}/{name}")  # what a cut has left
    if found.sha256 != hashlib.sha256(content).hexdigest():
        like = FileImage(path=TOOL, sha256=None, mode=0o600, owner=os.geteuid(), group=os.getegid())
        files.replace(TOOL, (content,), temporary=temporary_name(), like=like)
    return TOOL


def drop_tool(files: HostFiles, history: History) -> None:
    """Remove the copy unless a unit that stands still calls it."""
    if not is_needed(history):
        for name in files.names_in(DIRECTORY):
            files.remove(f"{DIRECTORY}/{name}")
        files.remove_directory_if_empty(DIRECTORY)


def is_needed(history: History) -> bool:
    """True if a run that is not undone has written a file that names the copy."""
    return any(
        isinstance(step, FileStep) and TOOL in (step.after or "") and not run.is_step_undone(index)
        for run in history.runs
        if run.state is not RunState.UNDONE
        for index, step in enumerate(run.begin.plan.steps)
    )


@cache
def _archive() -> bytes:
    """The bytes of the copy; of a copy that runs, the copy itself."""
    running = _PACKAGE.rpartition("/")[0]
    if os.path.isfile(running):
        with open(running, "rb") as stream:
            return stream.read()
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in [("__main__.py", _MAIN.encode()), *_sources()]:
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return memory.getvalue()


def _sources() -> Iterator[tuple[str, bytes]]:
    """(name within the archive, content) of every file of the package, in a fixed order."""
    for folder, names, files in os.walk(_PACKAGE):
        names[:] = sorted(name for name in names if name not in _LEFT_OUT)
        for name in sorted(files):
            if name not in _LEFT_OUT:
                path = f"{folder}/{name}"
                with open(path, "rb") as stream:
                    yield f"hostpci{path.removeprefix(_PACKAGE)}", stream.read()
