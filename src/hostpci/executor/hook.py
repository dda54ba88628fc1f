"""Our hook script outlives its undo while a machine of this node would not start without it."""

from __future__ import annotations

import re

from ..host.files import HostFiles
from ..host.root import TreeRoot
from ..model.hook import is_named_in

_CONFIGS = "/etc/pve/qemu-server"
_CONFIG = re.compile(r"([0-9]{1,9})\.conf")


def names_of_hook(files: HostFiles) -> tuple[str, ...]:
    """Machines of this node that name it: made from a backup or as a copy of ours, or by hand."""
    root = TreeRoot(files.base)
    try:
        found = [match for match in map(_CONFIG.fullmatch, root.list_directory(_CONFIGS)) if match]
        texts = {int(each[1]): root.read_text(f"{_CONFIGS}/{each[0]}") for each in found}
    except FileNotFoundError:
        return ()  # no PVE, or a machine that has just gone
    except OSError:
        return (f"{_CONFIGS}?",)
    return tuple(f"VM {number}" for number in sorted(texts) if is_named_in(texts[number]))
