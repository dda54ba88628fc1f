"""Take runs back, newest first, byte for byte; what was changed since is never lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..errors import ConflictError, EnvironmentFault
from ..model.hook import HOOK
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
from ..model.plan import (
    BindStep,
    CommandStep,
    CopyStep,
    EspEntryStep,
    FileStep,
    LoaderVariableStep,
    MappingStep,
    RefreshStep,
    Step,
    VmConfigStep,
    VmCreateStep,
)
from ..model.words import add_words, split_words, take_words
from .apply import Announce, Machine, encoded, now, put, temporary_name
from .baseline import remove_baseline
from .bind import hand_back
from .command import remove_made, run_command
from .esp import KERNEL_CMDLINE, BootPartitions
from .espentry import EspEntries, LoaderVariables, temporaries
from .hook import names_of_hook
from .journal import KEPT, Journal
from .vmundo import PveUndo

# Content of a path that is no regular file any more: somebody's link or directory
_FOREIGN = b"\0not a regular file\0"
_FOREIGN_FAULTS = {"not-a-file", "link-in-path"}


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
        self._at_pve = PveUndo(machine, self._journal)

    def undo(self, history: History) -> tuple[Run, ...]:
        """Undo every run of ``history`` that is not undone. Checks all of them first.

        Raises ConflictError naming what is in the way, before anything is touched.
        """
        runs = [run for run in reversed(history.runs) if run.state is not RunState.UNDONE]
        obstacles = list(self.obstacles(tuple(runs)))
        if obstacles and not self._skip_changed:
            paths = ", ".join(dict.fromkeys(each.path for each in obstacles))
            raise ConflictError("in-the-way", path=paths, run=obstacles[0].run)
        undone = tuple(self._undo_run(run) for run in runs)
        # What ends with a trial alone is its watcher: what was applied stands
        if any(run.begin.trial is None for run in undone):
            remove_baseline(self._files)
        return undone

    def obstacles(self, runs: tuple[Run, ...]) -> Iterator[InTheWay]:
        """What somebody changed since, in the order of the undo (newest run first). Reads only.

        Each step is held against what the file will hold once the newer steps are taken back.
        """
        holds: dict[str, bytes | None] = {}
        for run in runs:
            for index, step in reversed(list(enumerate(run.begin.plan.steps))):
                if not isinstance(step, FileStep) or not _is_open(run, index):
                    continue
                if step.path not in holds:
                    holds[step.path] = self._content(step.path)
                back = taken_back(step, holds[step.path])
                if back is None:
                    yield InTheWay(run=run.number, path=step.path)
                else:
                    holds[step.path] = back.content
        for number, what in self._at_pve.look(runs):
            yield InTheWay(run=number, path=what)

    def _content(self, path: str) -> bytes | None:
        """Content of a file, None if absent; a link or directory there is somebody's change."""
        try:
            return self._files.read(path)
        except EnvironmentFault as fault:
            if fault.code in _FOREIGN_FAULTS:
                return _FOREIGN
            raise

    def _undo_run(self, run: Run) -> Run:
        steps = run.begin.plan.steps
        run_again: list[int] = []
        for index in reversed(range(len(steps))):
            if not _is_open(run, index):
                continue
            if self._announce:
                self._announce("undo", len(steps) - index, len(steps), steps[index])
            run = self._undo_step(run, index, steps[index], run_again)
        for index in sorted(run_again):
            run = self._run_again(run, index)
        return self._journal.add(run, Undone(finished=now()))

    def _undo_step(  # noqa: PLR0911
        self, run: Run, index: int, step: Step, run_again: list[int]
    ) -> Run:
        if isinstance(step, RefreshStep):
            run_again.append(index)
            return run
        intent = run.intent(index)
        assert intent is not None  # noqa: S101  (_is_open)
        match step:
            case FileStep():
                return self._undo_file(run, index, step, intent)
            case CommandStep():
                remove_made(self._files, step)
                return self._undo_command(run, index, intent, run_again)
            case CopyStep():
                return self._undo_copy(run, index, step)
            case EspEntryStep():
                return self._undo_entry(run, index, step)
            case LoaderVariableStep():
                return self._undo_variable(run, index, step)
            case BindStep():
                return self._undo_bind(run, index, step, intent)
            case VmConfigStep() | MappingStep():
                return self._at_pve.undo(run, index, step)
            case VmCreateStep():
                run = self._at_pve.undo(run, index, step)
                self._remove_directories(run, index)
                return run

    def _run_again(self, run: Run, index: int) -> Run:
        """The host rewrote the command's files since: let it write them without us in it."""
        step = run.begin.plan.steps[index]
        if isinstance(step, RefreshStep):
            return self._refresh_again(run, index, step)
        assert isinstance(step, CommandStep)  # noqa: S101
        entry = UndoIntent(step=index, temporary=temporary_name())
        run = self._journal.add(run, entry)
        run_command(self._files, self._machine.runner, step, entry.temporary)
        return self._journal.add(run, StepUndone(step=index))

    def _refresh_again(self, run: Run, index: int, step: RefreshStep) -> Run:
        """Our files are as they were: let the boot partitions follow, and see that they did."""
        entry = UndoIntent(step=index, temporary=temporary_name())
        partitions = BootPartitions(self._files, self._machine.runner, entry.temporary)
        partitions.tidy_up(run, index)
        run = self._journal.add(run, entry)
        # A file that was left as somebody changed it says what it says
        edits = [each for each in run.begin.plan.steps if isinstance(each, FileStep)]
        left = [word for e in edits if e.path in run.kept for word in (*e.adds, *e.takes)]
        gone = tuple(word for word in step.words if word not in left)
        words = tuple(word for word in step.gone if word not in left)
        partitions.refresh(replace(step, words=words, gone=gone, releases=()))
        return self._journal.add(run, StepUndone(step=index))

    def _undo_file(self, run: Run, index: int, step: FileStep, intent: Intent) -> Run:
        found = self._content(step.path)
        back = self._without_our_words(step, taken_back(step, found))
        users = self._users_of_hook(step, back)
        if users:
            kept: tuple[str, ...] = (f"{step.path} ({', '.join(users)})",)
            return self._journal.add(run, StepUndone(step=index, kept=kept))
        kept = (step.path,) if back is None else ()
        if back is not None:
            self._remove_temporaries(run, index, step.path)
            if found != back.content:
                entry = UndoIntent(step=index, temporary=temporary_name())
                run = self._journal.add(run, entry)
                like = self._files.image(step.path) if back.is_merged else intent.before[0]
                put(self._files, step.path, back.content, entry.temporary, like)
        self._remove_directories(run, index)
        merged = (step.path,) if back is not None and back.is_merged else ()
        return self._journal.add(run, StepUndone(step=index, kept=kept, merged=merged))

    def _undo_copy(self, run: Run, index: int, step: CopyStep) -> Run:
        """The copy is ours alone, whatever it holds by now."""
        run = self._journal.add(run, UndoIntent(step=index))
        self._remove_temporaries(run, index, step.path)
        self._files.remove(step.path)
        self._remove_directories(run, index)
        return self._journal.add(run, StepUndone(step=index))

    def _undo_entry(self, run: Run, index: int, step: EspEntryStep) -> Run:
        entry, old = UndoIntent(step=index, temporary=temporary_name()), temporaries(run, index)
        entries = EspEntries(self._files, self._machine.runner, entry.temporary)
        entries.partitions.tidy_up(run, index)
        run = self._journal.add(run, entry)
        return self._journal.add(run, StepUndone(step=index, kept=entries.take_off(step, old)))

    def _undo_variable(self, run: Run, index: int, step: LoaderVariableStep) -> Run:
        run = self._journal.add(run, UndoIntent(step=index))
        kept = LoaderVariables(self._files, self._machine.runner).put_back(step)
        return self._journal.add(run, StepUndone(step=index, kept=kept))

    def _users_of_hook(self, step: FileStep, back: TakenBack | None) -> tuple[str, ...]:
        """Machines that would not start any more if our script went."""
        is_going = step.path == HOOK and back is not None and back.content is None
        return names_of_hook(self._files) if is_going else ()

    def _remove_directories(self, run: Run, index: int) -> None:
        """Remove what any attempt at this step has made, as far as nothing else is in there."""
        made = dict.fromkeys(
            path for attempt in run.intents(index) for path in attempt.created_directories
        )
        for created in sorted(made, key=len, reverse=True):
            self._files.remove_directory_if_empty(created)

    def _without_our_words(self, step: FileStep, back: TakenBack | None) -> TakenBack | None:
        """A command line that we made is kept, without our words, while they run.

        Without the file proxmox-boot-tool falls back to /proc/cmdline and would make them last.
        """
        is_line = step.path == KERNEL_CMDLINE and bool(step.adds)
        if back is None or back.content is not None or step.after is None or not is_line:
            return back
        running = split_words((self._content("/proc/cmdline") or b"").decode("utf-8", "replace"))
        if not set(step.adds) & set(running):
            return back
        return TakenBack(content=encoded(take_words(step.after, step.adds)), is_merged=True)

    def _remove_temporaries(self, run: Run, index: int, path: str) -> None:
        """Remove what any attempt at this step may have left beside the file."""
        directory = path.rpartition("/")[0]
        for entry in run.entries:
            if isinstance(entry, Intent | UndoIntent) and entry.step == index and entry.temporary:
                self._files.remove(f"{directory}/{entry.temporary}")

    def _undo_command(self, run: Run, index: int, intent: Intent, run_again: list[int]) -> Run:
        """Put back the bytes, unless the host rewrote a file since: then run the command again.

        That is done last, after our files are gone. A kernel that was removed since has no image
        to restore and none to rebuild.
        """
        for before in intent.before:
            self._remove_temporaries(run, index, before.path)
        found = {each.path: self._files.image(each.path).sha256 for each in intent.before}
        changed = [each for each in intent.before if found[each.path] != each.sha256]
        if any(self._is_the_hosts(run, index, each, found[each.path]) for each in changed):
            run_again.append(index)
            return run
        for before in changed:
            if before.kept is not None and found[before.path] is None and run.done(index):
                continue
            if before.kept is not None and not self._is_copy_whole(before):
                run_again.append(index)
                return run
            run = self._restore(run, index, before)
        return self._journal.add(run, StepUndone(step=index))

    def _is_the_hosts(self, run: Run, index: int, before: FileImage, found: str | None) -> bool:
        """True if the file is not what our command left: the host wrote it, and may need it.

        After a cut in the middle of the command nobody knows what it left. In the same boot that
        was our command; later it may as well be a kernel update's.
        """
        if found is None or before.sha256 is None:
            return False
        outcome = run.outcome(index)
        if outcome is None:
            intent = run.intent(index)
            return intent is None or intent.boot_id != self._machine.boot_id
        return found not in {each.sha256 for each in outcome.after if each.path == before.path}

    def _is_copy_whole(self, before: FileImage) -> bool:
        return self._files.image(f"{KEPT}/{before.kept}").sha256 == before.sha256

    def _restore(self, run: Run, index: int, before: FileImage) -> Run:
        if before.kept is None:
            self._files.remove(before.path)
            return run
        entry = UndoIntent(step=index, temporary=temporary_name())
        run = self._journal.add(run, entry)
        blocks = self._files.blocks(f"{KEPT}/{before.kept}")
        self._files.replace(before.path, blocks, temporary=entry.temporary, like=before)
        return run

    def _undo_bind(self, run: Run, index: int, step: BindStep, intent: Intent) -> Run:
        """Only what was moved in this boot is moved back; a reboot has undone it already."""
        kept: tuple[str, ...] = ()
        if self._machine.is_live and intent.boot_id == self._machine.boot_id:
            run = self._journal.add(run, UndoIntent(step=index))
            taken = hand_back(
                self._files, step.address, override=intent.driver_override, driver=step.from_driver
            )
            kept = () if taken else (step.address,)
        return self._journal.add(run, StepUndone(step=index, kept=kept))


