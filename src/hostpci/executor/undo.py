"""Take runs back, newest first, byte for byte; what was changed since is never lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import ConflictError
from ..model.journal import (
    FileImage,
    History,
    Intent,
    Run,
    RunState,
    StepUndone,
    UndoIntent,
    Undone,
)
from ..model.pci import VFIO
from ..model.plan import BindStep, CommandStep, FileStep, Step
from .apply import Announce, Machine, encoded, now, put, temporary_name
from .bind import driver_of, hand_back
from .journal import KEPT, Journal

_COMMAND_TIMEOUT_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class InTheWay:
    """A path that holds neither what we wrote nor what was there before."""

    run: int
    path: str


class Undoer:
    """Undoes runs on one machine. ``skip_changed``: leave what is in the way as it is."""

    def __init__(
        self, machine: Machine, *, skip_changed: bool = False, announce: Announce | None = None
    ) -> None:
        self._machine = machine
        self._files = machine.files
        self._journal = Journal(machine.files)
        self._skip_changed = skip_changed
        self._announce = announce

    def undo(self, history: History) -> tuple[Run, ...]:
        """Undo every run of ``history`` that is not undone. Checks all of them first.

        Raises ConflictError naming the first path in the way, before anything is touched.
        """
        runs = [run for run in reversed(history.runs) if run.state is not RunState.UNDONE]
        obstacles = list(self.obstacles(tuple(runs)))
        if obstacles and not self._skip_changed:
            paths = ", ".join(each.path for each in obstacles)
            raise ConflictError("in-the-way", path=paths, run=obstacles[0].run)
        return tuple(self._undo_run(run) for run in runs)

    def obstacles(self, runs: tuple[Run, ...]) -> Iterator[InTheWay]:
        """Files of these runs that somebody changed since. Reads only.

        Newer runs are undone first, so a file is expected to hold what the older one left.
        """
        expected: dict[str, set[bytes | None]] = {}
        for run in runs:
            for index, step in reversed(list(enumerate(run.begin.plan.steps))):
                if not isinstance(step, FileStep) or not _is_open(run, index):
                    continue
                if step.path not in expected:
                    allowed = {encoded(step.after), encoded(step.before)}
                    if self._files.read(step.path) not in allowed:
                        yield InTheWay(run=run.number, path=step.path)
                expected[step.path] = {encoded(step.before)}

    def _undo_run(self, run: Run) -> Run:
        steps = run.begin.plan.steps
        rebuilt_since: list[int] = []
        for index in reversed(range(len(steps))):
            if not _is_open(run, index):
                continue
            if self._announce:
                self._announce("undo", len(steps) - index, len(steps), steps[index])
            run = self._undo_step(run, index, steps[index], rebuilt_since)
        for index in rebuilt_since:
            run = self._run_again(run, index)
        return self._journal.add(run, Undone(finished=now()))

    def _undo_step(self, run: Run, index: int, step: Step, rebuilt_since: list[int]) -> Run:
        intent = run.intent(index)
        assert intent is not None  # noqa: S101  (_is_open)
        match step:
            case FileStep():
                return self._undo_file(run, index, step, intent)
            case CommandStep():
                return self._undo_command(run, index, intent, rebuilt_since)
            case BindStep():
                return self._undo_bind(run, index, step, intent)

    def _run_again(self, run: Run, index: int) -> Run:
        """The host rewrote the command's files since: let it write them without us in it."""
        step = run.begin.plan.steps[index]
        assert isinstance(step, CommandStep)  # noqa: S101
        self._machine.runner.run(step.argv, timeout_s=_COMMAND_TIMEOUT_S)
        return self._journal.add(run, StepUndone(step=index))

    def _undo_file(self, run: Run, index: int, step: FileStep, intent: Intent) -> Run:
        directory = step.path.rpartition("/")[0]
        for name in _temporaries(run, index):
            self._files.remove(f"{directory}/{name}")
        found = self._files.read(step.path)
        kept: tuple[str, ...] = ()
        if found not in (encoded(step.after), encoded(step.before)):
            kept = (step.path,)
        elif found != encoded(step.before):
            entry = UndoIntent(step=index, temporary=temporary_name())
            run = self._journal.add(run, entry)
            put(self._files, step.path, step.before, entry.temporary, intent.before[0])
        for created in reversed(intent.created_directories):
            self._files.remove_directory_if_empty(created)
        return self._journal.add(run, StepUndone(step=index, kept=kept))

    def _undo_command(self, run: Run, index: int, intent: Intent, rebuilt_since: list[int]) -> Run:
        """Put back the bytes, unless the host rewrote a file since: then run the command again.

        That is done last, after our files are gone. A kernel that was removed since has no image
        to restore and none to rebuild.
        """
        done = run.done(index)
        after = {each.path: each.sha256 for each in done.after} if done else {}
        for name in _temporaries(run, index):
            for before in intent.before:
                self._files.remove(f"{before.path.rpartition('/')[0]}/{name}")
        found = {each.path: self._files.image(each.path).sha256 for each in intent.before}
        changed = [each for each in intent.before if found[each.path] != each.sha256]
        if any(
            found[each.path] not in (after.get(each.path, found[each.path]), None)
            for each in changed
        ):
            rebuilt_since.append(index)
            return run
        for before in changed:
            if before.sha256 is None or found[before.path] is not None or not done:
                run = self._restore(run, index, before)
        return self._journal.add(run, StepUndone(step=index))

    def _restore(self, run: Run, index: int, before: FileImage) -> Run:
        if before.kept is None:
            self._files.remove(before.path)
            return run
        entry = UndoIntent(step=index, temporary=temporary_name())
        run = self._journal.add(run, entry)
        copy = f"{KEPT}/{before.kept}"
        if self._files.image(copy).sha256 != before.sha256:
            raise ConflictError("copy-damaged", path=before.path, kept=copy)
        self._files.replace(
            before.path, self._files.blocks(copy), temporary=entry.temporary, like=before
        )
        return run

    def _undo_bind(self, run: Run, index: int, step: BindStep, intent: Intent) -> Run:
        """Only what was moved in this boot is moved back; a reboot has undone it already."""
        same_boot = run.begin.boot_id == self._machine.boot_id
        if self._machine.is_live and same_boot and driver_of(self._files, step.address) == VFIO:
            run = self._journal.add(run, UndoIntent(step=index))
            hand_back(
                self._files, step.address, override=intent.driver_override, driver=step.from_driver
            )
        return self._journal.add(run, StepUndone(step=index))


def _is_open(run: Run, index: int) -> bool:
    """True for a step that was begun and not yet taken back."""
    return run.intent(index) is not None and not run.is_step_undone(index)


def _temporaries(run: Run, index: int) -> set[str]:
    """Temporary names that any attempt at this step may have left beside the file."""
    return {
        entry.temporary
        for entry in run.entries
        if isinstance(entry, Intent | UndoIntent) and entry.step == index and entry.temporary
    }
