"""The watcher of a trial boot: a thin loop around ``decide``, with the watchdog in its hand."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from ..errors import BusyError, Exit
from ..executor.apply import Machine, exclusive
from ..executor.journal import Journal
from ..executor.tool import drop_tool
from ..executor.trial import Trials
from ..host.watchdog import Watchdog
from ..model.proof import Proofs
from ..model.trial import By, Health, Reason
from ..planner.trial import Action, Do, OpenTrial, Seen, decide, open_trial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .context import Context

POLL_S = 5.0
# A lock that is held so long after the time is over belongs to nobody who will let go of it:
# the next boot takes everything back before anybody can log in.
_BUSY_AT_MOST_S = 120.0
_SECONDS_PER_MINUTE = 60


@dataclass(frozen=True, kw_only=True)
class Senses:
    """How the watcher sees and touches the host; tests give it other ones.

    ``wait`` returns True when the watcher is told to end. ``prove`` returns None until the boot
    is far enough to be looked at.
    """

    seen: Callable[[], Seen]
    unhealthy: Callable[[tuple[Health, ...]], tuple[str, ...]]
    prove: Callable[[], Proofs | None]
    find_watchdog: Callable[[], Watchdog | None]
    wait: Callable[[float], bool]
    reboot: Callable[[], None]


class Watcher:
    """Watches one boot. Everything that it decides is said, and stands in the journal."""

    def __init__(self, context: Context, machine: Machine, senses: Senses) -> None:
        self._context = context
        self._machine = machine
        self._senses = senses
        self._trials = Trials(machine, context.announce)
        self._watchdog: Watchdog | None = None
        self._busy_s = 0.0
        self._is_announced = False

    def run(self) -> Exit:
        """Watch until there is nothing more to do, or until told to end."""
        try:
            while True:
                ended = self._turn()
                if ended is not None:
                    return ended
                if self._senses.wait(POLL_S):
                    return Exit.OK
        finally:
            if self._watchdog is not None:
                with suppress(OSError):
                    self._watchdog.close()

    def feed(self) -> None:
        if self._watchdog is not None:
            with suppress(OSError):
                self._watchdog.feed()

    def _turn(self) -> Exit | None:
        """One look. The lock is taken only to write: a person's command must not find it held."""
        self.feed()
        action, trial = self._decide()
        if trial is None or action.do is Do.LEAVE:
            return Exit.OK
        try:
            if self._machine.boot_id not in trial.boots:
                with exclusive(self._machine):
                    self._trials.booted(trial.run)
            if action.do is Do.WATCH:
                self._watch(trial)
                return None
            with exclusive(self._machine):
                return self._act()
        except BusyError:
            return self._wait_for_lock(action)

    def _act(self) -> Exit | None:
        """Decided anew under the lock: a person may have confirmed or undone it meanwhile."""
        action, trial = self._decide()
        if trial is None:
            return Exit.OK
        match action.do:
            case Do.CLEAR:
                return self._clear(action, trial)
            case Do.CONFIRM:
                return self._confirm(action.by or By.PROOF, trial)
            case Do.TAKE_BACK:
                return self._take_back(action, trial)
            case _:
                return None

    def _decide(self) -> tuple[Action, OpenTrial | None]:
        trial = open_trial(Journal(self._machine.files).history())
        return decide(trial, self._senses.seen(), self._senses.unhealthy), trial

    def _wait_for_lock(self, action: Action) -> Exit | None:
        if action.do is not Do.TAKE_BACK:
            return None
        self._busy_s += POLL_S
        if self._busy_s < _BUSY_AT_MOST_S:
            return None
        self._context.tell("trial.log.lock", run=self._number())
        self._senses.reboot()
        return Exit.BUSY

    def _number(self) -> int:
        trial = open_trial(Journal(self._machine.files).history())
        return trial.run.number + 1 if trial else 0

    def _watch(self, trial: OpenTrial) -> None:
        if not self._is_announced:
            self._is_announced = True
            self._announce(trial)
        if self._watchdog is None:
            self._watchdog = self._senses.find_watchdog()
            if self._watchdog is not None:
                self._context.tell("trial.log.watchdog", name=self._watchdog.name)
        if trial.proved is None:
            self._prove(trial)

    def _announce(self, trial: OpenTrial) -> None:
        if trial.asked.within_s is None:
            return
        left_s = max(0, trial.asked.within_s - round(self._senses.seen().since_boot_s))
        checks = ", ".join(trial.asked.healthy)
        code = "trial.log.watching-healthy" if checks else "trial.log.watching"
        text = self._context.catalog.text(
            code, run=trial.run.number + 1, minutes=round(left_s / _SECONDS_PER_MINUTE, 1),
            checks=checks,
        )  # fmt: skip
        self._context.say(text)
        self._trials.leave_message(text)

    def _prove(self, trial: OpenTrial) -> None:
        proofs = self._senses.prove()
        if proofs is None:
            return
        with exclusive(self._machine):
            current = open_trial(Journal(self._machine.files).history())
            if current is not None and current.run.number == trial.run.number:
                self._trials.proved(current.run, proofs)
        self._context.tell(_verdict(proofs))

    def _clear(self, action: Action, trial: OpenTrial) -> Exit:
        """The end of a trial: what it was for is over, and this boot is what stays."""
        self._trials.clear(trial.run)
        if action.reboot:
            self._context.tell("trial.log.reboot")
            self._senses.reboot()
            return Exit.OK
        given_up = trial.given_up
        if given_up is not None:
            text = self._context.catalog.text(
                "trial.log.back", run=trial.run.number + 1, why=self._why(given_up.reason, ()),
            )  # fmt: skip
            self._context.say(text)
            self._trials.leave_message(text)
        self._drop_tool()
        return Exit.OK

    def _confirm(self, by: By, trial: OpenTrial) -> Exit:
        """By the health checks, or after a look that nothing hung on."""
        self._trials.confirm(trial.run, by)
        said = [self._context.catalog.text(f"trial.log.confirmed-{by}", run=trial.run.number + 1)]
        if trial.proved is not None:
            said.append(self._context.catalog.text(_verdict(trial.proved.proofs)))
        for text in said:
            self._context.say(text)
        self._trials.leave_message("\n".join(said))
        self._drop_tool()
        return Exit.OK

    def _take_back(self, action: Action, trial: OpenTrial) -> Exit:
        assert trial.watched is not None  # noqa: S101  (decide)
        reason = action.reason or Reason.NOT_CONFIRMED
        why = self._why(reason, action.details)
        self._context.tell("trial.log.taking-back", run=trial.watched.number, why=why)
        kept = self._trials.give_up(trial.run, trial.watched, reason, action.details)
        for path in kept:
            self._context.tell("undo.kept", path=path)
        self._context.tell("trial.log.reboot")
        self._senses.reboot()
        return Exit.OK

    def _why(self, reason: Reason, details: tuple[str, ...]) -> str:
        text = self._context.catalog.text(f"trial.why.{reason}")
        return f"{text} ({'; '.join(details)})" if details else text

    def _drop_tool(self) -> None:
        drop_tool(self._machine.files, Journal(self._machine.files).history())


def _verdict(proofs: Proofs) -> str:
    return "trial.log.proven" if proofs.proven else "trial.log.not-proven"
