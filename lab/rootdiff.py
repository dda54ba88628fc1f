"""Compares whole root file systems offline: not by the word of the host under test.

The disk is mounted read-only through a loop device at the partition's offset, so that the
kernel's own ext4 reads it. (debugfs would do without root, but it loses owners and extended
attributes; a reader of our own would be one more thing to be wrong.)
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, fields, replace
from pathlib import Path

from lab import bootdisk, esp, process, qemu_build
from lab.errors import UsageError

_TABLE = Path(__file__).with_name("boot_changes.toml")
# Stands for everything before the root file system, as one more path of a manifest.
BOOT_AREA = "(partition table and boot loader)"
ESP_AREA = "(ESP)"
# A read-only mount must not replay a journal, or comparing would change the disk.
_READ_ONLY = "ro,noload,nodev,nosuid,noexec"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What is compared of one path."""

    kind: str
    mode: int
    owner: int
    group: int
    size_bytes: int
    content: str
    xattrs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Every path of one root file system."""

    entries: Mapping[str, Entry]

    def to_json(self) -> dict[str, list[object]]:
        """A form for a file: one list per path, in the order of `Entry`'s fields."""
        return {path: list(astuple(entry)) for path, entry in self.entries.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, list[object]]) -> Manifest:
        """The reverse of `to_json`."""
        return cls(entries={path: _entry_from(values) for path, values in data.items()})


def _entry_from(values: list[object]) -> Entry:
    kind, mode, owner, group, size_bytes, content, xattrs = values
    assert isinstance(xattrs, list)
    return Entry(
        kind=str(kind), mode=_number(mode), owner=_number(owner), group=_number(group),
        size_bytes=_number(size_bytes),
        content=str(content), xattrs=tuple((str(name), str(value)) for name, value in xattrs),
    )  # fmt: skip


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One path that is not as it was in the factory image."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


@dataclass(frozen=True, kw_only=True)
class BootChange:
    """A path that any boot changes, whether or not hostpci is there, and why."""

    pattern: str
    reason: str

    def covers(self, path: str) -> bool:
        """Whether this row explains a difference at `path`."""
        return re.fullmatch(self.pattern, path) is not None


def boot_changes() -> tuple[BootChange, ...]:
    """The table of what any boot changes."""
    rows = tomllib.loads(_TABLE.read_text(encoding="utf-8"))["change"]
    return tuple(BootChange(pattern=row["path"], reason=row["reason"]) for row in rows)


def compare(factory: Manifest, now: Manifest) -> list[Difference]:
    """Every path that was added, removed or changed."""
    found: list[Difference] = []
    for path in sorted(factory.entries.keys() | now.entries.keys()):
        before, after = factory.entries.get(path), now.entries.get(path)
        if before is None:
            found.append(Difference(path=path, what="added"))
        elif after is None:
            found.append(Difference(path=path, what="removed"))
        elif before != after:
            found.append(Difference(path=path, what=_describe(before, after)))
    return found


def _describe(before: Entry, after: Entry) -> str:
    old, new = asdict(before), asdict(after)
    names = [field.name for field in fields(Entry) if old[field.name] != new[field.name]]
    return "changed " + ", ".join(f"{name} {old[name]!r} -> {new[name]!r}" for name in names)


def unexplained(differences: list[Difference], changes: tuple[BootChange, ...]) -> list[Difference]:
    """What is left after the table of boot changes."""
    return [each for each in differences if not any(row.covers(each.path) for row in changes)]


def manifest_of_disk(
    raw_disk: Path, layout: bootdisk.Layout, *, below: tuple[str, ...] = ("",)
) -> Manifest:
    """Read a root file system out of a raw disk image, and what boots it before it.

    The whole, or only what is below some folders, in far less time.
    """
    with mounted(raw_disk, layout) as root:
        entries = {path: entry for folder in below for path, entry in _walk(root, folder)}
    head = {BOOT_AREA: _boot_area(raw_disk, layout)}
    return Manifest(entries=head | _esp(raw_disk, layout) | entries)


def _boot_area(raw_disk: Path, layout: bootdisk.Layout) -> Entry:
    """Everything before the root file system but the ESP: tables, GRUB's core, LVM's metadata."""
    esp_at = layout.esp_start_sector * bootdisk.SECTOR_BYTES
    root_at = layout.root_start_sector * bootdisk.SECTOR_BYTES
    with raw_disk.open("rb") as disk:
        head = disk.read(esp_at)
        disk.seek(root_at)
        head += disk.read(layout.file_system_offset_bytes - root_at)
    content = hashlib.sha256(head).hexdigest()
    return Entry(
        kind="b", mode=0, owner=0, group=0, size_bytes=len(head), content=content, xattrs=()
    )


