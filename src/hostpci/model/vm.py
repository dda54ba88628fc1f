"""A virtual machine of Proxmox VE and its node, as far as passing a device to it goes."""

from __future__ import annotations

import re
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, field

from .facts import Facts
from .finding import Finding
from .guests import Guest
from .pci import Unmeasured
from .plan import KeyChange, Plan

HOSTPCI = re.compile(r"hostpci([0-9]|1[0-5])")
MAX_HOSTPCI = 16
_PLACE = re.compile(r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}:[0-9a-f]{2})(?:\.([0-9a-f]))?")
_DEFAULT_MEMORY_MIB = 512
_TRUE = {"1", "on", "yes", "true"}


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

    ``host`` None: the machine that we run on is not the node, so nobody looked at its devices.
    """

    vm: VmFacts
    node: NodeFacts
    wanted: Wanted
    host: Facts | None = None

    @property
    def slot(self) -> str:
        return self.wanted.slot

    @property
    def lines(self) -> tuple[HostPci, ...]:
        return hostpci_lines(self.vm.config, self.node)

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
    nothing here. ``options``: everything but ``host`` and ``mapping``, in its order.
    """

    key: str
    places: tuple[str, ...]
    mapping: str = ""
    options: dict[str, str] = field(default_factory=dict)

    def is_of(self, slot: str) -> bool:
        return any(place == slot or place.rpartition(".")[0] == slot for place in self.places)

    def is_whole(self, slot: str) -> bool:
        return self.places == (slot,)

    def is_on(self, option: str) -> bool:
        return is_true(self.options.get(option, ""))


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


def properties(text: str, default_key: str) -> dict[str, str]:
    """PVE's property strings: ``01:00,pcie=1`` is ``host=01:00,pcie=1``. Keeps the order."""
    found = {}
    for part in text.split(","):
        key, equals, value = part.strip().partition("=")
        found[key if equals else default_key] = value.strip() if equals else key
    return found


def property_text(values: AnyMapping[str, str], default_key: str) -> str:
    """The reverse; the default key is written bare and first, as PVE's own tools do."""
    first = [values[default_key]] if default_key in values else []
    return ",".join([*first, *(f"{k}={v}" for k, v in values.items() if k != default_key)])


def is_true(text: str) -> bool:
    return text.lower() in _TRUE


def places_of(text: str) -> tuple[str, ...]:
    """``01:00;0000:02:00.1`` -> ``0000:01:00``, ``0000:02:00.1``."""
    matches = (_PLACE.fullmatch(each.strip().lower()) for each in text.split(";"))
    return tuple(
        f"{match[1] or '0000'}:{match[2]}{f'.{match[3]}' if match[3] else ''}"
        for match in matches
        if match
    )


def entry_properties(entry: str) -> dict[str, str]:
    """One ``map`` line of a mapping; it has no default key."""
    return properties(entry, "")


def hostpci_lines(config: AnyMapping[str, str], node: NodeFacts) -> tuple[HostPci, ...]:
    """The hostpci lines of a configuration, by number, with their mappings resolved here."""
    keys = sorted((key for key in config if HOSTPCI.fullmatch(key)), key=lambda key: int(key[7:]))
    return tuple(_hostpci(key, config[key], node) for key in keys)


def _hostpci(key: str, text: str, node: NodeFacts) -> HostPci:
    values = properties(text, "host")
    host, name = values.pop("host", ""), values.pop("mapping", "")
    places = places_of(host) if host else mapped_places(node, name)
    return HostPci(key=key, places=places, mapping=name, options=values)


def mapped_places(node: NodeFacts, name: str) -> tuple[str, ...]:
    """What a mapping means on this node."""
    mapping = node.mapping(name)
    entries = [entry_properties(each) for each in (mapping.entries if mapping else ())]
    here = [each.get("path", "") for each in entries if each.get("node") == node.name]
    return tuple(place for path in here for place in places_of(path))


def machine_type(config: AnyMapping[str, str]) -> str:
    """``q35``, ``pc-q35-8.1``, ``pc-i440fx-8.1``...; PVE's default is ``pc``."""
    return properties(config.get("machine", ""), "type").get("type") or "pc"


def is_q35(config: AnyMapping[str, str]) -> bool:
    """As PVE asks (Machine.pm machine_type_is_q35)."""
    return "q35" in machine_type(config)


def is_ovmf(config: AnyMapping[str, str]) -> bool:
    return config.get("bios") == "ovmf"


def memory_mib(config: AnyMapping[str, str]) -> int:
    text = properties(config.get("memory", ""), "current").get("current", "")
    return int(text) if text.isdecimal() else _DEFAULT_MEMORY_MIB


def cpu_properties(config: AnyMapping[str, str]) -> dict[str, str]:
    """``kvm64`` where nothing is set (CPUConfig.pm get_default_cpu_type)."""
    values = properties(config["cpu"], "cputype") if config.get("cpu") else {}
    return {"cputype": "kvm64", **values}


def start_timeout_s(config: AnyMapping[str, str]) -> int:
    """What PVE gives a start with a passed device (QemuServer/Helpers.pm config_aware_timeout)."""
    memory = memory_mib(config)
    seconds = memory // 1024 if memory > 30 * 1024 else 30
    seconds *= 4
    if config.get("hugepages") and seconds < 150:  # noqa: PLR2004  (as there)
        seconds = 150
    return seconds + 5 * sum(re.match(r"net[0-9]", key) is not None for key in config)
