"""The boot partitions that proxmox-boot-tool keeps: let it copy, then read back what it copied.

It exits with 0 when it has skipped a partition, so nothing is believed that was not read from the
partition itself: mounted read-only, at a place that nobody can foresee, and let go again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from ..errors import ConflictError, EnvironmentFault
from ..host.files import HostFiles
from ..host.root import TreeRoot
from ..host.runner import Runner
from ..model.grubcfg import grub_lines, parse_grub
from ..model.journal import Intent, Run, UndoIntent
from ..model.plan import RefreshStep
from ..model.words import first_line, split_words

_LIST = "/etc/kernel/proxmox-boot-uuids"
KERNEL_CMDLINE = "/etc/kernel/cmdline"
_GRUB_DIRECTORY = "/etc/default/grub.d"
_OUR_GRUB_FILE = f"{_GRUB_DIRECTORY}/90-hostpci.cfg"
_UUID = re.compile(r"[0-9A-F]{4}-[0-9A-F]{4}")
_ENTRY = re.compile(r"proxmox-.*\.conf")
_REFRESH_TIMEOUT_S = 3600
_MOUNT_TIMEOUT_S = 60


class BootPartitions:
    """All listed partitions of one machine. ``name``: of the mount point, already journaled."""

    def __init__(self, files: HostFiles, runner: Runner, name: str) -> None:
        self._files = files
        self._runner = runner
        self._point = f"/run/{name}"

    def refresh(self, step: RefreshStep) -> None:
        """Run the command and look at every partition.

        Raises ConflictError that names the partition and what is on it instead.
        """
        self._runner.run(step.argv, timeout_s=_REFRESH_TIMEOUT_S)
        listed = [uuid for uuid in (self._content(_LIST) or "").split() if _UUID.fullmatch(uuid)]
        present = [uuid for uuid in dict.fromkeys(listed) if self.is_present(uuid)]
        if listed and not present:
            raise EnvironmentFault("esp-none", path=_LIST)
        for uuid in present:
            with self.mounted(uuid) as where:
                self._check(uuid, where, step)

    def tidy_up(self, run: Run, index: int) -> None:
        """Let go of what an attempt that was killed may have left mounted."""
        for entry in run.entries:
            if isinstance(entry, Intent | UndoIntent) and entry.step == index and entry.temporary:
                self._let_go(f"/run/{entry.temporary}")

    def _let_go(self, point: str) -> None:
        if not self._files.missing_directories(point):
            with suppress(EnvironmentFault):  # killed before it was mounted
                self._runner.run(["umount", point], timeout_s=_MOUNT_TIMEOUT_S)
            self._files.remove_directory_if_empty(point)

    def _device(self, uuid: str) -> str:
        return f"{self._files.base.rstrip('/')}/dev/disk/by-uuid/{uuid}"

    def _content(self, path: str) -> str | None:
        content = self._files.read(path)
        return None if content is None else content.decode("utf-8", "replace")

    def _mounts(self) -> str:
        """Not through HostFiles, which follows no link: /proc/self is one."""
        with suppress(FileNotFoundError):
            return TreeRoot(self._files.base).read_text("/proc/self/mounts")
        return ""

    def is_present(self, uuid: str) -> bool:
        return os.path.exists(self._device(uuid))

    @contextmanager
    def mounted(self, uuid: str, *, writable: bool = False) -> Iterator[str]:
        """Yield where the partition can be read: where it is mounted anyway, or a place of ours.

        A second mount, read-only, of what is mounted for writing would be refused (EBUSY).
        """
        device = os.path.realpath(self._device(uuid))
        rows = [line.split() for line in self._mounts().splitlines()]
        there = [row[1] for row in rows if row[:1] == [device] and "\\" not in row[1]]
        if there:
            yield there[0]
            return
        self._files.make_directories(self._point, 0o700)
        try:
            options = f"{'rw' if writable else 'ro'},nosuid,nodev,noexec"
            argv = ["mount", "-t", "vfat", "-o", options, f"/dev/disk/by-uuid/{uuid}", self._point]
            self._runner.run(argv, timeout_s=_MOUNT_TIMEOUT_S)
            yield self._point
        finally:
            self._let_go(self._point)

    # what must be on a partition

    def _check(self, uuid: str, where: str, step: RefreshStep) -> None:
        is_grub = self._is_grub(where)
        entries = tuple(self._grub(where) if is_grub else self._systemd_boot(where))
        for release in step.releases:
            if release not in [each.release for each in entries]:
                raise ConflictError("esp-no-entry", esp=uuid, release=release)
        line = None if is_grub else self._line()
        wrong = set(step.gone) - (self._words_of_others() if is_grub else set(line or ()))
        for each in entries:
            missing = [word for word in step.words if word not in each.words]
            too_many = [f"-{word}" for word in each.words if word in wrong]
            if missing or too_many:
                self._differs(uuid, each, " ".join([*missing, *too_many]))
            if line is not None and each.words != line:
                self._differs(uuid, each, " ".join(line))
            self._compare(uuid, where, each)

    def _differs(self, uuid: str, entry: _Entry, wanted: str) -> None:
        raise ConflictError("esp-differs", esp=uuid, path=entry.path, wanted=wanted)

    def _is_grub(self, where: str) -> bool:
        """What the tool refreshes there (zz-proxmox-boot: update_esp_func)."""
        if "grubx64.efi" in self._files.names_in(f"{where}/EFI/proxmox"):
            return True
        return not os.path.isdir(f"{self._files.base.rstrip('/')}/sys/firmware/efi")

    def _systemd_boot(self, where: str) -> Iterator[_Entry]:
        directory = f"{where}/loader/entries"
        for name in self._files.names_in(directory):
            if _ENTRY.fullmatch(name):
                yield _entry_of(
                    f"loader/entries/{name}", self._content(f"{directory}/{name}") or ""
                )

    def _grub(self, where: str) -> Iterator[_Entry]:
        path = "grub/grub.cfg"
        lines = grub_lines((self._content(f"{where}/{path}") or "").splitlines())
        for each in parse_grub(lines):
            if each.release and not each.is_recovery:
                files = (each.kernel, *each.initrds)
                yield _Entry(path=path, release=each.release, words=each.words, files=files)

    def _line(self) -> tuple[str, ...] | None:
        """What the tool gives systemd-boot's entries; None where it asks the running kernel."""
        text = self._content(KERNEL_CMDLINE)
        return None if text is None else split_words(first_line(text))

    def _words_of_others(self) -> set[str]:
        """Words that GRUB's other files name by themselves: those may be there without us."""
        names = [f"{_GRUB_DIRECTORY}/{name}" for name in self._files.names_in(_GRUB_DIRECTORY)]
        paths = ["/etc/default/grub", *(path for path in names if path.endswith(".cfg"))]
        texts = [self._content(path) or "" for path in paths if path != _OUR_GRUB_FILE]
        return set(re.split(r"[\s\"']+", " ".join(texts)))

    def _compare(self, uuid: str, where: str, entry: _Entry) -> None:
        """Kernel and initramfs of an entry, byte for byte with those in /boot.

        A kernel that is no longer in /boot has nothing to be compared with.
        """
        for path in entry.files:
            name = path.rpartition("/")[2]
            original = self._files.image(f"/boot/{name}").sha256
            copy = self._files.image(f"{where}/{path.lstrip('/')}").sha256
            if original is not None and copy != original and name.endswith(entry.release):
                raise ConflictError("esp-old-copy", esp=uuid, path=path, original=f"/boot/{name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One entry of a boot menu on a partition; ``path``: the file that has it."""

    path: str
    release: str
    words: tuple[str, ...]
    files: tuple[str, ...]


def _entry_of(path: str, text: str) -> _Entry:
    """An entry of the Boot Loader Specification, as the tool writes it."""
    fields: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        fields.setdefault(key, []).append(value.strip())
    return _Entry(
        path=path,
        release="".join(fields.get("version", [])[:1]),
        words=split_words(" ".join(fields.get("options", []))),
        files=(*fields.get("linux", []), *fields.get("initrd", [])),
    )
