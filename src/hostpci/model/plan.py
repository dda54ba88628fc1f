"""A plan: the ordered steps that lead from the facts to the claims, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from .finding import Finding
from .pci import Identity


class Reboot(StrEnum):
    NONE = "none"
    ONE = "one"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStep:
    """Write (``after`` is text) or remove (``after`` is None) one file.

    ``before`` is the text that must be there when the step runs, None for "no such file".
    ``adds`` and ``takes``: of a kernel command line, the words that the change is about. Should
    somebody change the line as well, undo takes back these words and leaves the rest.
    ``host_rewrites``: the boot loader writes into it later, so undo does not ask what it holds.
    """

    KIND: ClassVar[str] = "file"

    code: str
    path: str
    before: str | None
    after: str | None
    mode: int = 0o644
    adds: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    host_rewrites: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandStep:
    """Run a program of the host that rewrites the files ``touches`` and no others.

    The executor keeps a copy of those files first, so that undo is byte for byte. ``makes``: the
    program writes this file of ours, and the executor puts its content into ``touches[0]``.
    """

    KIND: ClassVar[str] = "command"

    code: str
    argv: tuple[str, ...]
    touches: tuple[str, ...]
    makes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshStep:
    """Let ``argv`` copy kernels and command lines to the boot partitions, and read them back.

    One step, for one is worth nothing without the other: proxmox-boot-tool exits with 0 when it
    has skipped a partition. Every entry must have ``words`` and none of ``gone``; every kernel
    of ``releases`` must have an entry; what was copied must be what lies in /boot. Undo does
    the same the other way round, once our files are gone.
    """

    KIND: ClassVar[str] = "refresh"

    code: str
    argv: tuple[str, ...]
    words: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    releases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyStep:
    """Copy ``source`` to ``path``, a place of our own where nothing may lie yet."""

    KIND: ClassVar[str] = "copy"

    code: str
    source: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EspEntryStep:
    """Put a menu entry of our own on the boot partitions ``uuids``.

    ``path``, ``images`` and ``copies``: names on each partition. The entry boots ``copies`` of
    ``images``, or, without copies, the images themselves; they must be there.
    ``note``: where GRUB, whose custom.cfg ``path`` is then, notes that the trial has begun; until
    that it holds ``note_text``. That name an administrator may use too: then it is theirs.
    """

    KIND: ClassVar[str] = "esp-entry"

    code: str
    uuids: tuple[str, ...]
    path: str
    text: str
    images: tuple[str, ...]
    copies: tuple[str, ...] = ()
    note: str = ""
    note_text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderVariableStep:
    """Let an EFI variable of systemd-boot name the entry ``after`` (None: no such variable).

    The loader itself removes LoaderEntryOneShot: undo sets back only what still is ours.
    """

    KIND: ClassVar[str] = "loader-variable"

    code: str
    name: str
    before: str | None
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BindStep:
    """Move one function from ``from_driver`` (None: no driver) to vfio-pci, now.

    ``identity`` must still sit at ``address`` when the step runs.
    """

    KIND: ClassVar[str] = "bind"

    code: str
    address: str
    identity: Identity
    from_driver: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChange:
    """One setting of a virtual machine; None: not set."""

    key: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VmConfigStep:
    """Change settings of a virtual machine through PVE, all of them in one call.

    ``digest``: what PVE's checksum of the configuration must be when the step first runs.
    A new disk is asked for as ``STORAGE:SIZE``; what PVE made of it stands in the journal.
    """

    KIND: ClassVar[str] = "vm-config"

    code: str
    node: str
    vmid: int
    changes: tuple[KeyChange, ...]
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingStep:
    """Make a resource mapping hold ``after``, its entries for all nodes. None: no such mapping.

    ``digest``: PVE's checksum of all mappings; empty where there were none.
    """

    KIND: ClassVar[str] = "mapping"

    code: str
    name: str
    before: tuple[str, ...] | None
    after: tuple[str, ...] | None
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VmCreateStep:
    """Let PVE make a virtual machine with ``settings``, and its first disk ``disk_gib`` large.

    ``uuid`` is in the settings too: by it, and not by its number, the machine is known as ours.
    ``snippet``: a file of ours on a storage of the node, which the settings name.
    """

    KIND: ClassVar[str] = "vm-create"

    code: str
    node: str
    vmid: int
    uuid: str
    settings: dict[str, str]
    disk_gib: int
    snippet: str = ""
    snippet_text: str = ""


Step = (
    FileStep
    | CommandStep
    | CopyStep
    | RefreshStep
    | EspEntryStep
    | LoaderVariableStep
    | BindStep
    | VmCreateStep
    | VmConfigStep
    | MappingStep
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``refusals``: why nothing may be done; then ``steps`` is empty.

    ``reboot``: what is still needed after the steps. ``can_bind_now``: slots whose functions
    could be moved without a reboot (``--now``). ``pending``: functions whose binding at this
    moment is not yet what the claims and files say, i.e. what the reboot will change.
    ``notes``: what could not be looked at.
    """

    steps: tuple[Step, ...]
    refusals: tuple[Finding, ...] = ()
    reboot: Reboot = Reboot.NONE
    can_bind_now: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    notes: tuple[Finding, ...] = ()
