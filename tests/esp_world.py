"""A host that boots from ESPs, on a tree: what proxmox-boot-tool, mount and umount do to it.

The tool is as its recorded transcripts have it: the first line alone, no entry for a kernel
without an initramfs, a partition that it cannot use is skipped with exit code 0.
"""

from __future__ import annotations

import copy
import hashlib
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from hostpci.demo.scratch import fingerprint
from hostpci.errors import EnvironmentFault
from hostpci.executor.apply import Machine
from hostpci.host.files import HostFiles
from hostpci.host.root import TreeRoot
from hostpci.host.runner import Completed
from hostpci.model.efivar import DEFAULT, ONE_SHOT, entry_named, variable_path
from hostpci.model.facts import ConfigFile
from hostpci.model.grubcfg import GrubEntry, parse_grub
from hostpci.planner.edits.grub import effective_words
from hostpci.planner.edits.grubmenu import ENTRY_ID, ENV_NAME

from .hosts import RecordedHost
from .laws.hosts import FakeHostRunner

OURS = ("/var/lib/hostpci",)
ENTRY = """\
title    Proxmox Virtual Environment
version  {release}
options  {line}
linux    /EFI/proxmox/{release}/vmlinuz-{release}
initrd   /EFI/proxmox/{release}/initrd.img-{release}
"""
# /etc/grub.d/41_custom, and what it adds to every grub.cfg
CUSTOM = """\
if [ -f  ${config_directory}/custom.cfg ]; then
  source ${config_directory}/custom.cfg
fi
"""
CUSTOM_SCRIPT = "#!/bin/sh\ncat <<EOF\n" + CUSTOM.replace("$", "\\$") + "EOF\n"


