"""What lines of a log say together: their order, their number, and what kind of log it is."""

from __future__ import annotations

import re
from collections.abc import Callable

from .case import UNKNOWN, Answer, Case, fails, holds, seen_if
from .devices import is_apu, is_blackwell, is_of_amd_reset_family
from .lines import ADDRESS, Line, device_in, devices_in, full_address, kernel_seconds
from .observations import answer, observes
from .scan import Hit

_DMAR = "iommu-dmar-fault"
_BOOT_SECONDS = 12.0
_BOOT_FAULTS = 12
_IGPU = "0000:00:02.0"
_BAR_SIZE = re.compile(r"\[mem size 0x(?P<size>[0-9a-f]+)")
_LARGE_BAR = 1 << 26
_DMA_MAP = re.compile(r"dma_map ?\([^,]*, 0x(?P<address>[0-9a-f]+), 0x(?P<size>[0-9a-f]+)")
_HIGH = 1 << 36
# No IOMMU for virtual machines is narrower: client VT-d has 39 bits, AMD-Vi 48
_NARROWEST = 1 << 38
_ID = re.compile(r"\b(?P<vendor>1002|10de|8086):(?P<device>[0-9a-f]{4})\b")
# drivers/pci/probe.c pci_setup_device: a bridge would be of type 01, and a failed reset that names
# one is about what hangs below it
_DRIVER_STARTED = re.compile(
    r"\[drm\] Initialized [a-z0-9]+ .*for (?P<device>[0-9a-f:.]+) on minor"
)
_ENUMERATED = re.compile(
    rf"pci (?P<address>{ADDRESS}): \[(?P<ids>[0-9a-f]{{4}}:[0-9a-f]{{4}})\] type 00"
)
_FAILED_RESETS = (
    "reset-flr-not-ready",
    "reset-bus-not-ready",
    "power-stuck-d3",
    "device-config-space-ff",
)
_WINDOWS = 100


@observes("is-excerpt")
def is_excerpt(case: Case) -> Answer:
    return holds() if case.is_excerpt else fails()


@observes("is-handpicked")
def is_handpicked(case: Case) -> Answer:
    return holds() if case.is_handpicked else fails()


@observes("handpicked-with-context")
def handpicked_with_context(case: Case) -> Answer:
    return answer(case, "passthrough-context") if case.is_handpicked else UNKNOWN


@observes("passthrough-context")
def passthrough_context(case: Case) -> Answer:
    """The log is about handing a device over; a crash in any other has nothing to do with us."""
    # In a whole journal some machine is started every day, with or without a device
    # and nobody picks out a list of groups for another reason
    more = ("vm-start-seen", "group-listing") if case.is_handpicked else ()
    lines = case.lines_of("vfio-named", *more)
    return seen_if((*lines[:1], *(each.line for each in case.hostpci[:1])))


@observes("passthrough-or-excerpt")
def passthrough_or_excerpt(case: Case) -> Answer:
    return holds() if case.is_handpicked or answer(case, "passthrough-context") else UNKNOWN


@observes("log-of-guest")
def log_of_guest(case: Case) -> Answer:
    """A host can be a virtual machine too: what a Proxmox VE host says wins."""
    if answer(case, "log-of-pve-host") or case.lines_of("vfio-named"):
        return fails()
    lines = case.lines_of("qemu-machine", "guest-word")
    if lines:
        return seen_if(lines)
    # A driver that says where its device is: a guest's slots follow the root bus directly
    shallow = [
        line
        for line in case.lines_of("guest-nvidia-rminit", "guest-amdgpu-no-vbios")
        if re.search(r"0000:0[0-9]:[01][0-9a-f]\.[0-7]", line.text)
    ]
    # On a host what is on the root bus and has a large BAR is integrated graphics, at 02.0
    shallow += [
        line
        for line in case.lines_of("guest-bar-no-space")
        if re.search(r"0000:00:(0[3-9a-f]|1[0-9a-f])\.[0-7]", line.text)
        # a port has no BAR of its own beyond the first two: what it lacks is a window
        and not re.search(r"pcieport |BAR 1[3-6]: ", line.text)
    ]
    return seen_if(shallow)


