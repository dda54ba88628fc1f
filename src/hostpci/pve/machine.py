"""Machine types and their versions: which one a VM gets, and what PVE gates on it.

Sources: qemu-server src/PVE/QemuServer/Machine.pm and Helpers.pm (min_version).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .hostpci import PVE8
from .start import StartError, machine_of

# the QEMU of the newest packages whose answers are known
NEWEST_QEMU = {8: "9.2.0", 9: "11.0.2"}
# PVE's own revisions of a version of machines
_REVISIONS = {"4.1": 2, "9.2": 1, "10.0": 1, "11.0": 2}
_REVISIONS_OF_8 = {"4.1": 2, "9.2": 1}
_VERSIONED = re.compile(
    r"(?:pc(?:-i440fx|-q35)?|virt)-(\d+)\.(\d+)(?:\.\d+)?(?:\+pve(\d+))?(?:\.pxe)?"
)
_HAS_REVISION = re.compile(r"\+pve\d+?(?:\.pxe)?$")
_GENERIC = ("pc", "q35", "virt")
_WINDOWS = re.compile(r"win(\d+)$")
_OLDEST_PINNED_BY_CREATION = (9, 1, 0)

Version = tuple[int, int, int]


def windows_version(ostype: str) -> int:
    """5 for XP and its time, 6 for Vista, then as they call themselves; 0: no Windows."""
    if ostype in ("wxp", "w2k3", "w2k"):
        return 5
    if ostype in ("w2k8", "wvista"):
        return 6
    found = _WINDOWS.match(ostype)
    return int(found[1]) if found else 0


class Machine:
    """The machine of one start, and the revision of PVE's that its features have asked for."""

    def __init__(self, config: Mapping[str, object], *, pve: int, qemu: str, node: str) -> None:
        self._revisions = _REVISIONS_OF_8 if pve <= PVE8 else _REVISIONS
        self.properties = machine_of(config, pve)
        self._qemu = qemu
        self.type = self._type(config)
        self.version = self._version()
        self.required_revision = 0
        self._refuse_newer(node)

    @property
    def is_q35(self) -> bool:
        return "q35" in self.properties.get("type", "")

    @property
    def shown(self) -> str:
        """As it stands in ``-machine type=``."""
        return re.sub(r"\+pve\d+$", "", self.type) + f"+pve{self.required_revision}"

    def is_at_least(self, major: int, minor: int, revision: int = 0) -> bool:
        return self.version >= (major, minor, revision)

    def has_qemu(self, major: int, minor: int) -> bool:
        """Whether the installed QEMU, whatever the machine, is as new."""
        return self._newest()[:2] >= (major, minor)

    def guard(self, major: int, minor: int, revision: int = 0) -> bool:
        """Whether a feature may be used; if so, the machine's type says which revision it needs."""
        if not self.is_at_least(major, minor, revision):
            return False
        newest = self._revisions.get(f"{major}.{minor}", 0)
        if not self.is_at_least(major, minor, newest + 1):
            self.required_revision = max(self.required_revision, revision)
        return True

    def _newest(self) -> Version:
        major, minor = self._qemu.split(".")[:2]
        return int(major), int(minor), self._revisions.get(f"{major}.{minor}", 0)

    def _type(self, config: Mapping[str, object]) -> str:
        given = self.properties.get("type", "")
        if given in ("", *_GENERIC):
            given = self._latest_of(given or "pc", config)
        if _HAS_REVISION.search(given):
            return given
        base = given.removesuffix(".pxe")
        return f"{base}+pve0" + (".pxe" if base != given else "")

    def _latest_of(self, generic: str, config: Mapping[str, object]) -> str:
        if not windows_version(str(config.get("ostype", ""))):
            return f"{generic}+pve{self._newest()[2]}"
        created = re.search(r"creation-qemu=(\d+)\.(\d+)", str(config.get("meta", "")))
        pinned = "5.1"  # newer ones confuse a Windows that was installed on an older one
        if created and (int(created[1]), int(created[2]), 0) >= _OLDEST_PINNED_BY_CREATION:
            pinned = f"{created[1]}.{created[2]}"
        family = {"pc": "pc-i440fx", "q35": "pc-q35"}.get(generic, generic)
        return f"{family}-{pinned}"

    def _version(self) -> Version:
        found = _VERSIONED.match(self.type)
        return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else self._newest()

    def _refuse_newer(self, node: str) -> None:
        major, minor, revision = self.version
        please = f"is too old to run machine type '{self.type}', please upgrade node '{node}'\n"
        if (major, minor) > self._newest()[:2]:
            raise StartError(f"Installed QEMU version '{self._qemu}' {please}")
        newest = self._revisions.get(f"{major}.{minor}", 0)
        if revision > newest:
            raise StartError(
                f"Installed qemu-server (max feature level for {major}.{minor} is"
                f" pve{newest}) {please}"
            )
