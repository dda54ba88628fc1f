"""Our hook script outlives its undo while a machine of this node would not start without it."""

from __future__ import annotations

import re

from ..host.files import HostFiles
from ..host.root import TreeRoot
from ..model.hook import is_named_in

_CONFIGS = "/etc/pve/qemu-server"
_CONFIG = re.compile(r"([0-9]{1,9})\.conf")
_PVE = "/usr/bin/pveversion"


def names_of_hook(files: HostFiles) -> tuple[str, ...]:
    """Machines of this node that name it: made from a backup or as a copy of ours, or by hand.

    While PVE's cluster file system is not up nobody knows; that is named instead.
    """
    root = TreeRoot(files.base)
    try:
        found = [match for match in map(_CONFIG.fullmatch, root.list_directory(_CONFIGS)) if match]
        numbers = [int(each[1]) for each in found if is_named_in(_text(root, each[0]))]
    except OSError:
        return (f"{_CONFIGS} cannot be read",) if root.exists(_PVE) else ()
    return tuple(f"VM {number}" for number in sorted(numbers))


def _text(root: TreeRoot, name: str) -> str:
    try:
        return root.read_text(f"{_CONFIGS}/{name}")
    except FileNotFoundError:
        return ""  # destroyed or migrated a moment ago
