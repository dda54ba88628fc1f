"""What ends a trial, on disk: each decision is an entry before anything follows from it."""

from __future__ import annotations

import os
from contextlib import suppress

from ..errors import EnvironmentFault
from ..model.journal import Booted, Confirmed, FileImage, GivenUp, History, Intent, Proved, Run
from ..model.plan import EspEntryStep, FileStep, LoaderVariableStep
from ..model.proof import Proofs
from ..model.trial import By, Reason
from .apply import Announce, Machine, now, temporary_name
from .espentry import EspEntries, LoaderVariables
from .journal import Journal
from .undo import Undoer

# pam_motd shows what lies here at every login; the directory is memory, so a boot clears it
LOGIN_MESSAGE = "/run/motd.d/hostpci"
_RELOAD_TIMEOUT_S = 120


class Trials:
    """Writes the course of one trial on one machine. Hold the lock (``exclusive``)."""

    def __init__(self, machine: Machine, announce: Announce | None = None) -> None:
        self._machine = machine
        self._journal = Journal(machine.files)
        self._announce = announce

    def booted(self, trial: Run) -> Run:
        """Count this boot, once."""
        mine = self._machine.boot_id
        if any(isinstance(each, Booted) and each.boot_id == mine for each in trial.entries):
            return trial
        return self._journal.add(trial, Booted(boot_id=mine, at=now()))

    def proved(self, trial: Run, proofs: Proofs) -> Run:
        entry = Proved(boot_id=self._machine.boot_id, at=now(), proofs=proofs)
        return self._journal.add(trial, entry)

    def confirm(self, trial: Run, by: By) -> Run:
        """The change stays: from here on nothing can take it back but a person."""
        if not any(isinstance(each, Confirmed) for each in trial.entries):
            trial = self._journal.add(trial, Confirmed(at=now(), by=by))
        return self.clear(trial)

    def clear(self, trial: Run) -> Run:
        """Take back the trial's own parts: units, menu entry, copies."""
        undoer = Undoer(self._machine, skip_changed=True, announce=self._announce)
        cleared = undoer.undo(History(runs=(trial,)))
        self.reload_units()
        return cleared[0] if cleared else trial

    def give_up(
        self, trial: Run, watched: Run, reason: Reason, details: tuple[str, ...]
    ) -> tuple[str, ...]:
        """Take back what was on trial; return what somebody changed since and was left alone.

        The trial's own parts stay until a later boot: until then they bring the host back here,
        should it not come up again.
        """
        if not any(isinstance(each, GivenUp) for each in trial.entries):
            trial = self._journal.add(trial, GivenUp(at=now(), reason=reason, details=details))
        undoer = Undoer(self._machine, skip_changed=True, announce=self._announce)
        undone = undoer.undo(History(runs=(watched,)))
        self._end_fallback(trial)
        return tuple(path for run in undone for path in run.kept)

    def _end_fallback(self, trial: Run) -> None:
        """What boots next is what was there before: the menu need not step in any more."""
        for index, step in enumerate(trial.begin.plan.steps):
            if isinstance(step, FileStep) and step.host_rewrites:
                self._machine.files.remove(step.path)
            elif isinstance(step, LoaderVariableStep):
                LoaderVariables(self._machine.files, self._machine.runner).put_back(step)
            elif isinstance(step, EspEntryStep) and step.note:
                trial = self._forget_note(trial, index, step)

    def _forget_note(self, trial: Run, index: int, step: EspEntryStep) -> Run:
        """The place where the partition is mounted for it is known before it is made."""
        intent = Intent(step=index, temporary=temporary_name(), boot_id=self._machine.boot_id)
        entries = EspEntries(self._machine.files, self._machine.runner, intent.temporary)
        entries.partitions.tidy_up(trial, index)
        trial = self._journal.add(trial, intent)
        entries.forget_note(step)
        return trial

    def reload_units(self) -> None:
        """systemd remembers units that are gone until it is told; not being told hurts nobody."""
        if self._machine.is_live:
            with suppress(EnvironmentFault):
                self._machine.runner.run(
                    ["systemctl", "daemon-reload"], timeout_s=_RELOAD_TIMEOUT_S
                )

    def withdraw_message(self) -> None:
        with suppress(EnvironmentFault):
            self._machine.files.remove(LOGIN_MESSAGE)

    def leave_message(self, text: str) -> None:
        """What the next login shows. A message is a courtesy: without it all goes on."""
        with suppress(EnvironmentFault):
            self._machine.files.make_directories(LOGIN_MESSAGE.rpartition("/")[0])
            like = FileImage(
                path=LOGIN_MESSAGE, sha256=None, mode=0o644, owner=os.geteuid(), group=os.getegid()
            )
            content = (f"{text}\n".encode(),)
            self._machine.files.replace(
                LOGIN_MESSAGE, content, temporary=temporary_name(), like=like
            )
