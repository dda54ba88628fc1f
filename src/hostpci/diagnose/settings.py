"""Settings that people paste: kernel command lines, modprobe.d, and the configuration of a VM."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from .lines import Line

# A loader may put words of its own before what names the image
_RUNNING = re.compile(
    r"(?:Command line: |Kernel command line: |^\s*(?:[^ ]*cmdline: ?)?)"
    r"(?P<words>(?:[a-z][\w.-]*=\S* +)*(?:BOOT_IMAGE=|initrd=\\|root=|ro ).*)"
)
_GRUB = re.compile(r"\s*(?:[^ ]*/grub[^ ]*: ?)?GRUB_CMDLINE_LINUX(?:_DEFAULT)?=(?P<words>.*)")
_MODPROBE = re.compile(
    r"\s*(?:[^ ]*modprobe\.d[^ ]*:)?(?P<verb>options?|blacklist|softdep|install) +(?P<rest>\S.*)"
)
_ID = re.compile(r"[0-9a-fA-F]{4}:[0-9a-fA-F]{4}")
_VM_KEYS = (
    "hostpci", "agent", "args", "balloon", "bios", "boot", "bootdisk", "cores", "cpu", "efidisk",
    "hugepages", "ide", "machine", "memory", "meta", "name", "net", "numa", "onboot", "ostype",
    "parent", "rng", "sata", "scsi", "scsihw", "serial", "smbios", "sockets", "tablet", "tpmstate",
    "unused", "usb", "vga", "virtio", "vmgenid", "hookscript", "keephugepages", "protection",
    "startup", "kvm", "hotplug", "vcpus", "tags", "cpulimit", "cpuunits", "affinity", "audio",
)  # fmt: skip
_QEMU_ARGS = re.compile(r"\s*args: +-(cpu|device|machine|global) ")
_VM_LINE = re.compile(r"\s*(?P<key>[a-z]+)(?P<number>[0-9]*): (?P<value>\S.*)")


class Kind(StrEnum):
    RUNNING = "running"
    GRUB_FILE = "grub-file"
    LOADER_FILE = "loader-file"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    kind: Kind
    words: tuple[str, ...]
    line: Line

    @property
    def of_systemd_boot(self) -> bool:
        return any(word.lower().startswith("initrd=\\efi\\") for word in self.words)

    @property
    def of_grub(self) -> bool:
        return any(word.startswith("BOOT_IMAGE=") for word in self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModprobeLine:
    verb: str
    rest: str
    line: Line

    @property
    def module(self) -> str:
        return self.rest.split()[0].replace("-", "_")


@dataclass(frozen=True, slots=True, kw_only=True)
class VmLine:
    """``key`` with its number: ``hostpci0``."""

    key: str
    value: str
    line: Line

    @property
    def options(self) -> dict[str, str]:
        pairs = [part.partition("=") for part in self.value.split(",")]
        return {key if sep else "": value if sep else key for key, sep, value in pairs}


def read_command_lines(lines: Iterable[Line]) -> tuple[CommandLine, ...]:
    return tuple(_command_lines(lines))


def _command_lines(lines: Iterable[Line]) -> Iterator[CommandLine]:
    for line in lines:
        grub = _GRUB.match(line.text)
        running = None if grub or "=" not in line.text else _RUNNING.search(line.text)
        if grub:
            words = grub["words"].strip().strip("\"'").split()
            yield CommandLine(kind=Kind.GRUB_FILE, words=tuple(words), line=line)
        elif running and ("root=" in line.text or "BOOT_IMAGE=" in line.text):
            found = tuple(running["words"].strip("\"'").split())
            loaded = any(word.startswith(("BOOT_IMAGE=", "initrd=")) for word in found)
            kind = Kind.RUNNING if loaded or "ommand line:" in line.text else Kind.LOADER_FILE
            yield CommandLine(kind=kind, words=found, line=line)


def read_modprobe(lines: Iterable[Line]) -> tuple[ModprobeLine, ...]:
    found = []
    for line in lines:
        match = _MODPROBE.match(line.text)
        if match:
            found.append(ModprobeLine(verb=match["verb"], rest=match["rest"].strip(), line=line))
    return tuple(found)


def named_ids(
    modprobe: Iterable[ModprobeLine], command_lines: Iterable[CommandLine]
) -> dict[str, Line]:
    """vendor:device pairs that vfio-pci was told to take, rightly spelt or not, with where."""
    found: dict[str, Line] = {}
    for each in modprobe:
        if each.verb.startswith("option") and each.module.startswith("vfio_pci"):
            found |= {pair.lower(): each.line for pair in _ID.findall(each.rest)}
    for command in command_lines:
        for word in command.words:
            if re.match(r"vfio[-_]pci[-_.]ids?=", word):
                found |= {pair.lower(): command.line for pair in _ID.findall(word)}
    return found


def read_vm(lines: Iterable[Line]) -> tuple[VmLine, ...]:
    """Lines of a VM's configuration; none unless at least two of them look like one."""
    found = []
    for line in lines:
        match = _VM_LINE.match(line.text)
        if match and match["key"] in _VM_KEYS:
            key = match["key"] + match["number"]
            found.append(VmLine(key=key, value=match["value"].strip(), line=line))
    is_sure = any("hostpci" in each.key or _QEMU_ARGS.match(each.line.text) for each in found)
    return tuple(found) if len(found) > 1 or is_sure else ()
