"""The whole way in a guest: look, decide, do, look again, until the card works or cannot.

Nothing is remembered between runs: a run that was cut off is finished by running it again, since
every decision is made of what the guest is now.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ..model.guest import Decision, Do, GuestFacts, GuestProof, GuestStep, Verdict
from .decide import decide
from .facts import parse_facts
from .longrun import LongRun
from .nvidia import ANY, Wish
from .power import Power, Tick, Waiting, boot_id
from .proof import prove
from .shell import GuestError, GuestShell
from .steps import TIMEOUT_S, script_of
from .tables import Tables, probe_script, vendor_of

_PROBE_TIMEOUT_S = 300
_WAIT_S = 10.0
_LONGEST_WAIT_S = 1200
_MAX_ROUNDS = 12
# What changes so much that a restart, or loading the module, is worth another try after it
_FRESH = {Do.DRIVER, Do.KERNEL, Do.FIRMWARE, Do.DKMS_BUILD, Do.REMOVE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Where it ended, what was done, and the facts of the last look."""

    decision: Decision
    facts: GuestFacts
    done: tuple[GuestStep, ...] = ()


class Course:
    """``announce`` is told each step before it is done, ``tick`` while it goes on.

    ``root``: where the guest's files are, empty but in tests.
    """

    def __init__(
        self,
        shell: GuestShell,
        tables: Tables,
        *,
        power: Power | None = None,
        wish: Wish = ANY,
        announce: Callable[[GuestStep], None] = lambda _: None,
        tick: Tick | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        root: str = "",
    ) -> None:
        self._shell = shell
        self._tables = tables
        self._power = power
        self._wish = wish
        self._announce = announce
        self._tick = tick
        self._now = now
        self._sleep = sleep
        self._long = LongRun(shell, progress=tick, now=now, sleep=sleep, root=root)

    def look(self) -> GuestFacts:
        said = self._shell.run(probe_script(), timeout_s=_PROBE_TIMEOUT_S)
        return parse_facts(said.out, self._shell.name)

    def decide(self, tried: frozenset[Do] = frozenset()) -> Result:
        """One look, nothing done."""
        facts = self.look()
        return Result(
            facts=facts, decision=decide(facts, self._tables, wish=self._wish, tried=tried)
        )

    def run(self) -> Result:
        """Until nothing is left that this program can do."""
        done: list[GuestStep] = []
        tried: set[Do] = set()
        waited_s = 0.0
        for _ in range(_MAX_ROUNDS):
            result = self.decide(frozenset(tried))
            while result.decision.verdict is Verdict.WAIT and waited_s < _LONGEST_WAIT_S:
                waited_s = self._pause(waited_s)
                result = self.decide(frozenset(tried))
            if result.decision.verdict not in (Verdict.INSTALL, Verdict.REBOOT):
                return Result(decision=result.decision, facts=result.facts, done=tuple(done))
            for step in result.decision.steps:
                self._announce(step)
                self._do(step)
                done.append(step)
                if step.do in _FRESH:
                    tried -= {Do.REBOOT, Do.MODULE_LOAD, Do.DKMS_BUILD}
                tried.add(step.do)
        raise GuestError("guest-no-progress", guest=self._shell.name)

    def _pause(self, waited_s: float) -> float:
        self._sleep(_WAIT_S)
        if self._tick is not None:
            self._tick(self._shell.name, waited_s + _WAIT_S)
        return waited_s + _WAIT_S

    def _do(self, step: GuestStep) -> None:
        if step.do is Do.REBOOT:
            self.restart()
            return
        ended = self._long.run(script_of(step), timeout_s=TIMEOUT_S[step.do])
        if ended.code != 0 and step.do is not Do.MODULE_LOAD:
            # A module that does not load is a fact for the next look: it may need a key, or a boot
            raise GuestError(
                "guest-step-failed", guest=self._shell.name, step=step.do.value,
                status=ended.code, said=ended.tail.strip()[-800:],
            )  # fmt: skip

    def restart(self) -> None:
        if self._power is None:
            raise GuestError("guest-no-power", guest=self._shell.name)
        before = boot_id(self._shell)
        self._power.restart()
        self._waiting().for_new_boot(before)

    def _waiting(self) -> Waiting:
        return Waiting(self._shell, tick=self._tick, now=self._now, sleep=self._sleep)

    def prove(self) -> GuestProof:
        facts = self.look()
        return prove(
            facts, tuple(each for each in facts.cards if vendor_of(each.vendor)), self._tables
        )

    def prove_twice(self) -> tuple[GuestProof, GuestProof]:
        """Reset acceptance: proof, a stop and a start through PVE, and proof again.

        A card that does not come back from its reset passes the first and fails the second. The
        first must be proven, or the second says nothing about the reset.
        """
        first = self.prove()
        if not first.proven or self._power is None:
            return first, GuestProof(steps=())
        before = boot_id(self._shell)
        self._power.stop_and_start()
        self._waiting().for_new_boot(before)
        return first, self.settled_proof()

    def settled_proof(self) -> GuestProof:
        """The agent answers before the last module is loaded: a minute is allowed for it."""
        proof = self.prove()
        for _ in range(6):
            if proof.proven:
                break
            self._sleep(_WAIT_S)
            proof = self.prove()
        return proof
