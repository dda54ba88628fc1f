"""The baseline on disk: written after an apply, gone after an undo."""

from __future__ import annotations

import json
import os
import re

from ..host.files import HostFiles
from ..model.baseline import BASELINE, SCHEMA, Baseline
from ..model.codec import document
from ..model.journal import FileImage
from .apply import temporary_name
from .journal import HOME

_TEMPORARY = re.compile(r"\.hostpci-[0-9a-f]{16}\.tmp")


def store_baseline(files: HostFiles, baseline: Baseline) -> None:
    """Replace the baseline; a cut leaves the old one or the new one."""
    files.make_directories(HOME, 0o700)
    _remove_temporaries(files)
    text = json.dumps(document(SCHEMA, baseline), indent=1) + "\n"
    mine = FileImage(path=BASELINE, sha256=None, mode=0o600, owner=os.geteuid(), group=os.getegid())
    files.replace(BASELINE, (text.encode("utf-8"),), temporary=temporary_name(), like=mine)


def remove_baseline(files: HostFiles) -> None:
    """What was applied is so no more: nothing is to be compared with it."""
    files.remove(BASELINE)
    _remove_temporaries(files)


def _remove_temporaries(files: HostFiles) -> None:
    """No journal names these: they lie in a directory of our own and lead to nothing."""
    for name in files.names_in(HOME):
        if _TEMPORARY.fullmatch(name):
            files.remove(f"{HOME}/{name}")
