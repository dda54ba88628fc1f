"""The desired state: which slot is kept for virtual machines, and who must sit there."""

from __future__ import annotations

from dataclasses import dataclass

from .pci import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedFunction:
    address: str
    identity: Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One slot with the identity of every function it had when it was claimed.

    ``accept``: risks that the owner takes by name. ``options``: knobs, ``name`` or ``name=value``.
    """

    slot: str
    functions: tuple[ClaimedFunction, ...]
    accept: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """``/etc/hostpci.toml``: ``text`` is None when the file is not there.

    ``host_options``: knobs of the whole host, ``name`` or ``name=value``.
    """

    text: str | None
    claims: tuple[Claim, ...]
    host_options: tuple[str, ...] = ()

    def of_slot(self, slot: str) -> Claim | None:
        return next((each for each in self.claims if each.slot == slot), None)
