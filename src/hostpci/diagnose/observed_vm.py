"""What the configuration of a machine says, where its lines are in the log."""

from __future__ import annotations

import re

from .case import UNKNOWN, Answer, Case, fails, holds
from .observations import answer, observes
from .passed import companions, covers, displays, places_of
from .settings import VmLine

_WHOLE_CONFIG = 4
_WITHOUT_AVX = (
    "kvm64", "kvm32", "qemu64", "qemu32", "x86-64-v2", "x86-64-v2-AES", "Conroe", "Penryn",
    "Nehalem", "Westmere", "core2duo", "coreduo", "pentium3",
    "Opteron_G1", "Opteron_G2", "Opteron_G3",
)  # fmt: skip
_CPU_ARGS = re.compile(r"-cpu |hypervisor|kvm=off|vfio|-global")
_APU_ROM = re.compile(r"AMDGop|vbios_[0-9]{4}|780m|680m|760m|890m|610m", re.IGNORECASE)
_UEFI_ROM = re.compile(r"gop|uefi|(^|[^a-z])efi", re.IGNORECASE)
_INTEL_GRAPHICS = "0000:00:02.0"  # one function; the others that may be there are virtual
_LARGE_MIB = 32768


def _is_whole(case: Case) -> bool:
    """Enough of a configuration that what is not in it is not set."""
    keys = {each.key for each in case.vm}
    return len(keys) >= _WHOLE_CONFIG and bool(keys & {"memory", "cores", "ostype", "scsihw"})


def _line(case: Case, key: str) -> tuple[VmLine, ...]:
    return tuple(each for each in case.vm if each.key == key)


def _is_on(line: VmLine, option: str) -> bool:
    return line.options.get(option, "0").lower() in ("1", "on", "yes", "true")


def _of(found: tuple[VmLine, ...] | list[VmLine], detail: str = "") -> Answer:
    return holds((each.line for each in found), detail=detail) if found else UNKNOWN


def _graphics(case: Case) -> tuple[VmLine, ...]:
    """hostpci lines of a card for graphics, as far as the log lets tell."""
    cards = displays(case)
    return tuple(
        line
        for line in case.hostpci
        if _is_on(line, "x-vga")
        or "romfile" in line.options
        or any(covers(at, each.address) for at in places_of(line) for each in cards)
    )


@observes("vm-is-seabios")
def vm_is_seabios(case: Case) -> Answer:
    bios = _line(case, "bios")
    if any("ovmf" in each.value for each in bios):
        return fails(each.line for each in bios)
    return holds(each.line for each in bios) if bios or _is_whole(case) else UNKNOWN


def _is_ovmf(case: Case) -> bool:
    return "ovmf" in case.vm_value("bios")


@observes("vm-is-large")
def vm_is_large(case: Case) -> Answer:
    memory = [
        each
        for each in _line(case, "memory")
        if each.value.isdecimal() and int(each.value[:12]) >= _LARGE_MIB
    ]
    return _of(memory, memory[0].value if memory else "")


@observes("gpu-without-pcie")
def gpu_without_pcie(case: Case) -> Answer:
    if not _is_whole(case):
        return UNKNOWN
    if "q35" not in case.vm_value("machine"):
        return _of(_graphics(case))
    return _of([each for each in _graphics(case) if not _is_on(each, "pcie")])


@observes("seabios-with-uefi-rom")
def seabios_with_uefi_rom(case: Case) -> Answer:
    if _is_ovmf(case) or not _is_whole(case):
        return UNKNOWN
    return _of([each for each in case.hostpci if _UEFI_ROM.search(each.options.get("romfile", ""))])


@observes("seabios-with-blackwell-rom")
def seabios_with_blackwell_rom(case: Case) -> Answer:
    if not answer(case, "vm-is-seabios") or not answer(case, "device-is-blackwell"):
        return UNKNOWN
    return _of([each for each in _graphics(case) if each.options.get("rombar", "1") != "0"])


@observes("rom-lacks-efi-for-ovmf")
def rom_lacks_efi_for_ovmf(case: Case) -> Answer:
    legacy = case.lines_of("no-rom-in-efi")
    has_efi = any(re.search(r"[Tt]ype 3\b|\(EFI\)", line.text) for line in case.lines)
    return holds(legacy) if legacy and _is_ovmf(case) and not has_efi else UNKNOWN


@observes("ovmf-without-efidisk")
def ovmf_without_efidisk(case: Case) -> Answer:
    if not _is_ovmf(case) or not _is_whole(case) or case.vm_value("efidisk0"):
        return UNKNOWN
    return _of(_line(case, "bios"))


@observes("linux-guest-with-keys")
def linux_guest_with_keys(case: Case) -> Answer:
    if not case.hostpci or not case.vm_value("ostype").startswith("l2"):
        return UNKNOWN
    return _of([each for each in _line(case, "efidisk0") if _is_on(each, "pre-enrolled-keys")])


