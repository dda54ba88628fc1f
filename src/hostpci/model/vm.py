"""A virtual machine of Proxmox VE and its node, as far as passing a device to it goes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .address import is_in_slot
from .facts import Facts
from .finding import Finding
from .guests import Guest, GuestDevice
from .pci import Unmeasured
from .plan import KeyChange, Plan

HOSTPCI = re.compile(r"hostpci([0-9]|1[0-5])")
MAX_HOSTPCI = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """``keys``: its hostpci lines that name the slot; a rollback brings them back."""

    name: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VmFacts:
    """``config``: what the next start uses, changes that wait for it included (``pending``).

    ``lost_lines``: lines of the file that PVE cannot read and leaves out when it writes the file
    (None: the file could not be looked at). ``ha``: what HA is asked to do with it, empty if HA
    does not manage it. ``digest``: PVE's, of the file as a whole.
    """

    vmid: int
    node: str
    config: dict[str, str]
    digest: str
    is_running: bool = False
    is_template: bool = False
    lock: str = ""
    pending: tuple[str, ...] = ()
    lost_lines: tuple[str, ...] | None = None
    snapshots: tuple[Snapshot, ...] = ()
    ha: str = ""

    @property
    def name(self) -> str:
        return f"VM {self.vmid}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDevice:
    """One function as PVE lists it (``/nodes/NODE/hardware/pci``): ids are four hex digits.

    ``subsystem`` ``vvvv:dddd``, empty where the hardware has none; ``group`` -1: none.
    """

    address: str
    class_code: int
    ids: str
    subsystem: str
    group: int

    @property
    def is_board_part(self) -> bool:
        """Base class 06: bridges, which PVE leaves where they are or which belong to the board."""
        return self.class_code >> 16 == 0x06  # noqa: PLR2004  (PCI base class)

    @property
    def is_display(self) -> bool:
        return self.class_code >> 16 == 0x03  # noqa: PLR2004  (PCI base class)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """One resource mapping (PVE/Mapping/PCI.pm). ``entries``: its ``map`` lines, as they are."""

    name: str
    entries: tuple[str, ...]
    is_mdev: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HugePages:
    size_mib: int
    total: int
    free: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HookPlace:
    """``volume``: by which PVE finds our hook script on this node; empty: by none.

    ``without``: other nodes of the cluster that lack it; ``unasked``: those that did not say.
    """

    volume: str = ""
    without: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """The node that runs the machine. ``None``: could not be read (then it is in ``unmeasured``).

    ``phys_bits``: width of the processor's physical addresses; ``iommu_bits``: of what an Intel
    IOMMU translates. ``numa_nodes``: node -> whether it is that of the slot. ``romfiles``: names
    below /usr/share/kvm. ``lost_mappings``: sections of the file of mappings that PVE throws away
    when it reads it, and ``lost_mapping_lines``: lines of others. ``others``: every other guest of
    the node. ``hook``: asked for only where the slot is lent to the machine.
    """

    name: str
    version: tuple[int, int]
    is_local_root: bool
    devices: tuple[NodeDevice, ...] = ()
    mappings: tuple[Mapping, ...] = ()
    mapping_digest: str = ""
    lost_mappings: tuple[str, ...] | None = None
    lost_mapping_lines: tuple[str, ...] = ()
    others: tuple[Guest, ...] = ()
    memory_total_bytes: int | None = None
    memory_available_bytes: int | None = None
    phys_bits: int | None = None
    iommu_bits: int | None = None
    hugepages: tuple[HugePages, ...] | None = None
    numa_node: int | None = None
    numa_nodes: int | None = None
    romfiles: tuple[str, ...] | None = None
    hook: HookPlace | None = None
    unmeasured: tuple[Unmeasured, ...] = ()

    def of_slot(self, slot: str) -> tuple[NodeDevice, ...]:
        return tuple(each for each in self.devices if each.address.rpartition(".")[0] == slot)

    def mapping(self, name: str) -> Mapping | None:
        return next((each for each in self.mappings if each.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for. ``mapping``: its name, empty for the raw address. ``fixes``: by name."""

    slot: str
    mapping: str = ""
    is_primary: bool = False
    fixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VmCase:
    """All that the checks of one attachment rest on.

    ``lines``: the machine's hostpci lines, by number. ``host`` None: the machine that we run on is
    not the node, so nobody looked at its devices.
    """

    vm: VmFacts
    node: NodeFacts
    wanted: Wanted
    lines: tuple[HostPci, ...] = ()
    host: Facts | None = None

    @property
    def slot(self) -> str:
        return self.wanted.slot

    @property
    def own_lines(self) -> tuple[HostPci, ...]:
        """The lines of the machine that mean the slot or a part of it."""
        return tuple(each for each in self.lines if each.is_of(self.slot))

    @property
    def is_display(self) -> bool:
        return any(each.is_display for each in self.node.of_slot(self.slot))


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPci:
    """One hostpci line of a machine.

    ``places``: functions or whole slots that it means on this node; empty if its mapping has
    nothing here. ``options``: everything but ``host`` and ``mapping``, in its order; switches are
    1 and 0.
    """

    key: str
    places: tuple[str, ...]
    mapping: str = ""
    options: dict[str, str] = field(default_factory=dict)

    def is_of(self, slot: str) -> bool:
        return any(is_in_slot(place, slot) for place in self.places)

    def as_device(self) -> GuestDevice:
        """As the configurations of the other guests are known."""
        is_mdev = "mdev" in self.options
        return GuestDevice(key=self.key, places=self.places, mapping=self.mapping, is_mdev=is_mdev)

    def is_whole(self, slot: str) -> bool:
        return self.places == (slot,)

    def is_on(self, option: str) -> bool:
        return self.options.get(option) == "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A change that mends a finding. ``is_needed``: without it the machine cannot start.

    ``is_chosen``: it is part of the plan. ``mends``: codes of findings.
    """

    fix: str
    changes: tuple[KeyChange, ...]
    mends: tuple[str, ...]
    is_needed: bool = False
    is_chosen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What attach would do: the check list of the machine, what mends it, and the plan."""

    slot: str
    vmid: int
    findings: tuple[Finding, ...]
    proposals: tuple[Proposal, ...]
    plan: Plan