class EspRunner(FakeHostRunner):
    """``skips``: partitions that the tool leaves alone. ``mounts``: every mount that was made."""

    def __init__(self, directory: str, esps: Path, host: RecordedHost | None = None) -> None:
        super().__init__(directory, host)
        self.esps = esps
        self.skips: set[str] = set()
        self.calls: list[tuple[str, ...]] = []

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        keep: Callable[[Iterable[str]], Iterable[str]] | None = None,
    ) -> Completed:
        self.calls.append(tuple(argv))
        match list(argv):
            case ["proxmox-boot-tool", "refresh"]:
                self.refresh()
            case ["proxmox-boot-tool", "status"]:
                assert self._recorded is not None
                return self._recorded.run(argv, timeout_s=timeout_s, keep=keep)
            case ["mount", "-t", "vfat", "-o", "ro,nosuid,nodev,noexec", device, point]:
                self._mount(device.rpartition("/")[2], self._base / point.lstrip("/"))
            case ["mount", "-t", "vfat", "-o", "rw,nosuid,nodev,noexec", device, point]:
                self._mount_writable(device.rpartition("/")[2], self._base / point.lstrip("/"))
            case ["bootctl", "set-default" | "set-oneshot" as verb, entry]:
                self._bootctl("Default" if verb == "set-default" else "OneShot", entry)
            case ["umount", point]:
                self._umount(self._base / point.lstrip("/"))
            case _:
                completed = super().run(argv, timeout_s=timeout_s, keep=keep)
                if argv[0] == "update-initramfs":
                    self.refresh()  # the hook proxmox-boot-sync
                return completed
        return Completed(argv=tuple(argv), code=0, stdout="", stderr="")

    def _mount(self, uuid: str, point: Path) -> None:
        assert point.stat().st_mode & 0o077 == 0
        assert not list(point.iterdir()), "something is mounted there already"
        (point / ".mounted").touch()
        shutil.copytree(self.esps / uuid, point, dirs_exist_ok=True)

    def _mount_writable(self, uuid: str, point: Path) -> None:
        """What is written there is on the partition: its very directory lies at the place."""
        assert point.stat().st_mode & 0o077 == 0
        if not (self.esps / uuid).exists():
            raise EnvironmentFault("command-failed", command="mount", status=32, reason="busy")
        (self.esps / uuid).rename(point)

    def _mounted_writable(self) -> Path | None:
        uuids = (self._base / "etc/kernel/proxmox-boot-uuids").read_text().split()
        there = [each for each in uuids if (self._base / "dev/disk/by-uuid" / each).exists()]
        away = [self.esps / each for each in there if not (self.esps / each).exists()]
        return away[0] if away else None

    def lose_power(self) -> None:
        """Nothing is mounted after a boot, and /run is empty."""
        away = self._mounted_writable()
        for point in (self._base / "run").glob(".hostpci-*"):
            if away is not None:
                point.rename(away)
            else:
                shutil.rmtree(point)

    def _bootctl(self, name: str, entry: str) -> None:
        path = self._base / variable_path(f"LoaderEntry{name}").lstrip("/")
        if entry:
            path.write_bytes(b"\x07\0\0\0" + f"{entry}\0".encode("utf-16-le"))
        else:
            path.unlink(missing_ok=True)

    def _umount(self, point: Path) -> None:
        away = self._mounted_writable()
        if away is not None:
            point.rename(away)
            point.mkdir(0o700)
            return
        if not (point / ".mounted").exists() and not list(point.iterdir()):
            raise EnvironmentFault("command-failed", command="umount", status=32, reason="no")
        for each in point.iterdir():
            shutil.rmtree(each) if each.is_dir() else each.unlink()

    # the tool

    def refresh(self) -> None:
        line = self._line()
        if "root=" not in line:
            raise EnvironmentFault("command-failed", command="pbt", status=1, reason="No root=")
        uuids = (self._base / "etc/kernel/proxmox-boot-uuids").read_text().split()
        for uuid in uuids:
            there = (self._base / "dev/disk/by-uuid" / uuid).exists()
            if there and uuid not in self.skips:
                self._sync(self.esps / uuid, line)

    def _line(self) -> str:
        path = self._base / "etc/kernel/cmdline"
        if path.exists():
            return path.read_text().partition("\n")[0]
        words = (self._base / "proc/cmdline").read_text().split()
        return " ".join(word for word in words if not word.startswith("initrd="))

    def _sync(self, esp: Path, line: str) -> None:
        kernels = sorted(each.name[8:] for each in (self._base / "boot").glob("vmlinuz-*"))
        kernels = [each for each in kernels if (self._base / f"boot/initrd.img-{each}").exists()]
        if (esp / "grub").is_dir():
            self._sync_grub(esp, kernels)
        else:
            self._sync_systemd_boot(esp, kernels, line)

    def _sync_systemd_boot(self, esp: Path, kernels: list[str], line: str) -> None:
        entries = esp / "loader/entries"
        entries.mkdir(parents=True, exist_ok=True)
        for release in kernels:
            self._copy(release, esp / "EFI/proxmox" / release)
            text = ENTRY.format(release=release, line=line)
            (entries / f"proxmox-{release}.conf").write_text(text)

    def _sync_grub(self, esp: Path, kernels: list[str]) -> None:
        entries = []
        for release in kernels:
            self._copy(release, esp)
            entries.append(
                f"menuentry 'PVE {release}' $menuentry_id_option 'gnulinux-{release}' {{\n"
                f"\tlinux\t/vmlinuz-{release} root=ZFS=/x ro {' '.join(self.grub_words())}\n"
                f"\tinitrd\t/initrd.img-{release}\n}}\n"
            )
        (esp / "grub/grub.cfg").write_text('set default="0"\n' + "".join(entries) + CUSTOM)

    def grub_words(self) -> tuple[str, ...]:
        paths = [
            self._base / "etc/default/grub",
            *sorted((self._base / "etc/default/grub.d").glob("*.cfg")),
        ]
        return effective_words(
            [ConfigFile(path=str(each), text=each.read_text()) for each in paths]
        )

    def _copy(self, release: str, target: Path) -> None:
        target.mkdir(parents=True, exist_ok=True)
        for name in (f"vmlinuz-{release}", f"initrd.img-{release}"):
            (target / name).write_bytes((self._base / "boot" / name).read_bytes())


