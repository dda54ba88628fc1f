"""What listings say: who drives what, which functions were left out, who shares a group."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from .case import UNKNOWN, Answer, Case, fails, holds, seen_if
from .devices import is_apu
from .lines import Line, device_in, devices_in
from .listings import Listed, Range
from .observations import answer, observes
from .passed import (
    companions,
    covers,
    displays,
    is_meant,
    is_passed,
    is_same_vendor,
    is_shown_alone,
    passed_places,
)

VFIO = "vfio-pci"
_NVIDIA, _NVIDIA_CLASS = "10de", ("0300", "VGA compatible controller")
_SMALL_EXCERPT = 60
_PAIR = 2
_AMD_GRAPHICS, _AMD_PROCESSOR = "1002", "1022"
_FEW_GROUPS = 3
_MAKERS = re.compile(r"\b(10de|1002|8086):|NVIDIA|AMD/ATI|Intel Corp")
_WHOLE_LISTING = 5
_FRAMEBUFFERS = re.compile(
    r"BOOTFB|efifb|vesafb|simplefb|simpledrm|simple-framebuffer", re.IGNORECASE
)
_ASSIGNED = re.compile(r"BAR [0-9]+: assigned to (efifb|vesafb|simplefb)")
_CARD_IDS = re.compile(r"\[(10de|1002):[0-9a-f]{4}\]")
_OVERRIDE = re.compile(r"driver_override:? *(?!\(null\)|vfio-pci)[a-z]\w+ *$")
_NO_TABLE = re.compile(r"tables/(DMAR|IVRS)['’]?: No such file")
_RESET_METHOD = re.compile(r"reset_method:? *$")
_FLR = re.compile(r"reset_method: .*\bflr\b|^flr( |$)|FLReset\+")
_CPU_BITS = re.compile(r"address sizes\s*: (?P<bits>[0-9]+) bits physical")
_IOMMU_BITS = re.compile(r"Host address width (?P<bits>[0-9]+)")


def _lines(found: Iterable[Listed]) -> Iterator[Line]:
    for each in found:
        yield each.line
        yield from (line for line in each.details if "driver in use" in line.text)


def _answer(found: Iterable[Listed]) -> Answer:
    listed = tuple(found)
    return holds(_lines(listed), (each.address for each in listed)) if listed else UNKNOWN


def _meant_displays(case: Case) -> tuple[Listed, ...]:
    return tuple(each for each in displays(case) if is_meant(case, each))


def _wanted(case: Case, each: Listed) -> bool:
    """Meant for a machine; of a few lines that somebody picked out, the card that is in them."""
    if is_meant(case, each) or each.driver == VFIO:
        return True
    if is_shown_alone(case, each):
        return True
    nothing_said = not passed_places(case) and not case.ids
    if any(other.driver == VFIO for other in displays(case)):
        return False  # that one is meant, and this one is the host's
    is_about_it = bool(answer(case, "passthrough-context")) and case.total <= _SMALL_EXCERPT
    return nothing_said and is_about_it and not answer(case, "log-of-guest")


def _driven_by(case: Case, *drivers: str) -> Answer:
    return _answer(
        each for each in displays(case) if each.driver in drivers and _wanted(case, each)
    )


@observes("nvidia-drives-passed-device")
def nvidia_drives_passed_device(case: Case) -> Answer:
    return _driven_by(case, "nvidia")


@observes("nouveau-drives-passed-device")
def nouveau_drives_passed_device(case: Case) -> Answer:
    return UNKNOWN if answer(case, "log-of-guest") else _driven_by(case, "nouveau")


@observes("igpu-driver-on-passed-device")
def igpu_driver_on_passed_device(case: Case) -> Answer:
    found = [each for each in displays(case) if each.driver in ("i915", "xe", "amdgpu")]
    return _answer(each for each in found if _is_integrated(each) and _wanted(case, each))


def _is_integrated(each: Listed) -> bool:
    if each.vendor == "1002":
        return is_apu(int(each.ids[5:], 16))
    return each.address == "0000:00:02.0"


@observes("another-driver-bound-is-vfio")
def another_driver_is_vfio(case: Case) -> Answer:
    return _answer(each for each in displays(case) if each.driver == VFIO)


@observes("nouveau-in-guest")
def nouveau_in_guest(case: Case) -> Answer:
    asked_nvidia = case.lines_of("guest-nvidia-module-missing", "guest-nvidia-no-devices")
    cards = [each for each in displays(case) if each.driver == "nouveau"]
    if not answer(case, "log-of-guest") and not asked_nvidia:
        # Somebody has installed NVIDIA's driver, and shows who has the card instead
        cards = [each for each in cards if case.is_handpicked and "nvidia" in each.modules]
    return _answer(cards)


@observes("gpu-in-guest-without-driver")
def gpu_in_guest_without_driver(case: Case) -> Answer:
    if not answer(case, "log-of-guest") or not any(each.driver for each in case.listed):
        return UNKNOWN
    cards = [each for each in displays(case) if _MAKERS.search(f"{each.ids} {each.name}")]
    return _answer(each for each in cards if each.driver is None and each.details)


def _held_companions(case: Case, *, usb: bool) -> Iterator[Listed]:
    for display in displays(case):
        is_with_vfio = display.driver == VFIO
        is_for_guest = is_meant(case, display) or is_shown_alone(case, display)
        if not (is_with_vfio or (display.driver is None and is_for_guest)):
            continue  # a driver of the host has the graphics too: that is the matter then
        for each in companions(case, display):
            of_kind = each.is_usb or each.class_code == "0c80" if usb else each.is_audio
            if of_kind and is_same_vendor(display, each) and each.driver not in (None, VFIO):
                yield each


@observes("audio-function-on-host")
def audio_function_on_host(case: Case) -> Answer:
    return _answer(_held_companions(case, usb=False))


@observes("usb-function-on-host")
def usb_function_on_host(case: Case) -> Answer:
    return _answer(_held_companions(case, usb=True))


@observes("audio-without-driver")
def audio_without_driver(case: Case) -> Answer:
    """Nobody drives it, so nobody holds it: a group with such a function is viable."""
    return _answer(
        each
        for display in displays(case)
        if display.driver == VFIO
        for each in companions(case, display)
        if each.is_audio and each.driver is None
    )


@observes("other-functions-on-host")
def other_functions_on_host(case: Case) -> Answer:
    """Beside an integrated card: functions of the processor, each in a group of its own."""
    return _answer(
        each
        for display in displays(case)
        if display.driver == VFIO
        for each in companions(case, display)
        if not is_same_vendor(display, each) and each.driver not in (None, VFIO)
    )


@observes("passed-slot-on-vfio")
def passed_slot_on_vfio(case: Case) -> Answer:
    found = []
    for display in displays(case):
        own = [each for each in companions(case, display) if is_same_vendor(display, each)]
        audio = [each for each in own if each.is_audio]
        if display.driver == VFIO and all(each.driver == VFIO for each in audio):
            found += [display, *audio]
    return _answer(found)


@observes("passed-device-on-vfio")
def passed_device_on_vfio(case: Case) -> Answer:
    meant = _meant_displays(case)
    if meant and all(each.driver == VFIO for each in meant):
        return _answer(meant)
    return fails(_lines(meant)) if meant else UNKNOWN


@observes("named-id-elsewhere")
def named_id_elsewhere(case: Case) -> Answer:
    named = [each for each in case.listed if each.ids and each.ids in case.ids]
    return _answer(each for each in named if each.driver not in (None, VFIO))


@observes("named-id-driverless")
def named_id_driverless(case: Case) -> Answer:
    named = [each for each in case.listed if each.ids and each.ids in case.ids]
    silent = [each for each in named if each.driver is None and not each.is_audio]
    return _answer(silent) if len(silent) == len(named) else UNKNOWN


@observes("ids-leave-out-functions")
def ids_leave_out_functions(case: Case) -> Answer:
    found = []
    for display in displays(case):
        if not display.ids or display.ids not in case.ids:
            continue
        own = [each for each in companions(case, display) if is_same_vendor(display, each)]
        left = [
            each for each in own if each.ids and each.ids not in case.ids and each.driver != VFIO
        ]
        if left or (not own and _must_have_audio(case, display)):
            found += [display, *left]
    return _answer(found)


def _must_have_audio(case: Case, display: Listed) -> bool:
    """Every NVIDIA card with outputs has a sound function; a lone id has left it out."""
    kind = display.class_code or display.class_name
    alone = sum(each.startswith(_NVIDIA) for each in case.ids) == 1
    return display.vendor == _NVIDIA and kind in _NVIDIA_CLASS and alone and display.driver != VFIO


@observes("twins-taken-by-id")
def twins_taken_by_id(case: Case) -> Answer:
    by_ids: dict[str, list[Listed]] = {}
    for each in displays(case):
        if each.ids:
            by_ids.setdefault(each.ids, []).append(each)
    for ids, twins in by_ids.items():
        # Each of them given away by its address is what their owner wants
        is_unasked = not all(is_passed(case, each.address) for each in twins)
        # A host with three of a kind and more is full of them to give them all away
        taken = is_unasked and all(each.driver == VFIO for each in twins) and len(twins) == _PAIR
        if (taken or ids in case.ids) and len({each.slot for each in twins}) > 1:
            return _answer(twins)
    return UNKNOWN


# Groups


def _groups_of_cards(case: Case) -> Iterator[tuple[str, ...]]:
    """Groups with a graphics card, or with what a machine is given."""
    cards = {each.address for each in displays(case)}
    for members in case.groups.values():
        if any(address in cards or is_passed(case, address) for address in members):
            yield members


def _groups_shown(case: Case) -> Iterator[tuple[str, ...]]:
    """Without a card among them, the few groups that somebody picked out."""
    if not displays(case) and case.is_handpicked and len(case.groups) <= _FEW_GROUPS:
        yield from case.groups.values()


def _strangers(case: Case, members: tuple[str, ...]) -> list[Listed]:
    listed = [each for each in map(case.listed_at, members) if each is not None]
    slots = {each.slot for each in listed if each.is_display or is_passed(case, each.address)}
    return [
        each for each in listed
        if not each.is_bridge and (each.slot not in slots or _is_of_processor(each, listed))
    ]  # fmt: skip


def _is_of_processor(each: Listed, listed: list[Listed]) -> bool:
    """Beside integrated graphics of AMD sit the processor's own functions, in the same slot."""
    cards = [card for card in listed if card.is_display and card.slot == each.slot]
    beside = any(card.vendor == _AMD_GRAPHICS for card in cards)
    return beside and each.vendor == _AMD_PROCESSOR and (each.is_usb or each.is_storage)


