"""What command lines and modprobe.d say: which words are there, missing, misspelt or useless."""

from __future__ import annotations

import re

from .case import UNKNOWN, Answer, Case, fails, holds, seen_if
from .lines import Line
from .observations import answer, observes
from .settings import CommandLine, Kind

_OFF = re.compile(r"(intel_iommu|amd_iommu|iommu)=(off|no|0)(,.*)?")
_ON = re.compile(r"(intel_iommu)=(on|1|pt|sm_on)(,.*)?")
_USELESS = re.compile(
    r"video=(efifb|vesafb|simplefb):off.*|nofb|nomodeset|vga=off|amd_iommu=on|rd\.driver\.pre=vfio.*"
    r"|pcie_acs_override=.*"
)
_PASSTHROUGH_WORDS = re.compile(
    r"(intel_iommu|amd_iommu|iommu|vfio[-_.].*|pcie_acs_override|video|initcall_blacklist|pci|"
    r"kvm\.ignore_msrs|module_blacklist|modprobe\.blacklist|i915\.enable_guc|hugepages)(=.*)?"
)
_MISSPELT = re.compile(
    r"vfio-pci-ids?=.*|vfio_pci_ids?=.*|vfio[-_]pci\.id=.*|vfio\.ids=.*|vfio[-_]pci,ids=.*|vfio-pci:ids=.*"
)
_RELEASE = re.compile(
    r"(?:Linux version |^Linux [^ ]+ |vmlinuz-|Tainted: .*? )"
    r"(?P<major>[0-9]+)\.(?P<minor>[0-9]+)(?:\.(?P<patch>[0-9]+))?"
)
_INTEL_DEFAULT_ON = (6, 8)
_REGRESSED = (((6, 14, 2), (6, 14, 7)), ((6, 12, 23), (6, 12, 30)))


def _words(case: Case, pattern: re.Pattern[str]) -> tuple[tuple[str, Line], ...]:
    return tuple((word, line) for word, line in case.running_words() if pattern.fullmatch(word))


def _answer_of(found: tuple[tuple[str, Line], ...]) -> Answer:
    detail = " ".join(dict.fromkeys(word for word, _ in found))
    return holds(dict.fromkeys(line for _, line in found), detail=detail) if found else UNKNOWN


def kernel_version(case: Case) -> tuple[int, int, int] | None:
    for line in case.lines_of("linux-release"):
        match = _RELEASE.search(line.text)
        if match:
            return int(match["major"]), int(match["minor"]), int(match["patch"] or 0)
    return None


@observes("iommu-word-off")
def iommu_word_off(case: Case) -> Answer:
    if not answer(case, "passthrough-context"):
        return UNKNOWN
    return _answer_of(_words(case, _OFF))


@observes("iommu-word-on")
def iommu_word_on(case: Case) -> Answer:
    found = _words(case, _ON)
    if found:
        return _answer_of(found)
    return fails() if case.running_words() else UNKNOWN


@observes("word-intremap-off")
def word_intremap_off(case: Case) -> Answer:
    return _answer_of(_words(case, re.compile(r"intremap=(off|nosid)|nointremap")))


@observes("word-acs-override")
def word_acs_override(case: Case) -> Answer:
    return _answer_of(_words(case, re.compile(r"pcie_acs_override=.*")))


@observes("iommu-word-missing-on-old-intel")
def word_missing_on_old_intel(case: Case) -> Answer:
    version = kernel_version(case)
    if version is None or not answer(case, "cpu-intel") or not case.running_words():
        return UNKNOWN
    if answer(case, "iommu-word-on") or version[:2] >= _INTEL_DEFAULT_ON:
        return fails()
    if answer(case, "iommu-in-use") or not answer(case, "passthrough-context"):
        return UNKNOWN
    return holds(each.line for each in case.command_lines)


@observes("amd-word-on-intel")
def amd_word_on_intel(case: Case) -> Answer:
    words = _words(case, re.compile(r"amd_iommu=.*"))
    if not words or not answer(case, "cpu-intel") or answer(case, "cpu-amd"):
        return UNKNOWN
    if answer(case, "iommu-word-on") or answer(case, "iommu-in-use"):
        return UNKNOWN
    return _answer_of(words)


@observes("word-without-effect")
def word_without_effect(case: Case) -> Answer:
    found = tuple((word, line) for word, line in case.all_words() if _USELESS.fullmatch(word))
    # The override is a word of no other purpose
    is_ours = any(word.startswith("pcie_acs_override=") for word, _ in found)
    return _answer_of(found) if is_ours or answer(case, "passthrough-context") else UNKNOWN


