"""Every knob of the guides as one table: what it belongs to, what it takes, what it writes.

A knob is never turned by default. What it does on a kernel, why one would want it, its risk and
its undo are texts (``knob.NAME.*``); why a host's facts speak against it is in ``checks.knobs``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from .claim import Claim, Claims
from .finding import Finding

MODPROBE_CONF = "/etc/modprobe.d/hostpci.conf"
MODULES_CONF = "/etc/modules-load.d/hostpci.conf"

_MODULE = r"[a-z0-9_]+"
_MODULES = rf"{_MODULE}(?:,{_MODULE})*"
# What PVE takes as a machine's number (PVE::JSONSchema, pve-vmid)
_VMID = r"[1-9][0-9]{2,8}"
_ACS_PART = r"(?:downstream|multifunction|id:[0-9a-f]{4}:[0-9a-f]{4})"


class Scope(StrEnum):
    """Whose option it is: in ``[host]`` or in a ``[[claim]]`` of /etc/hostpci.toml."""

    HOST = "host"
    CLAIM = "claim"


class Writes(StrEnum):
    """Where the knob acts; each is undone with the file it is in."""

    KERNEL_WORD = "kernel-word"
    MODPROBE = "modprobe"
    MODULES = "modules"
    INITRAMFS = "initramfs"
    LINK_FILES = "link-files"
    HOOK = "hook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """``takes``: what the value must look like, empty for a switch; ``needs_value``: or else.

    ``word``: of the kernel's command line, before the value. ``module`` and ``option``: what is
    set in modprobe.d, and where a running kernel shows it (``is_shown``).
    """

    name: str
    scope: Scope
    writes: Writes
    takes: str = ""
    needs_value: bool = False
    word: str = ""
    module: str = ""
    option: str = ""
    value: str = ""
    is_shown: bool = True

    def accepts(self, value: str) -> bool:
        if not value:
            return not self.needs_value
        return bool(self.takes) and re.fullmatch(self.takes, value) is not None


KNOBS: tuple[Knob, ...] = (
    Knob(
        name="intel-iommu-on", scope=Scope.HOST, writes=Writes.KERNEL_WORD, word="intel_iommu=on",
    ),
    Knob(name="iommu-pt", scope=Scope.HOST, writes=Writes.KERNEL_WORD, word="iommu=pt"),
    Knob(
        name="acs-override", scope=Scope.HOST, writes=Writes.KERNEL_WORD,
        takes=rf"{_ACS_PART}(?:,{_ACS_PART})*", needs_value=True, word="pcie_acs_override=",
    ),
    Knob(
        name="sysfb-off", scope=Scope.CLAIM, writes=Writes.KERNEL_WORD,
        word="initcall_blacklist=sysfb_init",
    ),
    Knob(name="vfio-modules", scope=Scope.HOST, writes=Writes.MODULES, takes=_MODULES),
    Knob(
        name="bind-by-ids", scope=Scope.CLAIM, writes=Writes.MODPROBE,
        module="vfio-pci", option="ids", is_shown=False,
    ),
    Knob(
        name="disable-vga", scope=Scope.HOST, writes=Writes.MODPROBE,
        module="vfio-pci", option="disable_vga", value="1",
    ),
    Knob(
        name="disable-idle-d3", scope=Scope.HOST, writes=Writes.MODPROBE,
        module="vfio-pci", option="disable_idle_d3", value="1",
    ),
    Knob(name="blacklist", scope=Scope.CLAIM, writes=Writes.MODPROBE, takes=_MODULES),
    Knob(name="softdep", scope=Scope.CLAIM, writes=Writes.MODPROBE, takes=_MODULES),
    Knob(
        name="unsafe-interrupts", scope=Scope.HOST, writes=Writes.MODPROBE,
        module="vfio_iommu_type1", option="allow_unsafe_interrupts", value="1",
    ),
    Knob(
        name="kvm-ignore-msrs", scope=Scope.HOST, writes=Writes.MODPROBE,
        module="kvm", option="ignore_msrs", value="1",
    ),
    Knob(
        name="kvm-quiet-msrs", scope=Scope.HOST, writes=Writes.MODPROBE,
        module="kvm", option="report_ignored_msrs", value="0",
    ),
    Knob(name="initramfs-all", scope=Scope.HOST, writes=Writes.INITRAMFS),
    Knob(name="pin-nic-names", scope=Scope.HOST, writes=Writes.LINK_FILES),
    Knob(
        name="while-vm", scope=Scope.CLAIM, writes=Writes.HOOK, takes=_VMID, needs_value=True,
    ),
    Knob(name="keep-hook", scope=Scope.HOST, writes=Writes.HOOK),
)  # fmt: skip
_BY_NAME = {each.name: each for each in KNOBS}


def knob_named(name: str) -> Knob | None:
    return _BY_NAME.get(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """A knob as somebody set it. ``slot`` is empty for one of the host."""

    name: str
    value: str = ""
    slot: str = ""

    @property
    def text(self) -> str:
        """As it stands in /etc/hostpci.toml."""
        return f"{self.name}={self.value}" if self.value else self.name

    @property
    def knob(self) -> Knob:
        """Raises KeyError for a name that this version does not know."""
        return _BY_NAME[self.name]


def turned(option: str, slot: str = "") -> Turned:
    """``name`` or ``name=value``."""
    name, _, value = option.partition("=")
    return Turned(name=name, value=value, slot=slot)


def turned_knobs(claims: Claims) -> tuple[Turned, ...]:
    """Everything that is set: the host's in the order of the file, then each claim's."""
    return (
        *(turned(option) for option in claims.host_options),
        *(turned(option, claim.slot) for claim in claims.claims for option in claim.options),
    )


def lent_to(claim: Claim) -> int | None:
    """The machine that has the slot only while it runs; None: it is kept for machines all along."""
    for option in claim.options:
        each = turned(option, claim.slot)
        if each.name == "while-vm" and each.knob.accepts(each.value):
            return int(each.value)
    return None


def kept_claims(claims: Claims) -> tuple[Claim, ...]:
    """Claims that every boot binds; the others are the host's while their machine is stopped."""
    return tuple(claim for claim in claims.claims if lent_to(claim) is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnobState:
    """One knob on one host. ``None``: cannot be seen, or is not to be told from a file.

    ``set_to``: as it stands in /etc/hostpci.toml. ``active``: in effect in this boot.
    ``persisted``: in the files that the next boot reads. ``by_hand``: lines that somebody put
    there for the same thing. ``against``: findings that speak against it.
    """

    name: str
    scope: Scope
    slot: str
    set_to: str | None
    active: bool | None
    persisted: bool | None
    by_hand: tuple[str, ...]
    against: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnobStates:
    knobs: tuple[KnobState, ...]