@observes("group-has-host-driver")
def group_has_host_driver(case: Case) -> Answer:
    return _answer(
        each
        for members in case.groups.values()
        for each in filter(None, map(case.listed_at, members))
        if not each.is_bridge and each.driver not in (None, VFIO)
    )


@observes("group-holds-host-device")
def group_holds_host_device(case: Case) -> Answer:
    return _answer(
        each
        for members in _groups_of_cards(case)
        for each in _strangers(case, members)
        if (each.is_storage or each.is_network or each.is_usb) and each.driver != VFIO
    )


@observes("group-of-several-slots")
def group_of_several_slots(case: Case) -> Answer:
    for members in _groups_of_cards(case):
        strangers = _strangers(case, members)
        if strangers or len(_slots_behind(case, members)) > 1:
            return holds((each.line for each in strangers), members)
    for members in _groups_shown(case):
        functions = _virtual_functions(case, members)
        if functions or len(_slots_behind(case, members)) > 1:
            return holds((each.line for each in functions), members)
    return UNKNOWN


def _slots_behind(case: Case, members: tuple[str, ...]) -> set[str]:
    """Slots that are not on the root bus, without the bridges."""
    behind = {each.rpartition(".")[0] for each in members if not each.startswith("0000:00:")}
    return behind - {each.slot for each in map(case.listed_at, members) if each and each.is_bridge}


