"""What is plugged in: PCI functions, their IOMMU groups, and what the host does with them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from .address import slot_of

VFIO = "vfio-pci"
# Host drivers that give a function back without a reboot. nouveau, nvidia, amdgpu, i915 and xe
# are not among them: unbinding them is known to hang or to leave a card that cannot be reset.
LETS_GO = {None, "snd_hda_intel", "xhci_hcd", "pci-stub"}
_ID = re.compile(r"[0-9a-f]{4}")
_BRIDGE_BASE_CLASS = 0x06
_HOST_BRIDGE_CLASS = 0x0600
_DISPLAY_BASE_CLASS = 0x03
_SMBUS_CLASS = 0x0C05


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a function is: four hex ids without ``0x``, as ``lspci -n`` prints them."""

    vendor: str
    device: str
    subsystem_vendor: str
    subsystem_device: str

    @property
    def is_complete(self) -> bool:
        ids = (self.vendor, self.device, self.subsystem_vendor, self.subsystem_device)
        return all(_ID.fullmatch(each) for each in ids)

    def __str__(self) -> str:
        return f"{self.vendor}:{self.device} ({self.subsystem_vendor}:{self.subsystem_device})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One base address register as sysfs ``resource`` lists it (drivers/pci/pci-sysfs.c)."""

    index: int
    start: int
    size_bytes: int
    is_io: bool
    is_64bit: bool
    is_prefetchable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """PCI Express link, in the words of sysfs: ``16.0 GT/s PCIe`` and a lane count."""

    speed: str
    width: int
    max_speed: str
    max_width: int


class UseKind(StrEnum):
    DISK = "disk"
    NETWORK = "network"
    CONSOLE = "console"
    DISPLAY = "display"
    SOUND = "sound"
    INPUT = "input"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One thing the host has behind a function.

    ``critical``: the host loses its root, a mounted disk or its network if the function goes.
    ``holders``: processes that hold its device nodes open, as ``comm[pid]``.
    """

    kind: UseKind
    name: str
    detail: str = ""
    critical: bool = False
    holders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PciFunction:
    """One PCI function. ``None`` means: not there, or not readable (then it is in ``unmeasured``).

    ``modules``: modules of the running kernel whose alias matches, i.e. who could drive it.
    ``driver_module``: module of the bound driver, None when that driver is built into the kernel.
    ``parent``: the bridge above it.
    """

    address: str
    identity: Identity
    class_code: int
    revision: int
    class_name: str
    vendor_name: str
    device_name: str
    driver: str | None
    driver_module: str | None
    driver_override: str | None
    modules: tuple[str, ...]
    iommu_group: int | None
    reset_methods: tuple[str, ...]
    power_state: str | None
    link: Link | None
    bars: tuple[Bar, ...]
    boot_vga: bool | None
    is_bridge: bool
    parent: str | None
    sriov_vfs_enabled: int
    physical_function: str | None
    uses: tuple[Use, ...]

    @property
    def slot(self) -> str:
        return slot_of(self.address)

    @property
    def is_of_the_board(self) -> bool:
        """Host, ISA and PCI bridges: base class 06, whether or not a bus hangs below them."""
        return self.class_code >> 16 == _BRIDGE_BASE_CLASS

    @property
    def is_board_part(self) -> bool:
        """Also SMBus: the board's sensors and memory modules are on it."""
        return self.is_of_the_board or self.class_code >> 8 == _SMBUS_CLASS

    @property
    def is_host_bridge(self) -> bool:
        return self.class_code >> 8 == _HOST_BRIDGE_CLASS

    @property
    def is_display(self) -> bool:
        return self.class_code >> 16 == _DISPLAY_BASE_CLASS

    @property
    def rivals(self) -> tuple[str, ...]:
        """Modules that would take the function, VFIO's own variant drivers left out."""
        return tuple(name for name in self.modules if "vfio" not in name)

    @property
    def is_critical(self) -> bool:
        return any(use.critical for use in self.uses)


@dataclass(frozen=True, slots=True, kw_only=True)
class IommuGroup:
    """What the IOMMU cannot tell apart, and so what moves together.

    ``holders``: processes that hold its VFIO node open, i.e. running virtual machines.
    ``default_domain``: sysfs ``type``; ``reserved_direct``: ``start-end`` of ranges that the
    firmware wants mapped one to one (not the relaxable ones), which forbid assignment
    (Documentation/ABI/testing/sysfs-kernel-iommu_groups).
    """

    number: int
    members: tuple[str, ...]
    default_domain: str | None
    reserved_direct: tuple[str, ...]
    holders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmeasured:
    """Something that could not be read, and why: never the same as "is not so"."""

    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """All functions, sorted by address, and all groups, sorted by number."""

    functions: tuple[PciFunction, ...]
    groups: tuple[IommuGroup, ...]
    unmeasured: tuple[Unmeasured, ...] = ()

    def function(self, address: str) -> PciFunction | None:
        return next((each for each in self.functions if each.address == address), None)

    def of_slot(self, slot: str) -> tuple[PciFunction, ...]:
        return tuple(each for each in self.functions if each.slot == slot)

    def group(self, number: int | None) -> IommuGroup | None:
        return next((each for each in self.groups if each.number == number), None)

    def strangers_of(self, slot: str) -> tuple[PciFunction, ...]:
        """Functions outside the slot that share a group with it and would leave the host.

        PCI bridges stay: PVE skips them (PVE::SysFSTools pci_dev_group_bind_to_vfio) and pcieport
        does not own DMA, so the kernel calls such a group viable. The dummy host bridges that AMD
        processors put beside each root port have no driver and nothing to lose.
        """
        numbers = {each.iommu_group for each in self.of_slot(slot)} - {None}
        return tuple(
            each
            for each in self.functions
            if each.iommu_group in numbers
            and each.slot != slot
            and not each.is_bridge
            and not each.is_host_bridge
        )
