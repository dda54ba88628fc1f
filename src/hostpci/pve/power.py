"""A machine started and shut down through PVE, and whether it really runs afterwards.

The task of a machine that is under high availability ends when the order is written down; the
manager carries it out later [qemu-server PVE/API2/Qemu.pm vm_start: ``hastart``]. So the state is
looked at again, and not only the task.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from .node import Pve, PveError, TaskEnd
from .refusals import Answer, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# PVE itself waits for QEMU as long as the machine's memory needs [qemu-server PVE/QemuServer/
# Helpers.pm config_aware_timeout]: hundreds of GiB that are pinned take many minutes
START_TIMEOUT_S = 3600
SHUTDOWN_S = 180
_BEYOND_S = 120
_MANAGER_S = 120
_PAUSE_S = 2.0
# What the task's words say better than "it did not start" does
_TOLD = {"pve-locked", "pve-template", "pve-denied", "pve-root-only", "pve-not-found"}
_SHOWN_LINES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerEnd:
    """``was_so``: nothing was done. ``state``: QEMU's own word, such as ``running``, ``paused``."""

    vmid: int
    node: str
    was_so: bool
    state: str
    end: TaskEnd | None = None

    @property
    def log(self) -> tuple[str, ...]:
        return self.end.log if self.end else ()


class TaskFailedError(PveError):
    """An order that PVE took and could not carry out; ``end`` has the task's log."""

    def __init__(self, code: str, end: TaskEnd, **params: object) -> None:
        super().__init__(code, **params)
        self.end = end


class Power:
    """One machine's switch. ``now`` and ``sleep`` are arguments for tests."""

    def __init__(
        self,
        pve: Pve,
        vmid: int,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._pve = pve
        self._vmid = vmid
        self._now = now
        self._sleep = sleep
        self._node = ""

    def start(self) -> PowerEnd:
        seen = self._status()
        if _runs(seen):
            return self._ended(seen, None)
        end = self._order("start", {}, START_TIMEOUT_S)
        seen = self._until(running=True, seen=self._status())
        return self._running(seen, end)

    def shut_down(self, *, timeout_s: int = SHUTDOWN_S, by_force: bool = False) -> PowerEnd:
        """The guest is asked to end. ``by_force``: QEMU is ended if the guest has not by then."""
        seen = self._status()
        if not _runs(seen):
            return self._ended(seen, None)
        params = {"timeout": timeout_s, **({"forceStop": 1} if by_force else {})}
        end = self._order("shutdown", params, timeout_s + _BEYOND_S)
        seen = self._until(running=False, seen=self._status())
        if _runs(seen):
            raise TaskFailedError(
                "stop-still-running", end, vmid=self._vmid, seconds=timeout_s, status=end.status
            )
        return self._ended(seen, end)

    def reboot(self, *, timeout_s: int = SHUTDOWN_S) -> PowerEnd:
        """A shutdown and a start of PVE's own, in one order: what is pending takes effect.

        The task ends with the shutdown; qmeventd's cleanup starts the machine after that
        [qemu-server PVE/QemuServer.pm vm_reboot, PVE/CLI/qm.pm cleanup].
        """
        self._status()
        end = self._order("reboot", {"timeout": timeout_s}, timeout_s + _BEYOND_S)
        seen = self._until(running=True, seen=self._status(), is_left_to_other=True)
        return self._running(seen, end)

    def _running(self, seen: dict[str, Any], end: TaskEnd) -> PowerEnd:
        if not _runs(seen):
            raise TaskFailedError(
                "start-not-running", end, vmid=self._vmid, status=end.status, log=last_lines(end)
            )
        return self._ended(seen, end)

    def _status(self) -> dict[str, Any]:
        self._node = self._node or self._pve.node_of(self._vmid)
        path = f"/nodes/{self._node}/qemu/{self._vmid}/status/current"
        seen = self._pve.call("get", path)
        if not isinstance(seen, dict) or seen.get("status") not in {"running", "stopped"}:
            raise PveError("pve-garbled", call=f"GET {path}", reason=str(seen)[:80])
        return seen

    def _ended(self, seen: dict[str, Any], end: TaskEnd | None) -> PowerEnd:
        state = str(seen.get("qmpstatus") or seen["status"])[:40]
        return PowerEnd(
            vmid=self._vmid, node=self._node, was_so=end is None, state=state, end=end
        )  # fmt: skip

    def _order(self, what: str, params: dict[str, int], timeout_s: float) -> TaskEnd:
        path = f"/nodes/{self._node}/qemu/{self._vmid}/status/{what}"
        end = self._pve.follow(str(self._pve.call("create", path, params)), timeout_s=timeout_s)
        if end.ok:
            return end
        said = refusal(Answer(message=end.status), call=f"POST {path}", who=self._pve.who)
        if said.code in _TOLD:
            raise TaskFailedError(said.code, end, **said.params)
        if what == "start":
            raise TaskFailedError(
                "start-failed", end, vmid=self._vmid, status=end.status, log=last_lines(end)
            )
        raise TaskFailedError(
            "stop-still-running" if "got timeout" in end.status else "stop-failed", end,
            vmid=self._vmid, seconds=params["timeout"], status=end.status,
        )  # fmt: skip

    def _until(
        self, *, running: bool, seen: dict[str, Any], is_left_to_other: bool = False
    ) -> dict[str, Any]:
        """Where another program carries the order out; else it is carried out by now."""
        managed = isinstance(seen.get("ha"), dict) and seen["ha"].get("managed")
        begin = self._now()
        while (managed or is_left_to_other) and _runs(seen) is not running:
            elapsed_s = self._now() - begin
            if elapsed_s > _MANAGER_S:
                break
            if self._pve.tick is not None:
                name = "ha-manager" if managed else "qmeventd"
                self._pve.tick(f"{name} vm:{self._vmid}", elapsed_s)
            self._sleep(_PAUSE_S)
            seen = self._status()
        return seen


def start_vm(pve: Pve, vmid: int) -> PowerEnd:
    """Raises TaskFailedError, whose ``end.log`` says why, or another PveError."""
    return Power(pve, vmid).start()


def stop_vm(
    pve: Pve, vmid: int, *, timeout_s: int = SHUTDOWN_S, by_force: bool = False
) -> PowerEnd:
    """Raises TaskFailedError ``stop-still-running`` where the guest does not end."""
    return Power(pve, vmid).shut_down(timeout_s=timeout_s, by_force=by_force)


def reboot_vm(pve: Pve, vmid: int, *, timeout_s: int = SHUTDOWN_S) -> PowerEnd:
    """Raises TaskFailedError where the guest does not end, or does not start again."""
    return Power(pve, vmid).reboot(timeout_s=timeout_s)


def last_lines(end: TaskEnd) -> str:
    return "\n".join(line for line in end.log[-_SHOWN_LINES:] if line.strip())


def _runs(seen: dict[str, Any]) -> bool:
    return bool(seen["status"] == "running")
