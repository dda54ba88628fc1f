"""The hook script that Proxmox VE calls when a machine starts and stops, and what it is for.

PVE runs it as ``SCRIPT VMID PHASE`` (PVE::GuestHelpers exec_hookscript); a status of not 0 in
pre-start keeps the machine from starting, in the other phases it is only a warning. A script that
is not there keeps it from starting just so (check_hookscript): wherever a configuration names it,
after a restore or a migration too, it has to lie.
"""

from __future__ import annotations

import re
from enum import StrEnum

HOOK_NAME = "hostpci-hook.sh"
# The directory of the storage "local" as every installation has it
HOOK = f"/var/lib/vz/snippets/{HOOK_NAME}"
HOOK_VOLUME = f"local:snippets/{HOOK_NAME}"
HOOK_MODE = 0o755
# What cannot be read is no reason to let a machine start: only grep's "no" (1) is one.
HOOK_TEXT = """\
#!/bin/sh
# Written by "hostpci apply" for claims with the option while-vm, removed by "hostpci undo".
# A machine that no claim of this node is lent to starts: one that was restored under another
# number, or that came from another node. For others: no card, no start.
claims=/etc/hostpci.toml
[ -e "$claims" ] || exit 0
grep -qwe "while-vm=$1" "$claims"
[ $? = 1 ] && exit 0
exec /usr/bin/python3 -IBS /var/lib/hostpci/tool/hostpci.pyz hook "$1" "$2"
"""


_OURS = re.compile(rf"[^\s:]+:snippets/{re.escape(HOOK_NAME)}")
_LINE = re.compile(rf"^hookscript:[ \t]*{_OURS.pattern}[ \t\r]*$", re.MULTILINE)


def is_our_volume(text: str) -> bool:
    """By whatever storage it is named."""
    return _OURS.fullmatch(text) is not None


def is_named_in(config: str) -> bool:
    """A machine's configuration file, or one of its snapshots, names our script."""
    return _LINE.search(config) is not None


class Phase(StrEnum):
    PRE_START = "pre-start"
    POST_START = "post-start"
    PRE_STOP = "pre-stop"
    POST_STOP = "post-stop"
