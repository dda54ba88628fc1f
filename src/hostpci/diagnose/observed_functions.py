"""What is said of virtual functions: wanted, there, or impossible."""

from __future__ import annotations

import re

from .case import UNKNOWN, Answer, Case, holds
from .observations import observes
from .passed import displays, is_passed

_VFS = re.compile(r"Number of VFs: (?P<number>[0-9]+)")
_VF_LISTED = re.compile(r"Virtual Function|VF [0-9]+: |Enabled [0-9]+ VFs|0000:00:02\.[1-7]")
_WANTED_AT_BOOT = re.compile(r"max_vfs=[1-9]")


@observes("passed-pf-has-vfs")
def passed_pf_has_vfs(case: Case) -> Answer:
    for each in case.listed:
        found = _VFS.search(each.text)
        if found and int(found["number"]) and is_passed(case, each.address):
            return holds((each.line,), (each.address,), detail=found["number"])
    return UNKNOWN


@observes("vfs-wanted-and-absent")
def vfs_wanted_and_absent(case: Case) -> Answer:
    wanted = case.lines_of("sysfs-vfs-wanted")
    if not wanted or any(_VF_LISTED.search(line.text) for line in case.lines):
        return UNKNOWN
    asked = [line for line in wanted if not _WANTED_AT_BOOT.search(line.text)]
    # A word for the driver in a log in which nobody looked for them: not seen is not absent
    looked = bool(case.listed or case.lines_of("vfs-zero", "sriov-capability"))
    # A driver that says it has made room for them is no sign that they are not there
    looked = looked or (bool(asked) and not case.lines_of("sriov-pf-mode"))
    return holds(wanted) if looked else UNKNOWN


@observes("vfs-wanted-without-capability")
def vfs_wanted_without_capability(case: Case) -> Answer:
    wanted = case.lines_of("sysfs-vfs-wanted")
    told = [each for each in displays(case) if "Capabilities:" in each.text]
    if not wanted or not told or any("Single Root" in each.text for each in told):
        return UNKNOWN
    return holds((*wanted[:1], told[0].line), (told[0].address,))