def _is_open(run: Run, index: int) -> bool:
    """True for a step that was begun and not yet taken back.

    The boot partitions may have copies of what any earlier step did: the host's own hooks
    refresh them too, when an initramfs is rebuilt.
    """
    begun = [run.intent(index)]
    if isinstance(run.begin.plan.steps[index], RefreshStep):
        begun = [run.intent(earlier) for earlier in range(index + 1)]
    return any(begun) and not run.is_step_undone(index)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """What a file holds once a step is taken back; ``is_merged``: with somebody's change in it."""

    content: bytes | None
    is_merged: bool = False


def taken_back(step: FileStep, found: bytes | None) -> TakenBack | None:
    """None if what is there is neither ours nor what was before: somebody's change.

    Of a command line only our words are taken back then; the line was changed, not replaced. Our
    own file under grub.d is no such line: as long as somebody's change is in it, so are our words.
    """
    is_ours = step.host_rewrites and found != _FOREIGN
    if is_ours or found in (encoded(step.after), encoded(step.before)):
        return TakenBack(content=encoded(step.before))
    if not (step.adds or step.takes) or found == _FOREIGN:
        return None
    if found is None:
        return TakenBack(content=None)
    if step.path != KERNEL_CMDLINE:
        return None
    try:
        text = found.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return TakenBack(
        content=encoded(add_words(take_words(text, step.adds), step.takes)), is_merged=True
    )