@observes("ids-misspelt")
def ids_misspelt(case: Case) -> Answer:
    found = [(word, line) for word, line in case.all_words() if _MISSPELT.fullmatch(word)]
    found += [
        (f"{each.verb} {each.rest}", each.line)
        for each in case.modprobe
        if _is_bad_option(each.verb, each.rest)
    ]
    return _answer_of(tuple(found))


def _is_bad_option(verb: str, rest: str) -> bool:
    """A line that means to give ids to vfio-pci, and does not."""
    if not re.match(r"vfio", rest) or verb not in ("option", "options"):
        return False
    if verb == "option" or re.search(r"\bid=|\bids? +=|ids=.*,\s|ids=\s|ids:|device_ids=", rest):
        return True
    module = rest.split(maxsplit=1)[0]
    if "ids" in rest and module not in ("vfio-pci", "vfio_pci"):
        return True
    listed = re.search(r"ids=(\S+)", rest)
    pair = r"[0-9a-fA-F]{4}:[0-9a-fA-F]{4}(:[0-9a-fA-F:]*)?"
    good = rf'"?{pair}(,{pair})*"?'
    return (
        bool(listed)
        and "XXXX" not in rest.upper()
        and not re.fullmatch(good, str(listed and listed[1]))
    )


@observes("wrong-loader-file")
def wrong_loader_file(case: Case) -> Answer:
    """Words for the kernel stand in the file of the loader that did not load it."""
    running = [each for each in case.command_lines if each.kind is Kind.RUNNING]
    for each in running:
        wrong = Kind.GRUB_FILE if each.of_systemd_boot else Kind.LOADER_FILE
        if not (each.of_systemd_boot or each.of_grub):
            continue
        for other in case.command_lines:
            missing = _missing(other, each) if other.kind is wrong else ()
            if missing:
                return holds((each.line, other.line), detail=" ".join(missing))
    return UNKNOWN


@observes("file-words-not-running")
def file_words_not_running(case: Case) -> Answer:
    running = [each for each in case.command_lines if each.kind is Kind.RUNNING]
    for each in running:
        right = Kind.LOADER_FILE if each.of_systemd_boot else Kind.GRUB_FILE
        for other in case.command_lines:
            missing = _missing(other, each) if other.kind is right else ()
            if missing:
                return holds((other.line, each.line), detail=" ".join(missing))
    return UNKNOWN


def _missing(wanted: CommandLine, running: CommandLine) -> tuple[str, ...]:
    return tuple(
        word for word in wanted.words
        if _PASSTHROUGH_WORDS.fullmatch(word) and word not in running.words
    )  # fmt: skip


@observes("module-options-not-loaded")
def module_options_not_loaded(case: Case) -> Answer:
    """``options vfio-pci ids=`` is there, and the running module shows an empty list."""
    empty = [
        line
        for line in case.lines
        if re.search(r"parameters/ids:? *\(null\)|^\(null\)$", line.text)
    ]
    return holds(empty) if empty and case.ids else UNKNOWN


@observes("idle-d3-disabled")
def idle_d3_disabled(case: Case) -> Answer:
    lines = [each.line for each in case.modprobe if "disable_idle_d3=1" in each.rest]
    lines += [line for word, line in case.all_words() if word.endswith("disable_idle_d3=1")]
    return seen_if(lines)


@observes("idle-d3-allowed")
def idle_d3_allowed(case: Case) -> Answer:
    if answer(case, "idle-d3-disabled"):
        return fails()
    return UNKNOWN


@observes("vfs-are-wanted")
def vfs_are_wanted(case: Case) -> Answer:
    return seen_if(case.lines_of("sysfs-vfs-wanted"))


@observes("regressed-kernel-and-reset")
def regressed_kernel_and_reset(case: Case) -> Answer:
    version = kernel_version(case)
    if version is None or not _is_regressed(version):
        return UNKNOWN
    trouble = case.lines_of(
        "reset-flr-not-ready",
        "reset-bus-not-ready",
        "power-stuck-d3",
        "lockup-seen",
        "vm-start-timeout",
    )
    return seen_if((*case.lines_of("linux-release")[:1], *trouble) if trouble else ())


def _is_regressed(version: tuple[int, int, int]) -> bool:
    return any(first <= version <= last for first, last in _REGRESSED)