@observes("dmar-faults-of-boot")
def dmar_faults_of_boot(case: Case) -> Answer:
    """Integrated graphics alone, in the first seconds, a few lines."""
    hits = [hit for hits in case.hits(_DMAR) for hit in hits.kept]
    if not hits or sum(each.count for each in case.hits(_DMAR)) > _BOOT_FAULTS:
        return UNKNOWN
    named = {device for hit in hits for device in devices_in(hit.line.text)}
    times = [kernel_seconds(hit.line.text) for hit in hits]
    early = all(time is not None and time < _BOOT_SECONDS for time in times)
    return holds((hits[0].line,), named) if early and named == {_IGPU} else UNKNOWN


@observes("fault-device-is-passed")
def fault_device_is_passed(case: Case) -> Answer:
    faulty = {
        device
        for hit in case.marked(_DMAR, "iommu-amdvi-page-fault", "iommu-inv-timeout")
        for device in devices_in(hit.line.text)
    }
    passed = [line for line in case.lines_of("vfio-named") if faulty & set(devices_in(line.text))]
    return seen_if(passed[:1])


@observes("fault-near-vm")
def fault_near_vm(case: Case) -> Answer:
    return seen_if(case.lines_of("vm-start-seen")[:1])


@observes("missing-device-is-meant")
def missing_device_is_meant(case: Case) -> Answer:
    """Devices come and go on any server; in a whole journal one counts that VFIO has had."""
    if case.is_excerpt:
        return holds()
    missing = {
        device for hit in case.marked("pci-device-missing") for device in devices_in(hit.line.text)
    }
    had = [line for line in case.lines_of("vfio-named") if missing & set(devices_in(line.text))]
    return seen_if(had[:1])


@observes("only-p2p-is-lost")
def only_p2p_is_lost(case: Case) -> Answer:
    """A warning about a BAR; where the start failed it was none."""
    if case.lines_of("dma-map-fatal"):
        return fails()
    return seen_if(case.lines_of("p2p-warning")[:2])


@observes("mapped-address-is-high")
def mapped_address_is_high(case: Case) -> Answer:
    for line in case.lines_of("iommu-address-width"):
        match = _DMA_MAP.search(line.text)
        if match and int(match["address"], 16) >= _HIGH:
            return holds((line,), detail=f"0x{match['address']}")
    return UNKNOWN


@observes("mapped-address-is-low")
def mapped_address_is_low(case: Case) -> Answer:
    """Every address that was refused is one that any IOMMU has."""
    refused = [
        (int(match["address"], 16) + int(match["size"], 16), line)
        for line in case.lines_of("iommu-address-width")
        if (match := _DMA_MAP.search(line.text))
    ]
    return seen_if(line for _, line in refused if all(end <= _NARROWEST for end, _ in refused))


@observes("large-bar-without-space")
def large_bar_without_space(case: Case) -> Answer:
    """Bridge windows and small BARs without a place are common and harmless."""
    codes = ("above-4g-decoding-off", "guest-bar-no-space", "host-bar-no-space")
    for line in case.lines_of(*codes):
        match = _BAR_SIZE.search(line.text)
        if match and int(match["size"], 16) >= _LARGE_BAR:
            return holds((line,), (device_in(line.text),))
    return UNKNOWN


@observes("no-window-above-4g")
def no_window_above_4g(case: Case) -> Answer:
    if not case.lines_of("root-bus-window"):
        return UNKNOWN
    return (
        fails() if case.lines_of("window-above-4g") else holds(case.lines_of("root-bus-window")[:1])
    )