def _esp(raw_disk: Path, layout: bootdisk.Layout) -> dict[str, Entry]:
    """What is on the ESP: FAT has neither owners nor modes, so contents only."""
    if not layout.esp_sectors:
        return {}
    with tempfile.TemporaryDirectory(prefix="hostpci-lab-esp-") as folder:
        esp.read(raw_disk, layout, Path(folder))
        found = manifest_of_tree(Path(folder)).entries
    return {
        f"{ESP_AREA}{path}": replace(entry, mode=0, owner=0, group=0, xattrs=())
        for path, entry in found.items()
    }


def manifest_of_tree(root: Path) -> Manifest:
    """Describe every path below `root`."""
    return Manifest(entries=dict(_walk(root)))


def _walk(root: Path, below: str = "") -> Iterator[tuple[str, Entry]]:
    for folder, folders, files in os.walk(root / below):
        for name in sorted(folders) + sorted(files):
            path = Path(folder, name)
            yield "/" + str(path.relative_to(root)), _entry_of(path)


def _entry_of(path: Path) -> Entry:
    status = path.lstat()
    kind = stat.filemode(status.st_mode)[0]
    content, size_bytes = "", 0
    if kind == "-":
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        size_bytes = status.st_size
    elif kind == "l":
        content = str(path.readlink())
    elif kind in "bc":
        content = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    return Entry(
        kind=kind, mode=stat.S_IMODE(status.st_mode), owner=status.st_uid, group=status.st_gid,
        size_bytes=size_bytes, content=content, xattrs=_xattrs_of(path),
    )  # fmt: skip


def _xattrs_of(path: Path) -> tuple[tuple[str, str], ...]:
    names = sorted(os.listxattr(path, follow_symlinks=False))
    return tuple((name, os.getxattr(path, name, follow_symlinks=False).hex()) for name in names)


@contextmanager
def mounted(raw_disk: Path, layout: bootdisk.Layout, options: str = _READ_ONLY) -> Iterator[Path]:
    """The root file system of a raw disk image, mounted."""
    qemu_build.require_root("reading a host's disk")
    options += f",loop,offset={layout.file_system_offset_bytes}"
    with tempfile.TemporaryDirectory(prefix="hostpci-lab-root-") as folder:
        process.run(["mount", "-t", "ext4", "-o", options, str(raw_disk), folder], timeout_s=60)
        try:
            yield Path(folder)
        finally:
            process.run(["umount", folder], timeout_s=60)


def raw_copy(overlay: Path, layout: bootdisk.Layout, qemu: qemu_build.Qemu, folder: Path) -> Path:
    """An overlay as a raw disk, its journal replayed there so that the overlay stays as it is."""
    if not overlay.exists():
        raise UsageError(f"there is no overlay {overlay}")
    raw = folder / "compare.raw"
    process.run(
        [*qemu.img, "convert", "-f", "qcow2", "-O", "raw", str(overlay), str(raw)],
        timeout_s=600, env=qemu.env,
    )  # fmt: skip
    # The kernel replays the journal, as the host's own would. e2fsck does it too, but then opens
    # the file anew without the offset and gives up (e2fsprogs, e2fsck_run_ext3_journal).
    with mounted(raw, layout, options="rw"):
        pass
    e2fsck = process.find_tool("e2fsck", package="e2fsprogs")
    done = process.run(
        [e2fsck, "-p", f"{raw}?offset={layout.file_system_offset_bytes}"],
        timeout_s=300,
        check=False,
    )
    if done.rc > 1:
        raise process.CommandFailedError(f"the host's root file system is damaged: {done.stdout}")
    return raw


def compare_disk(
    factory: Manifest, overlay: Path, layout: bootdisk.Layout, qemu: qemu_build.Qemu, folder: Path
) -> list[Difference]:
    """What differs between a factory manifest and a host's disk, unexplained things only."""
    raw = raw_copy(overlay, layout, qemu, folder)
    try:
        now = manifest_of_disk(raw, layout)
    finally:
        raw.unlink()
    return unexplained(compare(factory, now), boot_changes())