def _virtual_functions(case: Case, members: tuple[str, ...]) -> list[Listed]:
    """Those that share a group with something else: each could be for another machine."""
    listed = [each for each in map(case.listed_at, members) if each is not None]
    return [each for each in listed if "Virtual Function" in each.name] if len(listed) > 1 else []


@observes("groups-are-clean")
def groups_are_clean(case: Case) -> Answer:
    """A card with all its functions, alone but for the bridge above it."""
    groups = tuple(_groups_of_cards(case))
    shared = answer(case, "group-of-several-slots")
    several = [members for members in groups if sum(bool(case.listed_at(at)) for at in members) > 1]
    if not several or shared or not answer(case, "group-line"):
        return UNKNOWN
    return holds((each.line for at in several[0] if (each := case.listed_at(at))), several[0])


# The framebuffer of the firmware


def _framebuffer_ranges(case: Case) -> Iterator[tuple[Range, str]]:
    """Ranges that a framebuffer holds, each with the device in whose BAR it lies."""
    above: list[Range] = []
    for each in case.iomem:
        above = [outer for outer in above if outer.start <= each.start and each.end <= outer.end]
        device = next((found for outer in reversed(above) if (found := device_in(outer.name))), "")
        if _FRAMEBUFFERS.search(each.name) and device:
            yield each, device
        above.append(each)


def _framebuffers(case: Case) -> Iterator[tuple[Line, str]]:
    yield from ((each.line, device) for each, device in _framebuffer_ranges(case))
    for line in case.lines:
        if "assigned to" in line.text and _ASSIGNED.search(line.text):
            yield line, device_in(line.text)


@observes("framebuffer-in-bar")
def framebuffer_in_bar(case: Case) -> Answer:
    found = tuple(_framebuffers(case))
    return holds((line for line, _ in found), (at for _, at in found)) if found else UNKNOWN


