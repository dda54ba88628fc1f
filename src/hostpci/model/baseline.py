"""What a host was when its claims were last applied: what ``check --drift`` compares with.

Nothing in here names a person or a machine: no serial numbers, and of files only their hashes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .pci import Identity

BASELINE = "/var/lib/hostpci/baseline.json"
SCHEMA = "hostpci.baseline/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    """From DMI (/sys/class/dmi/id); empty where the board does not say."""

    vendor: str = ""
    version: str = ""
    date: str = ""
    board: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDigest:
    path: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenFunction:
    """One PCI function of the baseline."""

    address: str
    identity: Identity
    driver: str | None
    group: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """``boot_id``: the boot it was taken in; what needs a reboot is not in it yet."""

    taken: str
    boot_id: str
    kernel: str
    command_line: tuple[str, ...]
    firmware: Firmware
    microcode: str
    pve_version: str | None
    loader: str
    esps: tuple[str, ...]
    functions: tuple[SeenFunction, ...]
    files: tuple[FileDigest, ...]

    def at(self, address: str) -> SeenFunction | None:
        return next((each for each in self.functions if each.address == address), None)

    def group_of(self, address: str) -> tuple[SeenFunction, ...]:
        """The function and all that shared its IOMMU group; nothing if it had none."""
        found = self.at(address)
        if found is None or found.group is None:
            return ()
        return tuple(each for each in self.functions if each.group == found.group)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """What a host is now, of the same things; ``baseline``: what it was, None if not known."""

    boot_id: str = ""
    firmware: Firmware = field(default_factory=Firmware)
    microcode: str = ""
    files: tuple[FileDigest, ...] = ()
    baseline: Baseline | None = None
