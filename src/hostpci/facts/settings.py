"""Finds the settings that guides tell people to make, in whatever file they were put.

Only recognises; what each one does today is for the checks to say. Comments are not settings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ..model.facts import Setting
from ..model.rule import RULE_NAME, RULES_DIRECTORY
from .look import Look

GRUB_DROPIN = "/etc/default/grub.d/90-hostpci.cfg"
_GUIDE_MODULES = {"vfio", "vfio_pci", "vfio_iommu_type1", "vfio_virqfd"}
_OFF_WORDS = {"iommu=off", "intel_iommu=off", "amd_iommu=off", "intremap=off"}
_WORD = re.compile(r"[^\s\"'=,]+(?:=[^\s\"']*)?")
_GRUB_LINE = re.compile(r"\s*(?:export\s+)?GRUB_CMDLINE_LINUX(?:_DEFAULT)?\+?=(.*)")

_WORD_CODES: tuple[tuple[Callable[[str], bool], str], ...] = (
    (lambda word: word == "amd_iommu=on", "cmdline-amd-iommu-on"),
    (lambda word: word == "intel_iommu=on", "cmdline-intel-iommu-on"),
    (lambda word: word == "iommu=pt", "cmdline-iommu-pt"),
    (lambda word: word in _OFF_WORDS, "cmdline-iommu-off"),
    (lambda word: word.startswith("initcall_blacklist=") and "sysfb" in word, "cmdline-sysfb"),
    (lambda word: word.startswith("pcie_acs_override="), "cmdline-acs-override"),
    (lambda word: word.startswith("video=") and "off" in word, "cmdline-video-off"),
    (lambda word: word.startswith(("vfio-pci.ids=", "vfio_pci.ids=")), "vfio-ids"),
    (lambda word: word.endswith("allow_unsafe_interrupts=1"), "unsafe-interrupts"),
    (lambda word: word.startswith("kvm.ignore_msrs="), "kvm-ignore-msrs"),
    (lambda word: word.startswith("hostpci="), "cmdline-hostpci"),
)
_OPTION_CODES = {
    ("vfio_pci", "ids"): "vfio-ids",
    ("vfio_pci", "disable_vga"): "vfio-disable-vga",
    ("vfio_pci", "disable_idle_d3"): "vfio-disable-idle-d3",
    ("vfio_iommu_type1", "allow_unsafe_interrupts"): "unsafe-interrupts",
    ("kvm", "ignore_msrs"): "kvm-ignore-msrs",
    ("kvm", "report_ignored_msrs"): "kvm-report-ignored-msrs",
}


def read_settings(look: Look) -> tuple[Setting, ...]:
    """Every recognised setting, in the order of the files and lines."""
    return (
        *_running_words(look),
        *_grub_words(look),
        *_words_of("/etc/kernel/cmdline", (look.raw("/etc/kernel/cmdline") or "").splitlines()[:1]),
        *_modprobe_settings(look),
        *_module_lists(look),
        *_foreign_rules(look),
        *_driverctl(look),
    )


def _numbered(look: Look, path: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate((look.raw(path) or "").splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line


def _words_of(where: str, lines: list[str]) -> Iterator[Setting]:
    for line in lines:
        for word in _WORD.findall(line):
            for is_match, code in _WORD_CODES:
                if is_match(word):
                    yield Setting(code=code, value=word, where=where, line=line.strip())


def _running_words(look: Look) -> Iterator[Setting]:
    yield from _words_of("/proc/cmdline", [look.text("/proc/cmdline") or ""])


def _grub_words(look: Look) -> Iterator[Setting]:
    names = [f"/etc/default/grub.d/{name}" for name in look.names("/etc/default/grub.d")]
    drop_ins = [path for path in names if path.endswith(".cfg") and path != GRUB_DROPIN]
    for path in ("/etc/default/grub", *drop_ins):
        for number, line in _numbered(look, path):
            match = _GRUB_LINE.match(line)
            if match:
                yield from _words_of(f"{path}:{number}", [match[1]])


def _modprobe_settings(look: Look) -> Iterator[Setting]:
    for name in look.names("/etc/modprobe.d"):
        path = f"/etc/modprobe.d/{name}"
        for number, line in _numbered(look, path) if name.endswith(".conf") else ():
            yield from _modprobe_line(f"{path}:{number}", line.split())


def _modprobe_line(where: str, words: list[str]) -> Iterator[Setting]:
    line = " ".join(words)
    module = words[1].replace("-", "_") if len(words) > 1 else ""
    if words[0] == "options":
        for option in words[2:]:
            key, _, value = option.partition("=")
            code = _OPTION_CODES.get((module, key))
            if code:
                yield Setting(code=code, value=value, where=where, line=line)
    elif words[0] == "blacklist":
        yield Setting(code="blacklist", value=module, where=where, line=line)
    elif words[0] == "softdep" and "vfio" in line.replace("-", "_").partition("pre:")[2]:
        yield Setting(code="softdep-vfio", value=module, where=where, line=line)
    elif words[0] == "install" and words[-1].endswith(("/true", "/false")):
        yield Setting(code="install-disabled", value=module, where=where, line=line)


def _module_lists(look: Look) -> Iterator[Setting]:
    lists = [f"/etc/modules-load.d/{name}" for name in look.names("/etc/modules-load.d")]
    # /etc/modules-load.d/modules.conf is a link to /etc/modules (systemd.links of Debian)
    lists = [
        path for path in lists if path.endswith(".conf") and not path.endswith("/modules.conf")
    ]
    for path in ("/etc/modules", *lists, "/etc/initramfs-tools/modules"):
        for number, line in _numbered(look, path):
            module = line.split()[0].replace("-", "_")
            if module in _GUIDE_MODULES:
                code = "module-vfio-virqfd" if module == "vfio_virqfd" else "module-vfio"
                yield Setting(code=code, value=module, where=f"{path}:{number}", line=line.strip())


def _foreign_rules(look: Look) -> Iterator[Setting]:
    for name in look.names(RULES_DIRECTORY):
        if name.endswith(".rules") and not RULE_NAME.fullmatch(name):
            path = f"{RULES_DIRECTORY}/{name}"
            for number, line in _numbered(look, path):
                if "driver_override" in line:
                    yield Setting(
                        code="foreign-rule", value=name, where=f"{path}:{number}", line=line.strip()
                    )


def _driverctl(look: Look) -> Iterator[Setting]:
    for name in look.names("/etc/driverctl.d"):
        driver = look.text(f"/etc/driverctl.d/{name}") or ""
        yield Setting(code="driverctl", value=name, where=f"/etc/driverctl.d/{name}", line=driver)
