"""Finds the settings that guides tell people to make, in whatever file they were put.

Only recognises; what each one does today is for the checks to say. Comments are not settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..model.cmdline import has_value
from ..model.facts import Setting
from ..model.knob import MODPROBE_CONF, MODULES_CONF
from ..model.rule import RULE_NAME, RULES_DIRECTORY
from .look import Look

GRUB_DROPIN = "/etc/default/grub.d/90-hostpci.cfg"
_GUIDE_MODULES = {"vfio", "vfio_pci", "vfio_iommu_type1", "vfio_virqfd"}
_WORD = re.compile(r"[^\s\"'=,]+(?:=[^\s\"']*)?")
_GRUB_LINE = re.compile(r"\s*(?:export\s+)?GRUB_CMDLINE_LINUX(?:_DEFAULT)?\+?=(.*)")
# One word of the shell: it ends at white space outside quotes, so before a trailing comment
_SHELL_WORD = re.compile(r"(?:\"(?:[^\"\\]|\\.)*\\?(?:\"|$)|'[^']*(?:'|$)|\\.?|[^\s\"'\\;&|])*")

# Parameter of the kernel -> one of its values, which commas separate -> code
_VALUE_CODES = {
    "amd_iommu": {"on": "cmdline-amd-iommu-on", "off": "cmdline-iommu-off"},
    "intel_iommu": {"on": "cmdline-intel-iommu-on", "off": "cmdline-iommu-off"},
    "iommu": {"pt": "cmdline-iommu-pt", "off": "cmdline-iommu-off"},
    "intremap": {"off": "cmdline-iommu-off"},
}
# Parameter -> what its value must contain -> code
_WORD_CODES = {
    "initcall_blacklist": ("sysfb", "cmdline-sysfb"),
    "pcie_acs_override": ("", "cmdline-acs-override"),
    "video": ("off", "cmdline-video-off"),
    "hostpci": ("", "cmdline-hostpci"),
}
# modprobe only asks its own list, the kernel refuses to load what is on module_blacklist
_BLACKLIST_CODES = {"modprobe.blacklist": "blacklist", "module_blacklist": "install-disabled"}
# (module, option) -> code; the same on the command line (module.option=) and in modprobe.d
OPTION_CODES = {
    ("vfio_pci", "ids"): "vfio-ids",
    ("vfio_pci", "disable_vga"): "vfio-disable-vga",
    ("vfio_pci", "disable_idle_d3"): "vfio-disable-idle-d3",
    ("vfio_iommu_type1", "allow_unsafe_interrupts"): "unsafe-interrupts",
    ("kvm", "ignore_msrs"): "kvm-ignore-msrs",
    ("kvm", "report_ignored_msrs"): "kvm-report-ignored-msrs",
}
_ON_BY_DEFAULT = {"kvm-report-ignored-msrs"}


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
    yield from enumerate((look.raw(path) or "").splitlines(), start=1)


def _said(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    for number, line in lines:
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line


def _joined(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Lines that a backslash continues, whole, under the number of their first."""
    first, whole = 0, ""
    for number, line in lines:
        first = first or number
        whole += line.removesuffix("\\")
        if not line.endswith("\\"):
            yield first, whole
            first, whole = 0, ""
    yield from [(first, whole)] if first else ()


def _words_of(where: str, lines: list[str]) -> Iterator[Setting]:
    for line in lines:
        for word in _WORD.findall(line):
            for code, value in codes_of(word):
                yield Setting(code=code, value=value, where=where, line=line.strip())


def codes_of(word: str) -> Iterator[tuple[str, str]]:
    """(code, what is set): the whole word, or of options of modules the value alone."""
    name, _, value = word.partition("=")
    name = name.replace("-", "_")
    for part, code in _VALUE_CODES.get(name, {}).items():
        if has_value([word], name, part):
            yield code, word
    if name in _WORD_CODES and _WORD_CODES[name][0] in value:
        yield _WORD_CODES[name][1], word
    if name in _BLACKLIST_CODES:
        for module in filter(None, value.split(",")):
            yield _BLACKLIST_CODES[name], module.replace("-", "_")
    if "." in name:
        yield from _option(name.partition(".")[0], word.partition(".")[2])