@observes("interrupts-not-remapped")
def interrupts_not_remapped(case: Case) -> Answer:
    if case.lines_of("interrupts-remapped"):
        return fails(case.lines_of("interrupts-remapped")[:1])
    return seen_if(case.lines_of("interrupts-not-remapped")[:1])


@observes("reserved-direct")
def reserved_direct(case: Case) -> Answer:
    return seen_if(case.lines_of("reserved-direct-line")[:2])


@observes("reset-failed-before")
def reset_failed_before(case: Case) -> Answer:
    resets = case.marked("reset-flr-not-ready", "reset-bus-not-ready", "reset-amd-vendor")
    power = case.marked("power-stuck-d3")
    if not power:
        return UNKNOWN
    earlier = [hit.line for hit in resets if hit.order < power[0].order]
    return holds(earlier[:1]) if earlier else fails()


@observes("device-does-not-answer")
def device_does_not_answer(case: Case) -> Answer:
    return seen_if(case.lines_of("device-config-space-ff", "power-stuck-d3")[:1])


@observes("device-power-state-d3")
def device_power_state_d3(case: Case) -> Answer:
    return seen_if(case.lines_of("device-asleep")[:1])


def _with_id(case: Case, is_wanted: Callable[[str, int], bool]) -> tuple[Line, ...]:
    return tuple(
        line
        for line in case.lines
        for match in _ID.finditer(line.text)
        if is_wanted(match["vendor"], int(match["device"], 16))
    )


@observes("device-of-amd-reset-family")
def device_of_amd_reset_family(case: Case) -> Answer:
    by_id = _with_id(case, _is_of_amd_reset_family)
    named = [line for line in case.lines_of("vendor-reset-loaded") if "AMD_" in line.text]
    return seen_if((*by_id[:1], *named[:1]))


@observes("device-is-amd-apu")
def device_is_amd_apu(case: Case) -> Answer:
    return seen_if(_with_id(case, lambda vendor, device: vendor == "1002" and is_apu(device))[:1])


@observes("device-is-blackwell")
def device_is_blackwell(case: Case) -> Answer:
    by_id = _with_id(case, _is_blackwell)
    return seen_if((*by_id[:1], *case.lines_of("blackwell-named")[:1]))


def _failed_resets(case: Case, is_wanted: Callable[[str, int], bool]) -> tuple[Hit, ...]:
    """Failures of such a device; where nobody said what the failed one is, all of them."""
    ids = _ids_by_address(case)
    hits = case.marked(*_FAILED_RESETS)
    known = {hit.order: ids.get(device_in(hit.line.text), "") for hit in hits}
    if not any(known.values()):
        return hits

    def is_of_family(hit: Hit) -> bool:
        vendor, _, device = known[hit.order].partition(":")
        return bool(vendor) and is_wanted(vendor, int(device, 16))

    return tuple(filter(is_of_family, hits))


def _ids_by_address(case: Case) -> dict[str, str]:
    found = {each.address: each.ids for each in case.listed if each.ids and not each.is_bridge}
    for line in case.lines:
        match = _ENUMERATED.search(line.text) if "] type 00" in line.text else None
        if match:
            found.setdefault(full_address(match["address"]), match["ids"])
    return found


def _is_blackwell(vendor: str, device: int) -> bool:
    return vendor == "10de" and is_blackwell(device)


def _is_of_amd_reset_family(vendor: str, device: int) -> bool:
    return vendor == "1002" and is_of_amd_reset_family(device)


@observes("amd-family-and-failed-reset")
def amd_family_and_failed_reset(case: Case) -> Answer:
    failed = _failed_resets(case, _is_of_amd_reset_family) or case.marked(
        "lockup-seen", "reset-restore-bars"
    )
    if not failed or not answer(case, "device-of-amd-reset-family"):
        return UNKNOWN
    return holds(hit.line for hit in failed[:2])


