"""Virtual machines and containers of this node, as far as they have to do with its devices."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class GuestKind(StrEnum):
    VM = "vm"
    CONTAINER = "container"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestDevice:
    """One line of a guest's configuration that names devices of the host.

    ``places``: PCI functions ``0000:01:00.0`` or slots ``0000:01:00`` (all functions).
    ``nodes``: device nodes; one that ends in ``*`` stands for every node of that kind.
    ``mapping``: the resource mapping that the places come from. ``is_pending``: it holds from
    the next start on. ``is_mdev``: a mediated device of it, beside others.
    """

    key: str
    places: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    mapping: str = ""
    is_pending: bool = False
    is_mdev: bool = False

    @property
    def claims(self) -> tuple[str, ...]:
        """Places that it needs for itself: of several entries of a mapping PVE takes a free one."""
        is_choice = bool(self.mapping) and len(self.places) > 1
        return () if self.is_mdev or is_choice else self.places


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """``is_running`` None: could not be found out. ``snapshots``: those that name PCI devices.

    ``has_hook``: its configuration, or a snapshot, names our hook script.
    """

    number: int
    kind: GuestKind
    is_running: bool | None
    devices: tuple[GuestDevice, ...]
    snapshots: tuple[str, ...] = ()
    has_hook: bool = False

    @property
    def name(self) -> str:
        return f"{'VM' if self.kind is GuestKind.VM else 'CT'} {self.number}"

    @property
    def stop_command(self) -> str:
        return f"{'qm' if self.kind is GuestKind.VM else 'pct'} shutdown {self.number}"