def _option(module: str, option: str) -> Iterator[tuple[str, str]]:
    """An option of a module that is set to anything but its default."""
    key, equals, value = option.partition("=")
    code = OPTION_CODES.get((module, key.replace("-", "_")))
    value = value if equals else "1"
    if code == "vfio-ids" and not value:
        return
    if code and (code == "vfio-ids" or _as_bool(value) is not (code in _ON_BY_DEFAULT)):
        yield code, value


def _as_bool(value: str) -> bool | None:
    """As kstrtobool() of the kernel: the first letter decides, after an ``o`` the second."""
    known = {"1": True, "y": True, "t": True, "on": True, "0": False, "n": False, "f": False}
    letters = 2 if value[:1] in ("o", "O") else 1
    return {**known, "of": False}.get(value[:letters].lower())


def _running_words(look: Look) -> Iterator[Setting]:
    yield from _words_of("/proc/cmdline", [look.text("/proc/cmdline") or ""])


def _grub_words(look: Look) -> Iterator[Setting]:
    names = [f"/etc/default/grub.d/{name}" for name in look.names("/etc/default/grub.d")]
    drop_ins = [path for path in names if path.endswith(".cfg") and path != GRUB_DROPIN]
    for path in ("/etc/default/grub", *drop_ins):
        for number, line in _joined(_said(_numbered(look, path))):
            match = _GRUB_LINE.match(line)
            value = _SHELL_WORD.match(match[1]) if match else None
            if value:
                yield from _words_of(f"{path}:{number}", [value[0]])


def _modprobe_settings(look: Look) -> Iterator[Setting]:
    for name in look.names("/etc/modprobe.d"):
        path = f"/etc/modprobe.d/{name}"
        if name.endswith(".conf") and path != MODPROBE_CONF:
            for number, line in _said(_joined(_numbered(look, path))):
                yield from _modprobe_line(f"{path}:{number}", line.split())


def _modprobe_line(where: str, words: list[str]) -> Iterator[Setting]:
    line = " ".join(words)
    module = words[1].replace("-", "_") if len(words) > 1 else ""
    if words[0] == "options":
        for option in words[2:]:
            for code, value in _option(module, option):
                yield Setting(code=code, value=value, where=where, line=line)
    elif words[0] == "blacklist":
        yield Setting(code="blacklist", value=module, where=where, line=line)
    elif words[0] == "softdep" and "vfio" in line.replace("-", "_").partition("pre:")[2]:
        yield Setting(code="softdep-vfio", value=module, where=where, line=line)
    elif words[0] == "install" and words[-1].endswith(("/true", "/false")):
        yield Setting(code="install-disabled", value=module, where=where, line=line)
    elif words[0] == "alias" and words[2:] == ["off"]:
        yield Setting(code="alias-off", value=module, where=where, line=line)


def _module_lists(look: Look) -> Iterator[Setting]:
    lists = [f"/etc/modules-load.d/{name}" for name in look.names("/etc/modules-load.d")]
    # /etc/modules-load.d/modules.conf is a link to /etc/modules (systemd.links of Debian)
    lists = [
        path
        for path in lists
        if path.endswith(".conf") and not path.endswith("/modules.conf") and path != MODULES_CONF
    ]
    for path in ("/etc/modules", *lists, "/etc/initramfs-tools/modules"):
        for number, line in _said(_numbered(look, path)):
            module = line.split()[0].replace("-", "_")
            if module in _GUIDE_MODULES:
                code = "module-vfio-virqfd" if module == "vfio_virqfd" else "module-vfio"
                yield Setting(code=code, value=module, where=f"{path}:{number}", line=line.strip())


def _foreign_rules(look: Look) -> Iterator[Setting]:
    for name in look.names(RULES_DIRECTORY):
        if name.endswith(".rules") and not RULE_NAME.fullmatch(name):
            path = f"{RULES_DIRECTORY}/{name}"
            for number, line in _said(_numbered(look, path)):
                if "driver_override" in line:
                    yield Setting(
                        code="foreign-rule", value=name, where=f"{path}:{number}", line=line.strip()
                    )


def _driverctl(look: Look) -> Iterator[Setting]:
    for name in look.names("/etc/driverctl.d"):
        driver = look.text(f"/etc/driverctl.d/{name}") or ""
        yield Setting(code="driverctl", value=name, where=f"/etc/driverctl.d/{name}", line=driver)