def _lockups_of_a_start(case: Case) -> tuple[Hit, ...]:
    """Any host can stall; in a whole journal it is about a card only if a machine was started."""
    is_about_a_card = case.is_excerpt or answer(case, "vm-start-seen")
    return case.marked("lockup-seen") if is_about_a_card else ()


@observes("blackwell-and-failed-reset")
def blackwell_and_failed_reset(case: Case) -> Answer:
    failed = _failed_resets(case, _is_blackwell) or _lockups_of_a_start(case)
    if not failed or not answer(case, "device-is-blackwell"):
        return UNKNOWN
    return holds(hit.line for hit in failed[:2])


@observes("nouveau-bound")
def nouveau_bound(case: Case) -> Answer:
    return seen_if(case.lines_of("nouveau-driver-line")[:1])


@observes("blackwell-nouveau-and-failed-reset")
def blackwell_nouveau_and_failed_reset(case: Case) -> Answer:
    found = answer(case, "blackwell-and-failed-reset")
    return found if found and answer(case, "nouveau-bound") else UNKNOWN


@observes("host-lost-device-at-start")
def host_lost_device_at_start(case: Case) -> Answer:
    """Soon after a machine was started the host lost a disk or an interface.

    A driver that says it was taken away is proof; a link that went down, or a disk with errors,
    is on any server, and means it only where somebody picked these lines.
    """
    starts = [hit.order for hit in case.marked("vm-start-seen")]
    signs = ("driver-gone", "disk-gone", "nic-gone") if case.is_handpicked else ("driver-gone",)
    gone = [
        hit for hit in case.marked(*signs)
        if any(0 < hit.order - start < _WINDOWS for start in starts)
        and not re.search(r"tap[0-9]|fwbr|fwpr|fwln|veth|virbr", hit.line.text)
    ]  # fmt: skip
    return seen_if(hit.line for hit in gone[:4])


@observes("huge-bar-and-trouble")
def huge_bar_and_trouble(case: Case) -> Answer:
    trouble = case.lines_of(
        "guest-bar-no-space", "iommu-address-width", "guest-code43-amd-apu", "lockup-seen"
    )
    huge = case.lines_of("huge-bar")
    return holds((*huge[:1], *trouble[:1])) if huge and trouble else UNKNOWN


@observes("old-branch-with-blackwell")
def old_branch_with_blackwell(case: Case) -> Answer:
    old = case.lines_of("old-nvidia-branch")
    return holds(old[:1]) if old and answer(case, "device-is-blackwell") else UNKNOWN


@observes("audio-trouble-with-lines")
def audio_trouble_with_lines(case: Case) -> Answer:
    lines = [
        line for line in case.lines if "MSI: Enable-" in line.text or "line-based" in line.text
    ]
    return holds(lines[:1]) if lines and case.lines_of("audio-trouble") else UNKNOWN


@observes("boot-display")
def boot_display(case: Case) -> Answer:
    return seen_if(case.lines_of("boot-vga")[:2])


@observes("rom-of-igpu")
def rom_of_igpu(case: Case) -> Answer:
    lines = case.lines_of("rom-invalid-signature")
    ours = [line for line in lines if device_in(line.text).startswith("0000:00:02.")]
    return holds(ours[:1]) if lines and len(ours) == len(lines) else UNKNOWN


@observes("driver-did-without-rom")
def driver_did_without_rom(case: Case) -> Answer:
    """The driver complained about the ROM, and started the card: it had the table elsewhere."""
    lines = case.lines_of("rom-invalid-signature")
    if not lines or any("vfio" in line.text for line in lines):
        return UNKNOWN
    started = {
        full_address(found["device"])
        for line in case.lines
        if (found := _DRIVER_STARTED.search(line.text)) is not None
    }
    ours = [line for line in lines if device_in(line.text) in started]
    return holds(ours[:1]) if len(ours) == len(lines) else UNKNOWN
