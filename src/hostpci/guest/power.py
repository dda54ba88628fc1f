"""Restarting a guest, and waiting until it can be asked again."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..errors import ToolError
from ..pve.node import Pve
from ..pve.power import reboot_vm, start_vm, stop_vm
from .shell import GuestError, GuestShell

# The guest shuts down in its own time; PVE's own default for shutdown is 60 s
SHUTDOWN_S = 300
_PAUSE_S = 3.0

Tick = Callable[[str, float], None]


class Power:
    """The interface. Both return when the order is carried out, not when the guest is up again."""

    def restart(self) -> None:
        raise NotImplementedError

    def stop_and_start(self) -> None:
        """A real stop: the card is given back to the host's kernel and reset in between."""
        raise NotImplementedError


class PvePower(Power):
    """Through PVE. A reboot of PVE's is a shutdown and a start: pending changes take effect."""

    def __init__(self, pve: Pve, vmid: int) -> None:
        self._pve = pve
        self._vmid = vmid

    def restart(self) -> None:
        reboot_vm(self._pve, self._vmid, timeout_s=SHUTDOWN_S)

    def stop_and_start(self) -> None:
        stop_vm(self._pve, self._vmid, timeout_s=SHUTDOWN_S)
        start_vm(self._pve, self._vmid)


class ShellPower(Power):
    """From inside, where there is no PVE to ask. It can restart a guest, not stop and start it."""

    def __init__(self, shell: GuestShell) -> None:
        self._shell = shell

    def restart(self) -> None:
        self._shell.run("(sleep 2; systemctl reboot || reboot) > /dev/null 2>&1 &", timeout_s=60)

    def stop_and_start(self) -> None:
        raise GuestError("guest-no-power", guest=self._shell.name)


def boot_id(shell: GuestShell) -> str:
    said = shell.run('cat "$R/proc/sys/kernel/random/boot_id"', timeout_s=60)
    return said.out.strip()[:64]


class Waiting:
    """Until a guest answers from another boot. ``now`` and ``sleep`` are arguments for tests."""

    def __init__(
        self,
        shell: GuestShell,
        *,
        tick: Tick | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._shell = shell
        self._tick = tick
        self._now = now
        self._sleep = sleep

    def for_new_boot(self, before: str, *, timeout_s: float = 900) -> None:
        begin = self._now()
        while True:
            self._sleep(_PAUSE_S)
            if self._is_another(before):
                return
            elapsed_s = self._now() - begin
            if elapsed_s > timeout_s:
                raise GuestError("guest-not-back", guest=self._shell.name, seconds=round(timeout_s))
            if self._tick is not None:
                self._tick(self._shell.name, elapsed_s)

    def _is_another(self, before: str) -> bool:
        try:
            if not self._shell.is_there():
                return False
            found = boot_id(self._shell)
        except ToolError:
            return False
        return bool(found) and found != before
