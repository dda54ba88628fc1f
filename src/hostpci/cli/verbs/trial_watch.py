"""``hostpci trial-watch``: what hostpci-trial.service runs. Not for people."""

from __future__ import annotations

import os
import signal
import threading
import time

from ...errors import EnvironmentFault, NotPermittedError, ToolError, UsageError
from ...executor.apply import Machine
from ...executor.verify import verify
from ...facts.trial import read_watchdogs
from ...host.watchdog import Watchdog
from ...model.proof import Proofs
from ...model.trial import Health
from ...planner.trial import Seen, usable_watchdog
from ..context import Context
from ..trial import unhealthy
from ..watch import POLL_S, Senses, Watcher

_WATCHDOG_MUX = "/usr/sbin/watchdog-mux"
# Long enough for a busy disk, short enough for somebody who waits
_WATCHDOG_S = 60
_PANIC = "/proc/sys/kernel/panic"
_PANIC_S = "30"
_SYSTEMCTL_TIMEOUT_S = 300
_GOING_DOWN_S = 60
_HEALTH_LOOKS = 3
# Whatever the boot is waiting for then, it is looked at as it is
_LOOK_AFTER_S = 1800


def run(context: Context) -> int:
    if not context.is_live:
        raise UsageError("watch-live-only")
    if os.geteuid() != 0:
        raise NotPermittedError("needs-root")
    machine = context.machine()
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    _reboot_on_panic(context, machine)
    hands = _Hands(context, machine, told)
    watcher = Watcher(context, machine, hands.senses())
    context.on_tick = watcher.feed
    return watcher.run()


def _reboot_on_panic(context: Context, machine: Machine) -> None:
    """A kernel that panics in the trial boot must not wait for a person. Memory only."""
    try:
        machine.files.write_attribute(_PANIC, _PANIC_S)
    except EnvironmentFault as fault:
        context.show_error(fault)


class _Hands:
    """The real senses: this host, this boot, this clock."""

    def __init__(self, context: Context, machine: Machine, told: threading.Event) -> None:
        self._context = context
        self._machine = machine
        self._told = told

    def senses(self) -> Senses:
        return Senses(
            seen=self._seen, unhealthy=self._unhealthy, prove=self._prove,
            find_watchdog=self._find_watchdog, wait=self._told.wait, reboot=self._reboot,
        )  # fmt: skip

    def _seen(self) -> Seen:
        words = self._context.root().read_text("/proc/cmdline").split()
        return Seen(
            boot_id=self._machine.boot_id,
            since_boot_s=time.clock_gettime(time.CLOCK_BOOTTIME),
            words=tuple(words),
        )

    def _unhealthy(self, wanted: tuple[Health, ...]) -> tuple[str, ...]:
        """One bad moment is no bad boot: a check fails that fails in each of a few looks."""
        failing = unhealthy(self._context, wanted)
        for _ in range(_HEALTH_LOOKS - 1):
            if not failing or self._told.wait(POLL_S):
                break
            failing = unhealthy(self._context, wanted)
        return failing

    def _prove(self) -> Proofs | None:
        """The proof of the claims once the boot has come to its end; no reset, no driver moved."""
        if not self._is_up() and time.clock_gettime(time.CLOCK_BOOTTIME) < _LOOK_AFTER_S:
            return None
        try:
            facts = self._context.facts()
        except ToolError as error:
            self._context.show_error(error)
            return Proofs(proofs=())
        return Proofs(
            proofs=tuple(
                verify(facts, claim, is_live=True, reset_test=False)
                for claim in facts.claims.claims
            )
        )

    def _is_up(self) -> bool:
        argv = ["systemctl", "show", "-p", "ActiveState", "--value", "multi-user.target"]
        try:
            answer = self._machine.runner.run(argv, timeout_s=_SYSTEMCTL_TIMEOUT_S)
        except EnvironmentFault:
            return False
        return answer.stdout.strip() == "active"

    def _find_watchdog(self) -> Watchdog | None:
        """Watchdog drivers are loaded by udev, long after we are: asked until there is one."""
        root = self._context.root()
        has_mux = root.exists(_WATCHDOG_MUX)
        chosen = usable_watchdog(tuple(read_watchdogs(root)), has_mux=has_mux)
        try:
            return Watchdog(chosen.name, _WATCHDOG_S) if chosen else None
        except OSError:
            return None

    def _reboot(self) -> None:
        argv = ["systemctl", "--no-block", "reboot"]
        try:
            self._machine.runner.run(argv, timeout_s=_SYSTEMCTL_TIMEOUT_S)
        except EnvironmentFault:
            # A host that goes down ends our service first, and with it the program that asked
            if not self._told.wait(_GOING_DOWN_S):
                raise