class EspHost:
    """A laid-out host with its ESPs beside it, filled as a first refresh leaves them."""

    def __init__(self, directory: Path, host: RecordedHost, *uuids: str) -> None:
        self.tree, self.esps = directory / "tree", directory / "esps"
        self.root: TreeRoot = host.tree(self.tree)
        (self.tree / "run").mkdir(exist_ok=True)
        (self.tree / "proc/self").rename(self.tree / "proc/4711")
        (self.tree / "proc/self").symlink_to("4711")  # as the kernel has it
        if host.data["exists"].get("/sys/firmware/efi"):
            efi = self.tree / "sys/firmware/efi"
            if efi.is_file():  # known only to exist
                efi.unlink()
            efi.mkdir(parents=True, exist_ok=True)
        self._fill_boot(host)
        is_grub = "grub" in "".join(c["stdout"] for c in host.data["commands"][-1:])
        for uuid in uuids:
            (self.esps / uuid / ("grub" if is_grub else "loader")).mkdir(parents=True)
            if is_grub:
                (self.esps / uuid / "EFI/proxmox").mkdir(parents=True)
                (self.esps / uuid / "EFI/proxmox/grubx64.efi").touch()
        self.runner = EspRunner(str(self.tree), self.esps, host)
        self.runner.refresh()

    def copied(self, directory: Path) -> EspHost:
        """The same host on another disk."""
        other = copy.copy(self)
        other.tree, other.esps = directory / "tree", directory / "esps"
        shutil.copytree(self.tree, other.tree, symlinks=True)
        shutil.copytree(self.esps, other.esps)
        other.root = TreeRoot(str(other.tree))
        other.runner = EspRunner(str(other.tree), other.esps)
        return other

    def _fill_boot(self, host: RecordedHost) -> None:
        for name in (f"vmlinuz-{host.release}", f"initrd.img-{host.release}"):
            path = self.tree / "boot" / name
            if path.is_dir():  # known by name only
                path.rmdir()
            path.write_text(f"{name} as installed")

    @property
    def machine(self) -> Machine:
        files = HostFiles(str(self.tree))
        return Machine(files=files, runner=self.runner, is_live=False, boot_id="one")

    def root_print(self) -> dict[str, str]:
        return fingerprint(str(self.tree), OURS)

    def esp_print(self) -> dict[str, str]:
        return {
            str(each.relative_to(self.esps)): hashlib.sha256(each.read_bytes()).hexdigest()
            for each in sorted(self.esps.rglob("*"))
            if each.is_file()
        }

    def file(self, path: str) -> Path:
        return self.tree / path.lstrip("/")

    def boot_entry(self, uuid: str) -> str:
        """What the loader on a partition starts, after what it changes by that."""
        has_grub = (self.esps / uuid / "grub").is_dir()
        return self._by_grub(uuid) if has_grub else self._by_systemd_boot(uuid)

    def _by_grub(self, uuid: str) -> str:
        """What custom.cfg tells it, if it is there: to note that the trial begins."""
        grub = self.esps / uuid / "grub"
        note, usual = grub / ENV_NAME, self._grub_entries(uuid)[0].names[-1][0]
        if not (grub / "custom.cfg").exists() or not note.exists():
            return usual
        text = note.read_text()
        assert len(text.encode()) == 1024
        if "hostpci_trial=started\n" in text:
            return ENTRY_ID
        note.write_text(text.replace("hostpci_trial=pending\n", "hostpci_trial=started\n"))
        return usual

    def _grub_entries(self, uuid: str) -> tuple[GrubEntry, ...]:
        paths = [self.esps / uuid / "grub" / name for name in ("grub.cfg", "custom.cfg")]
        return parse_grub("".join(p.read_text() for p in paths if p.exists()).splitlines())

    def _by_systemd_boot(self, uuid: str) -> str:
        """It forgets the one-shot as it reads it."""
        names = [each.name for each in (self.esps / uuid / "loader/entries").iterdir()]
        told = []
        for variable in (ONE_SHOT, DEFAULT):
            path = self.file(variable_path(variable))
            told.append(entry_named(path.read_bytes()) if path.exists() else None)
        self.file(variable_path(ONE_SHOT)).unlink(missing_ok=True)
        tools = sorted(name for name in names if name.startswith("proxmox-"))
        return next(each for each in (*told, tools[-1]) if each in names)

    def boots(self, uuid: str, entry: str) -> dict[str, str]:
        """The fields of an entry, after seeing that what it loads is there and whole."""
        if (self.esps / uuid / "grub").is_dir():
            found = next(e for e in self._grub_entries(uuid) if entry in e.names[-1])
            fields = {
                "linux": found.kernel, "initrd": found.initrds[0], "options": " ".join(found.words)
            }  # fmt: skip
        else:
            lines = (self.esps / uuid / "loader/entries" / entry).read_text().splitlines()
            fields = dict(line.split(maxsplit=1) for line in lines)
        for key in ("linux", "initrd"):
            path = self.esps / uuid / fields[key].lstrip("/")
            assert path.read_bytes() == self.file(f"/boot/{path.name}").read_bytes(), path
        return fields

    def options(self, uuid: str) -> list[str]:
        """What each entry on a partition would boot with."""
        entries = sorted((self.esps / uuid / "loader/entries").glob("*.conf"))
        return [each.read_text().splitlines()[2].removeprefix("options  ") for each in entries]
