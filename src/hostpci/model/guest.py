"""What a guest says about itself, what it should have, and the proof that its card works.

Everything in ``GuestFacts`` was said by the guest: it is evidence about it, never an instruction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from .finding import Finding, Level
from .proof import ProofStep

_DISPLAY_CLASS = 0x03


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestCard:
    """One PCI function as the guest sees it. ``driver`` is empty if nothing is bound."""

    address: str
    vendor: int
    device: int
    subsystem_vendor: int = 0
    subsystem_device: int = 0
    pci_class: int = 0
    driver: str = ""

    @property
    def identity(self) -> str:
        return f"{self.vendor:04x}:{self.device:04x}"

    @property
    def is_display(self) -> bool:
        return self.pci_class >> 16 == _DISPLAY_CLASS


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """``want`` and ``state`` are dpkg's own words; ``flag`` is "ok" or "reinstreq"."""

    name: str
    version: str
    want: str
    state: str
    flag: str = "ok"

    @property
    def is_installed(self) -> bool:
        return self.state == "installed" and self.flag == "ok"

    @property
    def is_broken(self) -> bool:
        return self.flag != "ok" or self.state not in {
            "installed", "config-files", "not-installed", "triggers-pending", "triggers-awaited",
        }  # fmt: skip

    @property
    def is_held(self) -> bool:
        return self.want == "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A package that apt could install, and the suite and component that offer it."""

    name: str
    version: str
    suite: str = ""

    @property
    def branch(self) -> int | None:
        """570 of ``570.133.07-0ubuntu1``, also behind an epoch; None if it has none."""
        first = self.version.rpartition(":")[2].partition(".")[0]
        return int(first) if first.isdigit() and first.isascii() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One package index that apt is told to read; ``is_fetched``: it has been read."""

    site: str
    suite: str
    component: str
    is_fetched: bool
    signed_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A kernel module on the guest's disk, for the kernel that runs."""

    name: str
    version: str = ""
    license: str = ""
    signer: str = ""

    @property
    def is_open(self) -> bool:
        """NVIDIA's open flavour says ``Dual MIT/GPL``, the proprietary one ``NVIDIA``."""
        return "GPL" in self.license


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderNode:
    name: str
    address: str
    driver: str
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Smi:
    """One card as ``nvidia-smi`` names it."""

    address: str
    name: str
    driver_version: str
    memory_mib: str
    compute_capability: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queries:
    """What the programs said that use a card; None: the program is not there."""

    smi: tuple[Smi, ...] = ()
    smi_status: int | None = None
    smi_words: tuple[str, ...] = ()
    vulkan: tuple[str, ...] = ()
    opencl: tuple[str, ...] = ()
    rocm: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Secure Boot. ``enforced`` None: could not be read. ``mok``: enrolled, pending, or absent."""

    firmware: str
    enforced: bool | None
    mok_key: str = ""
    mok: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestFacts:
    """All of it. ``None`` and an empty text mean: not said."""

    system: str = ""
    distribution: str = ""
    like: tuple[str, ...] = ()
    version: str = ""
    codename: str = ""
    name: str = ""
    kernel: str = ""
    machine: str = ""
    user: int | None = None
    container: str = ""
    trust: Trust
    functions: tuple[GuestCard, ...] = ()
    loaded: dict[str, str] = field(default_factory=dict)
    modules: tuple[Module, ...] = ()
    has_headers: bool = False
    dkms: tuple[str, ...] = ()
    nouveau_off: bool = False
    has_dpkg: bool = False
    packages: tuple[Package, ...] = ()
    offers: tuple[Offer, ...] = ()
    sources: tuple[Source, ...] = ()
    locks: tuple[str, ...] = ()
    free_root_mib: int | None = None
    free_boot_mib: int | None = None
    has_route: bool | None = None
    has_names: bool | None = None
    has_proxy: bool = False
    cloud_init: str = ""
    render_nodes: tuple[RenderNode, ...] = ()
    nvidia_nodes: tuple[str, ...] = ()
    queries: Queries = field(default_factory=Queries)
    log: tuple[str, ...] = ()

    @property
    def cards(self) -> tuple[GuestCard, ...]:
        return tuple(each for each in self.functions if each.is_display)

    @property
    def kernel_version(self) -> tuple[int, int]:
        """(6, 8) of ``6.8.0-79-generic``; (0, 0) where it is not a version."""
        parts = self.kernel.split(".")[:2]
        if len(parts) != 2 or not all(each.isascii() and each.isdigit() for each in parts):  # noqa: PLR2004
            return (0, 0)
        return (int(parts[0]), int(parts[1]))

    def package(self, name: str) -> Package | None:
        return next((each for each in self.packages if each.name == name), None)

    def is_installed(self, name: str) -> bool:
        found = self.package(name)
        return found is not None and found.is_installed

    def offers_of(self, name: str) -> tuple[Offer, ...]:
        return tuple(each for each in self.offers if each.name == name)

    def module(self, name: str) -> Module | None:
        return next((each for each in self.modules if each.name == name), None)


class Verdict(StrEnum):
    """What is to be done now."""

    WORKING = "working"  # proven: nothing
    INSTALL = "install"  # there are steps
    REBOOT = "reboot"  # everything is installed; a restart of the guest makes it work
    PERSON = "person"  # somebody has to do something in the guest's console
    WAIT = "wait"  # the guest is busy with itself; later
    BLOCKED = "blocked"  # the facts speak against it


class Do(StrEnum):
    """The kinds of steps, in the order in which they are carried out."""

    DPKG_REPAIR = "dpkg-repair"
    SOURCES_ADD = "sources-add"
    APT_UPDATE = "apt-update"
    REMOVE = "remove"
    KERNEL = "kernel"
    KERNEL_CLOUD_OFF = "kernel-cloud-off"
    NOUVEAU_OFF = "nouveau-off"
    DRIVER = "driver"
    DKMS_BUILD = "dkms-build"
    FIRMWARE = "firmware"
    MODULE_LOAD = "module-load"
    REBOOT = "reboot"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestStep:
    """``words``: package names, module names, or lines of a file; ``suite``: apt's -t."""

    do: Do
    words: tuple[str, ...] = ()
    suite: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """The choice. ``source``: prebuilt, dkms, or kernel; the kernel's own has no ``branch``."""

    kind: str
    branch: int | None = None
    packages: tuple[str, ...] = ()
    source: str = ""
    suite: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardAnswer:
    """A card, what it is and whether it works."""

    card: GuestCard
    generation: str = ""
    driver: Driver | None = None
    proof: tuple[ProofStep, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the facts lead to. ``steps`` is what ``install`` would do, in order."""

    verdict: Verdict
    cards: tuple[CardAnswer, ...] = ()
    findings: tuple[Finding, ...] = ()
    steps: tuple[GuestStep, ...] = ()

    @property
    def blocking(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.blocks)

    @property
    def worst(self) -> Level:
        order = list(Level)
        return order[max((order.index(each.level) for each in self.findings), default=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestProof:
    """Proven means: every card, every step. ``versions`` says what it was proven with."""

    steps: tuple[ProofStep, ...]
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def proven(self) -> bool:
        from .finding import Outcome

        return bool(self.steps) and all(each.outcome is Outcome.HOLDS for each in self.steps)