@observes("framebuffer-in-passed-bar")
def framebuffer_in_passed_bar(case: Case) -> Answer:
    """On most hosts the firmware's framebuffer lies in some card; it matters in this one."""
    found = [(line, at) for line, at in _framebuffers(case) if _is_about(case, at)]
    return holds((line for line, _ in found), (at for _, at in found)) if found else UNKNOWN


def _is_about(case: Case, address: str) -> bool:
    if is_passed(case, address):
        return True
    slot = address.rpartition(".")[0]
    named = [line for line in case.lines if slot in " ".join(devices_in(line.text))]
    if any("vfio" in line.text for line in named):
        return True
    return case.total <= _SMALL_EXCERPT and any(_CARD_IDS.search(each.text) for each in named)


@observes("bar-held-by-other")
def bar_held_by_other(case: Case) -> Answer:
    """Inside a BAR, and neither a framebuffer nor vfio-pci."""
    outer: Range | None = None
    for each in case.iomem:
        if outer and outer.start <= each.start and each.end <= outer.end:
            other = not _FRAMEBUFFERS.search(each.name) and each.name != VFIO
            if other and not device_in(each.name) and not each.name.startswith("PCI"):
                return holds((each.line,), detail=each.name)
        elif device_in(each.name):
            outer = each
    return UNKNOWN


@observes("boot-display-is-passed")
def boot_display_is_passed(case: Case) -> Answer:
    lines = [line for line in case.lines_of("boot-vga") if is_passed(case, device_in(line.text))]
    return seen_if(lines[:2])


@observes("only-display-is-passed")
def only_display_is_passed(case: Case) -> Answer:
    found = displays(case)
    whole = len(case.listed) > _WHOLE_LISTING and any(each.is_bridge for each in case.listed)
    if not whole or len(found) != 1:
        return UNKNOWN
    return _answer(each for each in found if each.driver == VFIO or is_meant(case, each))


# Addresses


@observes("passed-address-absent")
def passed_address_absent(case: Case) -> Answer:
    places = passed_places(case)
    if not places or len(case.listed) <= _WHOLE_LISTING:
        return UNKNOWN
    absent = [at for at in places if not any(covers(at, each.address) for each in case.listed)]
    return holds(devices=absent, detail=" ".join(absent)) if absent else fails()


@observes("passed-address-is-no-display")
def passed_address_is_no_display(case: Case) -> Answer:
    """A machine was to get graphics (x-vga, a ROM), and at that address sits something else."""
    for line in case.hostpci:
        if not ({"x-vga", "romfile"} & set(line.options)):
            continue
        for each in case.listed:
            first = each.function == 0 and is_passed(case, each.address)
            if first and not each.is_display and not each.is_audio:
                return holds((line.line, each.line), (each.address,))
    return UNKNOWN


@observes("bar-of-passed-device")
def bar_of_passed_device(case: Case) -> Answer:
    lines = case.lines_of("host-bar-unassigned")
    return seen_if(line for line in lines if is_passed(case, device_in(line.text)))


# Values of sysfs and of the firmware


@observes("device-driver-override-other")
def driver_override_other(case: Case) -> Answer:
    return seen_if(line for line in case.lines if _OVERRIDE.search(line.text))


@observes("iommu-tables-absent")
def iommu_tables_absent(case: Case) -> Answer:
    return seen_if(line for line in case.lines if _NO_TABLE.search(line.text))


@observes("cpu-wider-than-iommu")
def cpu_wider_than_iommu(case: Case) -> Answer:
    cpu, iommu = _first(case, _CPU_BITS), _first(case, _IOMMU_BITS)
    if cpu is None or iommu is None:
        return UNKNOWN
    return holds((cpu[0], iommu[0])) if cpu[1] > iommu[1] else fails((cpu[0], iommu[0]))


def _first(case: Case, pattern: re.Pattern[str]) -> tuple[Line, int] | None:
    for line in case.lines:
        match = pattern.search(line.text)
        if match:
            return line, int(match["bits"])
    return None


@observes("reset-methods-empty")
def reset_methods_empty(case: Case) -> Answer:
    """The file was shown, and nothing came: the next line is another command, or empty."""
    for line, after in zip(case.lines, case.lines[1:], strict=False):
        shown = _RESET_METHOD.search(line.text) and not line.text.startswith("echo")
        if shown and re.match(r"\s*$|[#$] |root@|\S+@\S+[:#$]", after.text):
            return holds((line,))
    return UNKNOWN


@observes("reset-methods-have-flr")
def reset_methods_have_flr(case: Case) -> Answer:
    return seen_if(line for line in case.lines if _FLR.search(line.text))
