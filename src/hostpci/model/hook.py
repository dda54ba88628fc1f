"""The hook script that Proxmox VE calls when a machine starts and stops, and what it is for.

PVE runs it as ``SCRIPT VMID PHASE`` (PVE::GuestHelpers exec_hookscript); a status of not 0 in
pre-start keeps the machine from starting, in the other phases it is only a warning.
"""

from __future__ import annotations

from enum import StrEnum

HOOK_NAME = "hostpci-hook.sh"
# The directory of the storage "local" as every installation has it
HOOK = f"/var/lib/vz/snippets/{HOOK_NAME}"
HOOK_VOLUME = f"local:snippets/{HOOK_NAME}"
HOOK_MODE = 0o755
HOOK_TEXT = """\
#!/bin/sh
# Written by "hostpci apply" for claims with the option while-vm, removed by "hostpci undo".
exec /usr/bin/python3 -IBS /var/lib/hostpci/tool/hostpci.pyz hook "$1" "$2"
"""


class Phase(StrEnum):
    PRE_START = "pre-start"
    POST_START = "post-start"
    PRE_STOP = "pre-stop"
    POST_STOP = "post-stop"
