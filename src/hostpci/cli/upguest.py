"""The stages of ``up`` that are about the machine and what runs in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..errors import RefusedError
from ..guest.agent import AgentShell
from ..guest.course import Course
from ..guest.power import SHUTDOWN_S, PvePower, Waiting, boot_id
from ..guest.tables import load_tables
from ..model.guest import GuestProof
from ..model.up import Came, ProvenStart, Stage, StageResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..pve.node import Pve
    from .upway import Way

# The agent starts late, and a machine with a passed device may need minutes to get there
_AGENT_TIMEOUT_S = 900


class _Guest:
    """The machine of one way, as its stages need it."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._pve: Pve = way.context.pve()
        self._vmid = way.wish.vmid
        self.shell = AgentShell(self._pve, self._vmid, tick=way.context.tick)
        self.power = PvePower(self._pve, self._vmid)

    def status(self) -> dict[str, Any]:
        path = f"/nodes/{self._pve.node()}/qemu/{self._vmid}/status/current"
        said = self._pve.call("get", path)
        return said if isinstance(said, dict) else {}

    @property
    def is_running(self) -> bool:
        return self.status().get("status") == "running"

    def process(self) -> str:
        """Which QEMU this is: a number comes again after a reboot of the host."""
        pid = self.status().get("pid")
        machine = self._way.context.machine()
        return f"{machine.boot_id}:{pid}" if pid else f"guest:{boot_id(self.shell)}"

    def wait(self) -> str:
        """Until the agent answers; returns the guest's boot."""
        waiting = Waiting(self.shell, tick=self._way.context.tick)
        waiting.for_new_boot("", timeout_s=_AGENT_TIMEOUT_S)
        return boot_id(self.shell)

    def course(self) -> Course:
        return Course(self.shell, load_tables(), power=self.power, tick=self._way.context.tick)

    def remember(self, proof: GuestProof) -> None:
        from ..executor.apply import now

        started = ProvenStart(
            process=self.process(), guest_boot=boot_id(self.shell), at=now(),
            versions=dict(proof.versions),
        )  # fmt: skip
        self._way.remember(self._way.record.with_proof(started))


def start(way: Way) -> StageResult:
    """A machine that was started for this is stopped by undo; one that ran already is not."""
    there = _Guest(way)
    if there.is_running:
        return way.held(Stage.START)
    way.remember(replace(way.record, has_started=True))
    way.verb("start", vmid=str(way.wish.vmid))
    return StageResult(stage=Stage.START, came=Came.DONE, answer=f"VM {way.wish.vmid}")


def guest(way: Way) -> StageResult:
    """Driver and proof, unless this very start of it is proven already."""
    there = _Guest(way)
    boot = there.wait()
    if way.record.is_proven(there.process(), boot):
        return StageResult(stage=Stage.GUEST, came=Came.HELD, answer=way.record.proven[-1].at)
    way.verb(
        "guest", vmid=str(way.wish.vmid), ssh=None, plan=False, twice=False,
        driver=way.wish.driver or None,
    )  # fmt: skip
    there.remember(there.course().prove())
    return StageResult(stage=Stage.GUEST, came=Came.DONE, answer=f"VM {way.wish.vmid}")


def restart(way: Way) -> StageResult:
    """Reset acceptance: the same proof in a second QEMU. A card that cannot be reset fails here."""
    if way.record.survived_reset:
        return StageResult(stage=Stage.RESTART, came=Came.HELD, answer=way.record.proven[-1].at)
    there, vmid = _Guest(way), str(way.wish.vmid)
    way.verb("stop", vmid=vmid, timeout=str(SHUTDOWN_S), force=False)
    way.verb("start", vmid=vmid)
    there.wait()
    proof = there.course().settled_proof()
    if not proof.proven:
        failed = next((each for each in proof.steps if each.outcome != "holds"), None)
        what = f"{failed.code}: {failed.answer}" if failed else "-"
        raise RefusedError(
            "up-reset", slot=way.wish.slot, vmid=way.wish.vmid, what=what,
            fault=_told_causes(way, there),
        )  # fmt: skip
    there.remember(proof)
    return StageResult(stage=Stage.RESTART, came=Came.DONE, answer=f"VM {way.wish.vmid}")


def _told_causes(way: Way, there: _Guest) -> str:
    """What the guest's kernel said of the start that failed: told, and the likeliest fault."""
    from ..diagnose.inguest import diagnose_guest, guest_lines
    from .whyfailed import show_causes

    facts = there.course().look()
    found = diagnose_guest(facts)
    show_causes(way.context, found, len(guest_lines(facts)))
    return found[0].code if found else ""
