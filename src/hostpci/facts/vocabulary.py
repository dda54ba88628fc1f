"""Which words tell nothing about a host. A word that is not known to be harmless is replaced.

Known are the words of data/vocabulary.txt, and what this host's own system is called by others than
its administrator: modules, drivers, the board, the processor.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pkgutil import get_data

from .. import data

# Words that stand in files for something else than a name; a name that is one of them says nothing
CORE = {
    "address", "admin", "alias", "amd64", "amdgpu", "apply", "auto", "backup", "bar", "bin",
    "bios", "blacklist", "boot", "bus", "claim", "conf", "config", "console", "cpu", "daemon",
    "data", "debian", "default", "dev", "device", "dhcp", "disk", "dma", "domain", "driver",
    "drivers", "drm", "efi", "error", "etc", "failed", "fatal", "files", "firmware", "function",
    "functions", "gpu", "grub", "guest", "host", "hostpci", "hosts", "http", "https", "i915",
    "id", "ide", "ids", "images", "import", "inet", "inet6", "initrd", "install", "iommu",
    "irq", "iso", "kernel", "kvm", "label", "links", "linux", "lo", "local", "localhost", "log",
    "logs", "mail", "manual", "memory", "module", "modules", "msi", "name", "names", "net",
    "node", "none", "nouveau", "nvidia", "off", "ok", "on", "options", "pam", "pci", "pool",
    "proxmox", "pve", "qemu", "quiet", "radeon", "release", "reset", "ro", "rom", "root",
    "rootdir", "rules", "rw", "sata", "scsi", "server", "set", "slot", "snippets", "socket",
    "softdep", "ssh", "start", "started", "static", "stop", "storage", "subsystem", "sync",
    "sys", "system", "task", "tcp", "test", "tpm", "udp", "uefi", "undo", "up", "usb", "user",
    "users", "vendor", "vfio", "vfio-pci", "vga", "virtio", "vm", "vmlinuz", "vms", "vztmpl",
    "warning", "www", "xe",
}  # fmt: skip
_WORD = re.compile(r"[^\W\d_]{2,}")
_HUMPS = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z]?[a-z]+")
_PARTS = re.compile(r"[^\W\d_]+|\d+")
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+")
# Where devices are called by their place: drivers, udev's net_id, partitions
_DEVICE = re.compile(
    r"(?:sd|vd|hd|xvd)[a-z]{1,2}[0-9]{0,3}"
    r"|nvme[0-9]{1,3}(?:c[0-9]{1,3})?(?:n[0-9]{1,3})?(?:p[0-9]{1,3})?"
    r"|(?:en|wl|ww|ib|sl)(?:[A-Z]?[ospP][0-9]{1,5}|[fdnuicvr][0-9]{1,4}|np[0-9]{1,3}){1,6}"
    r"|(?:tap|fwbr|fwln|fwpr)[0-9]{1,9}[ip][0-9]{1,2}"
    r"|(?:pcm|hw|control)C[0-9]{1,2}(?:D[0-9]{1,2}[pc]?)?"
    r"|(?:en|wl)x0{4}[0-9a-f]{8}|[0-9]{1,7}[noe][0-9]|[0-9]{1,9}[kKMGTs]i?B?"
    r"|v[0-9A-F]{8}d[0-9A-F]{8}sv[0-9A-F]{8}sd[0-9A-F]{8}bc[0-9A-F]{2}sc[0-9A-F]{2}i[0-9A-F]{2}"
    r"|mmcblk[0-9]{1,2}p?[0-9]{0,2}|tty[A-Z]{1,3}[0-9]{1,3}|[a-z]{1,2}[0-9]{1,3}"
)
_INITIALS, _FEW_DIGITS, _PLAIN_BELOW, _FEW_PARTS = 2, 5, 10**7, 3
_SHORT_HEX, _LONG_HEX, _MAC_DIGITS, _POINTER_DIGITS = 4, 16, 12, 16
# No machine addresses more (Documentation/arch/x86/x86_64/mm.rst); above is the kernel's own half
_PHYSICAL_END, _KERNEL_HALF = 1 << 56, 0xFF << 56


class Vocabulary:
    """Whether a word, a run of letters and digits, may stay as it is."""

    def __init__(self, host_words: Iterable[str] = ()) -> None:
        host_words = tuple(host_words)
        text = (get_data(data.__name__, "vocabulary.txt") or b"").decode("utf-8")
        told = (line for line in text.splitlines() if not line.startswith("#"))
        self._known = {word for line in told for word in line.split()}
        for words in (CORE, host_words):
            self._known.update(part.lower() for word in words for part in _WORD.findall(word))
        self._whole = {word.lower() for word in host_words}

    def knows(self, word: str, *, any_hex: bool = False) -> bool:
        """``any_hex``: it stands in a table of addresses, where hexadecimal digits say nothing."""
        lower = word.lower()
        if len(word) <= _INITIALS or lower in self._known or lower in self._whole:
            return True
        if not word.isascii():
            return False
        if word.isdecimal():
            return int(word[:_LONG_HEX]) < _PLAIN_BELOW or any_hex
        if word.isalpha() and self._is_composed(word):
            return True
        return self._is_number(word, any_hex=any_hex) or self._is_numbered(word)

    def _is_composed(self, word: str) -> bool:
        """``RmInitAdapter``, ``NVreg``: words of one's own behind each other."""
        humps = _HUMPS.findall(word)
        return (
            len(humps) > 1
            and "".join(humps) == word
            and all(len(each) > 1 and each.lower() in self._known for each in humps)
        )

    @staticmethod
    def _is_number(word: str, *, any_hex: bool) -> bool:
        if word[:2] in ("0x", "0X"):
            digits = word[2:]
            return len(digits) <= _LONG_HEX and _is_hex(digits) and _is_address(digits)
        if not _is_hex(word) or len(word) > 2 * _LONG_HEX:
            return False
        if any_hex or len(word) <= _SHORT_HEX:
            return True
        is_lower = word == word.lower() and any(char.isdecimal() for char in word)
        fits = len(word) < _MAC_DIGITS or (len(word) == _POINTER_DIGITS and _is_address(word))
        return is_lower and fits

    def _is_numbered(self, word: str) -> bool:
        """``vmbr0``, ``RTX5060``, ``sda3``, ``name17``: known words and a few digits."""
        if _DEVICE.fullmatch(word):
            return True
        parts = _PARTS.findall(word)
        digits = sum(len(each) for each in parts if each.isdecimal())
        return (
            len(parts) <= _FEW_PARTS
            and 0 < digits <= _FEW_DIGITS
            and all(each.isdecimal() or len(each) == 1 or self.knows(each) for each in parts)
        )


def _is_hex(word: str) -> bool:
    return bool(_HEX.fullmatch(word))


def _is_address(digits: str) -> bool:
    value = int(digits or "0", 16)
    return value < _PHYSICAL_END or value >= _KERNEL_HALF