@observes("cpu-type-without-avx")
def cpu_type_without_avx(case: Case) -> Answer:
    if any("-cpu " in each.value for each in _line(case, "args")):
        return UNKNOWN  # QEMU takes the last -cpu, and that is the one of args
    lines = _line(case, "cpu")
    kind = lines[0].options.get("cputype", lines[0].options.get("", "")) if lines else ""
    if lines and (kind not in _WITHOUT_AVX or "+avx" in lines[0].value):
        return fails(each.line for each in lines)
    if lines:
        return _of(lines, kind)
    # Without a type PVE gives kvm64 (qemu-server CPUConfig.pm)
    return _of(case.hostpci[:1], "kvm64") if _is_whole(case) else UNKNOWN


@observes("display-conflict")
def display_conflict(case: Case) -> Answer:
    """The card is to be the primary display, and another one was asked for."""
    primary = [each for each in case.hostpci if _is_on(each, "x-vga")]
    shown = [each for each in _line(case, "vga") if not each.value.startswith(("none", "serial"))]
    return _of([*primary, *shown]) if primary and shown else UNKNOWN


@observes("vm-passes-one-function")
def vm_passes_one_function(case: Case) -> Answer:
    """One function of a card with several; the others stay behind."""
    places = [at for line in case.hostpci for at in places_of(line)]
    found = []
    for line in _graphics(case):
        for at in places_of(line):
            slot = at.rpartition(".")[0]
            others = [each for each in places if each != at and each.startswith(slot)]
            listed = [each for each in displays(case) if each.address == at]
            alone = listed and not companions(case, listed[0])
            if at.endswith(".0") and at != _INTEL_GRAPHICS and not others and not alone:
                found.append(line)
    return _of(found)


@observes("legacy-igd-is-refused")
def legacy_igd_is_refused(case: Case) -> Answer:
    """The settings for which PVE::QemuServer::PCI dies, as far as lines that are there tell."""
    q35 = "q35" in case.vm_value("machine")
    vga = _line(case, "vga")
    return _of(
        [
            each
            for each in case.hostpci
            if _is_on(each, "legacy-igd")
            and (
                q35
                or _is_on(each, "x-vga")
                or "mdev" in each.options
                or each.options.get("rombar") == "0"
                or any(line.value != "none" for line in vga)
            )
        ]
    )


@observes("vm-splits-functions")
def vm_splits_functions(case: Case) -> Answer:
    by_slot: dict[str, list[VmLine]] = {}
    for line in case.hostpci:
        for slot in {at.rpartition(".")[0] for at in places_of(line) if at.count(".")}:
            by_slot.setdefault(slot, []).append(line)
    return _of(next((lines for lines in by_slot.values() if len(lines) > 1), []))


@observes("vm-names-function-twice")
def vm_names_function_twice(case: Case) -> Answer:
    seen: list[tuple[str, VmLine]] = []
    for line in case.hostpci:
        for at in places_of(line):
            for before, earlier in seen:
                # A configuration that is shown twice, before and after, names nothing twice
                if earlier.key != line.key and (covers(before, at) or covers(at, before)):
                    return _of([earlier, line], at)
            seen.append((at, line))
    return UNKNOWN


@observes("balloon-with-hostpci")
def balloon_with_hostpci(case: Case) -> Answer:
    given = [each for each in _line(case, "balloon") if each.value not in ("0", "")]
    return _of(given) if case.hostpci and given else UNKNOWN


@observes("args-touch-cpu-or-vfio")
def args_touch_cpu_or_vfio(case: Case) -> Answer:
    return _of([each for each in _line(case, "args") if _CPU_ARGS.search(each.value)])


@observes("hostpci-is-pending")
def hostpci_is_pending(case: Case) -> Answer:
    pending = False
    for line in case.lines:
        if line.text.strip().startswith("["):
            pending = line.text.strip() == "[PENDING]"
        elif pending and line.text.strip().startswith("hostpci"):
            return holds((line,))
    return UNKNOWN


@observes("windows-on-apu")
def windows_on_apu(case: Case) -> Answer:
    if not case.vm_value("ostype").startswith("win") and (
        _line(case, "ostype") or not case.hostpci
    ):
        return UNKNOWN  # the web interface always sets it: where it is missing it was cut off
    by_rom = [each for each in case.hostpci if _APU_ROM.search(each.options.get("romfile", ""))]
    if by_rom:
        return _of(by_rom)
    apu = answer(case, "device-is-amd-apu")
    return (
        holds((*apu.lines, *(each.line for each in case.hostpci[:1])))
        if apu and case.hostpci
        else UNKNOWN
    )
