"""The whole way from a claim to a card that works in a guest, in stages.

Each stage looks at the facts and does what is missing, so the way can be begun again anywhere.
Only what the facts cannot tell is remembered (``UpRecord``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Stage(StrEnum):
    """In their order."""

    CHECK = "check"
    CLAIM = "claim"
    APPLY = "apply"
    REBOOT = "reboot"
    VERIFY = "verify"
    ATTACH = "attach"
    START = "start"
    GUEST = "guest"
    RESTART = "restart"


class Came(StrEnum):
    """HELD: it was so already. WAITS: something outside has to happen first."""

    HELD = "held"
    DONE = "done"
    WAITS = "waits"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """How one stage came out. ``answer``: what was seen, in few words."""

    stage: Stage
    came: Came
    answer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpWish:
    """What was asked for: which slot, into which machine, and how."""

    slot: str
    vmid: int
    until: Stage = Stage.RESTART
    accept: tuple[str, ...] = ()
    driver: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenStart:
    """One start of the machine in which its card was proven.

    ``process``: of QEMU and the host's boot, so that a guest that restarts itself is no new start.
    """

    process: str
    guest_boot: str
    at: str
    versions: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpRecord:
    """What is remembered of one ``up``, beside what facts and journal say.

    ``has_started``: this program has started the machine, so undo stops it. ``goes_on``: the next
    boot goes on with it by itself.
    """

    wish: UpWish
    has_started: bool = False
    goes_on: bool = False
    proven: tuple[ProvenStart, ...] = ()

    def with_proof(self, proof: ProvenStart) -> UpRecord:
        """The first proof of each start is kept."""
        if self.is_proven(proof.process, proof.guest_boot):
            return self
        return replace(self, proven=(*self.proven, proof))

    def is_proven(self, process: str, guest_boot: str) -> bool:
        return any(
            each.process == process and each.guest_boot == guest_boot for each in self.proven
        )

    @property
    def survived_reset(self) -> bool:
        """Two starts, each a QEMU of its own: in between the card was closed, reset and opened."""
        return len({each.process for each in self.proven}) > 1


def stages_until(last: Stage) -> tuple[Stage, ...]:
    every = tuple(Stage)
    return every[: every.index(last) + 1]
