"""The virtual board and processor that the card will find itself in."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..model.finding import Finding, Level
from ..model.vm import VmCase
from ..pve.settings import cpu_properties, is_ovmf, is_q35, is_true, machine_type, read
from .say import fails, holds, unknown

_I440FX = re.compile(r"pc(-i440fx-[0-9.]+(\+pve[0-9]+)?)?")
# Models without AVX: QEMU's definitions, and PVE's own x86-64-v2 types (CPUConfig.pm)
_NO_AVX = re.compile(
    r"(kvm|qemu)(32|64)|x86-64-v2(-AES)?|486|pentium[23]?|core(2)?duo|athlon|phenom|Conroe|Penryn"
    r"|(Nehalem|Westmere)(-IBRS)?|Opteron_G[123]"
)
# Models whose guest sees the width of the host's addresses (target/i386: max, host)
_HOST_BITS = {"host", "max"}
_QEMU_BITS = 40
# Widths of 40 bits and less that OVMF takes for true
_EDK2_KNOWN = {("GenuineIntel", 36), ("GenuineIntel", 39), ("AuthenticAMD", 40)}
_VENDORS = (
    (re.compile(r"EPYC|Opteron|phenom|athlon"), "AuthenticAMD"),
    (re.compile(r"[A-Z][a-z]+(-|$|[A-Z])|core|pentium|486"), "GenuineIntel"),
)
_NO_1G_PAGES = re.compile(r"(kvm|qemu)(32|64)|x86-64-v[234](-AES)?")
_EDK2_MOST_BITS = 46
_EDK2_CLASSIC_BYTES = 32 << 30
_GUEST_PHYS_BITS_SINCE = (9, 1)


def check_machine(case: VmCase) -> Iterator[Finding]:
    """``pcie=1`` needs q35 (PCI.pm "q35 machine model is not enabled")."""
    vm, kind = case.vm, machine_type(case.vm.config)
    version = re.search(r"[0-9]+\.[0-9]+", kind)
    if is_q35(vm.config):
        yield holds("vm-q35", vm.name, f"machine: {kind}")
    elif _I440FX.fullmatch(kind):
        yield fails("vm-q35", Level.WARN, vm.name, f"machine: {kind}")
    else:
        yield fails("vm-machine-unknown", Level.FAIL, vm.name, blocks=True, machine=kind)
    if version:
        yield fails(
            "vm-machine-pinned", Level.INFO, vm.name, f"machine: {kind}", version=version[0]
        )
    viommu = read("machine", vm.config.get("machine", "")).get("viommu")
    if viommu:
        yield fails("vm-viommu", Level.WARN, vm.name, f"viommu={viommu}")


def check_pcie(case: VmCase) -> Iterator[Finding]:
    for each in case.own_lines:
        if is_q35(case.vm.config) and not each.is_on("pcie"):
            yield fails("vm-pcie", Level.NOTICE, case.vm.name, each.key, key=each.key)


def check_firmware(case: VmCase) -> Iterator[Finding]:
    """A guest that is installed boots with the firmware it was installed under, and no other."""
    config, name = case.vm.config, case.vm.name
    if not is_ovmf(config):
        yield fails("vm-ovmf", Level.WARN, name, f"bios: {config.get('bios', 'seabios')}")
        return
    yield holds("vm-ovmf", name)
    disk = config.get("efidisk0")
    if disk is None:
        yield fails("vm-efidisk", Level.WARN, name)
        return
    yield holds("vm-efidisk", name, disk)
    if is_true(read("efidisk0", disk).get("pre-enrolled-keys", "")):
        yield fails("vm-secure-boot", Level.NOTICE, name, "pre-enrolled-keys=1")


def check_cpu(case: VmCase) -> Iterator[Finding]:
    name, values = case.vm.name, cpu_properties(case.vm.config)
    kind = values["cputype"]
    if kind in _HOST_BITS:
        yield holds("vm-cpu", name, f"cpu: {kind}")
    elif kind.startswith("custom-"):
        yield unknown("vm-cpu", name, f"cpu: {kind}")
    elif _NO_AVX.fullmatch(kind):
        yield fails("vm-cpu", Level.WARN, name, f"cpu: {kind}", cpu=kind)
    else:
        yield fails("vm-cpu-model", Level.INFO, name, f"cpu: {kind}", cpu=kind)
    if not is_true(case.vm.config.get("kvm", "1")):
        yield fails("vm-kvm", Level.FAIL, name, "kvm: 0", blocks=True)
    if "args" in case.vm.config:
        yield fails("vm-args", Level.NOTICE, name, f"args: {case.vm.config['args']}")


def guest_bits(case: VmCase) -> int | None:
    """Width of the addresses that the guest sees; None: a custom model, or the host's is unknown.

    Named models say 40 unless told otherwise (target/i386/cpu.c, TCG_PHYS_ADDR_BITS).
    """
    values = cpu_properties(case.vm.config)
    for key in ("guest-phys-bits", "phys-bits"):
        if values.get(key, "").isdecimal():
            return int(values[key])
    if values["cputype"].startswith("custom-"):
        return None
    is_hosts = values["cputype"] in _HOST_BITS or values.get("phys-bits") == "host"
    return case.node.phys_bits if is_hosts else _QEMU_BITS


def window_bytes(bits: int, vendor: str, *, is_told: bool, has_1g_pages: bool) -> int:
    """What OVMF keeps for 64-bit BARs (edk2 OvmfPkg/Library/PlatformInitLib/MemDetect.c).

    QEMU says 40 bits by default, whatever the processor has, so OVMF believes 40 and less only
    where such processors are made. What it does not believe leaves it with 32 GiB; else it takes
    an eighth of the address space, of which it uses 46 bits at most, and 40 without pages of 1 GiB.
    ``is_told``: ``guest-phys-bits`` is set, which it always believes.
    """
    if not (is_told or bits > _QEMU_BITS or (vendor, bits) in _EDK2_KNOWN):
        return _EDK2_CLASSIC_BYTES
    most = _EDK2_MOST_BITS if has_1g_pages else _QEMU_BITS
    return max(_EDK2_CLASSIC_BYTES, 1 << (min(bits, most) - 3))


def _window(case: VmCase, bits: int) -> int:
    values = cpu_properties(case.vm.config)
    kind, flags = values["cputype"], values.get("flags", "")
    host = case.host.cpu.vendor if case.host else ""
    vendor = next((who for names, who in _VENDORS if names.match(kind)), host)
    return window_bytes(
        bits, vendor, is_told="guest-phys-bits" in values,
        has_1g_pages="+pdpe1gb" in flags or not _NO_1G_PAGES.fullmatch(kind),
    )  # fmt: skip


def needed_bytes(case: VmCase) -> int | None:
    """Room for the 64-bit BARs of the slot, each on a multiple of its size; None: not known."""
    if case.host is None:
        return None
    functions = case.host.inventory.of_slot(case.slot)
    sizes = [bar.size_bytes for each in functions for bar in each.bars if bar.is_64bit]
    if not sizes:
        return 0
    # A bridge window holds the largest ones first; aligned, the rest fits behind them
    return sum(sizes) if len(sizes) == 1 else _aligned(sorted(sizes, reverse=True))


def _aligned(sizes: list[int]) -> int:
    end = 0
    for size in sizes:
        end = (end + size - 1) // size * size + size
    return end


def check_window(case: VmCase) -> Iterator[Finding]:
    """Without room for a BAR the guest sees the card and no driver of it works."""
    need, bits = needed_bytes(case), guest_bits(case)
    if need is None or (bits is None and need):
        yield unknown("vm-window", case.vm.name)
        return
    if not need or bits is None or not is_ovmf(case.vm.config):
        return
    window = _window(case, bits)
    room, wish, width = _mib(window), _mib(need), str(bits)
    if need <= window:
        yield holds("vm-window", case.vm.name, need=wish, window=room, bits=width)
    else:
        yield fails("vm-window", Level.WARN, case.vm.name, need=wish, window=room, bits=width)


def _mib(size: int) -> str:
    return f"{size >> 20} MiB" if size < 1 << 30 else f"{size >> 30} GiB"


def check_iommu_width(case: VmCase) -> Iterator[Finding]:
    """OVMF puts large BARs at the top of what the processor can address; QEMU maps them for DMA.

    An IOMMU that translates fewer bits refuses that (vfio_container_dma_map = -22).
    """
    bits, iommu = guest_bits(case), case.node.iommu_bits
    if bits is None or iommu is None:
        return
    if bits <= iommu:
        yield holds("vm-iommu-width", case.vm.name, bits=str(bits), iommu=str(iommu))
    else:
        yield fails("vm-iommu-width", Level.WARN, case.vm.name, bits=str(bits), iommu=str(iommu))


def can_set_guest_bits(case: VmCase) -> bool:
    """``guest-phys-bits`` came with qemu-server 9.0.18, i.e. with Proxmox VE 9.1."""
    return case.node.version >= _GUEST_PHYS_BITS_SINCE
