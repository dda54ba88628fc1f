"""Carry out a plan: an entry on disk before each step, every precondition looked at again.

A run that is cut off anywhere is finished by the next apply (forwards) or undo (backwards);
both start from the journal and from what is really on disk, never from what should be there.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from .. import __version__
from ..errors import BusyError, ConflictError, EnvironmentFault
from ..host.files import HostFiles
from ..host.runner import Runner
from ..model.efivar import variable_path
from ..model.journal import Applied, Begin, Done, Failed, FileImage, Intent, Run
from ..model.pci import VFIO
from ..model.plan import (
    BindStep,
    CommandStep,
    CopyStep,
    EspEntryStep,
    FileStep,
    LoaderVariableStep,
    MappingStep,
    Plan,
    RefreshStep,
    Step,
    VmConfigStep,
    VmCreateStep,
)
from ..model.trial import Trial
from .bind import bind_to_vfio, driver_of, identity_of, override_of
from .command import run_command
from .esp import BootPartitions
from .espentry import EspEntries, LoaderVariables, temporaries
from .journal import HOME, KEPT, Journal
from .vm import change_mapping, change_vm
from .vmcreate import create_vm

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..pve.node import Pve

_SPACE_MARGIN_BYTES = 16 << 20

Announce = Callable[[str, int, int, Step], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What an execution acts on. ``is_live``: sysfs and commands are those of this host.

    ``pve``: gives the Proxmox VE that a run speaks with, asked only if it has to.
    """

    files: HostFiles
    runner: Runner
    is_live: bool
    boot_id: str
    pve: Callable[[], Pve] | None = None

    def node(self) -> Pve:
        if self.pve is None:
            raise EnvironmentFault("pve-not-here")
        return self.pve()


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def exclusive(machine: Machine) -> Iterator[None]:
    """Hold the lock of this root, or raise BusyError.

    Programs that we start inherit the lock: should we be killed, the next run waits for them.
    """
    files = machine.files
    files.make_directories(HOME, 0o700)
    with files.locked(HOME) as descriptor:
        if descriptor is None:
            raise BusyError("locked", path=HOME)
        machine.runner.keep_open = (descriptor,)
        try:
            yield
        finally:
            machine.runner.keep_open = ()
            # Nothing was begun: then nothing of us is left either.
            files.remove_directory_if_empty(HOME)


class Executor:
    """Runs plans on one machine. ``announce`` is told of each step before it starts."""

    def __init__(self, machine: Machine, announce: Announce | None = None) -> None:
        self._machine = machine
        self._files = machine.files
        self._journal = Journal(machine.files)
        self._announce = announce

    def apply(self, plan: Plan, verb: str, trial: Trial | None = None) -> Run:
        """Begin a run and carry out every step. Raises ToolError at the first surprise."""
        begin = Begin(
            verb=verb, version=__version__, started=now(), boot_id=self._machine.boot_id,
            plan=plan, trial=trial,
        )  # fmt: skip
        return self.finish(self._journal.begin(begin))

    def finish(self, run: Run) -> Run:
        """Carry out what is left of a run: all of it, or the rest after an interruption."""
        steps = run.begin.plan.steps
        for index, step in enumerate(steps):
            if run.done(index) is None:
                if isinstance(step, BindStep) and run.begin.boot_id != self._machine.boot_id:
                    # The boot in between has bound it by its rule, or had a reason not to.
                    run = self._journal.add(run, Done(step=index))
                    continue
                if self._announce:
                    self._announce("apply", index + 1, len(steps), step)
                run = self._execute(run, index, step)
        return self._journal.add(run, Applied(finished=now()))

    def _execute(self, run: Run, index: int, step: Step) -> Run:  # noqa: PLR0911
        match step:
            case FileStep():
                return self._write(run, index, step)
            case CommandStep():
                return self._command(run, index, step)
            case RefreshStep():
                return self._refresh(run, index, step)
            case CopyStep():
                return self._copy(run, index, step)
            case EspEntryStep():
                return self._place_entry(run, index, step)
            case LoaderVariableStep():
                return self._set_variable(run, index, step)
            case BindStep():
                return self._bind(run, index, step)
            case VmCreateStep():
                return self._create_vm(run, index, step)
            case VmConfigStep() | MappingStep():
                return self._change_at_pve(run, index, step)

    def _write(self, run: Run, index: int, step: FileStep) -> Run:
        earlier = run.intent(index)
        if earlier is not None:
            self._files.remove(_beside(step.path, earlier.temporary))
        found = self._files.read(step.path)
        if found == encoded(step.after) and earlier is not None:
            return self._journal.add(run, Done(step=index, after=(self._files.image(step.path),)))
        if found != encoded(step.before):
            raise ConflictError("file-changed", path=step.path)
        before = self._files.image(step.path)
        parent = step.path.rpartition("/")[0]
        missing = () if step.after is None else self._files.missing_directories(parent)
        intent = Intent(
            step=index,
            before=(before,),
            temporary=temporary_name(),
            created_directories=missing or (earlier.created_directories if earlier else ()),
        )
        run = self._journal.add(run, intent)
        put(self._files, step.path, encoded(step.after), intent.temporary, _like(before, step.mode))
        return self._journal.add(run, Done(step=index, after=(self._files.image(step.path),)))

    def _command(self, run: Run, index: int, step: CommandStep) -> Run:
        if self._needs_copies(run, index, step):
            kept = tuple(self._keep(image) for image in self._images(step))
            intent = Intent(
                step=index, before=kept, boot_id=self._machine.boot_id, temporary=temporary_name()
            )
            run = self._journal.add(run, intent)
        begun = run.intent(index)
        assert begun is not None  # noqa: S101  (the first attempt has added it)
        try:
            run_command(self._files, self._machine.runner, step, begun.temporary)
        except EnvironmentFault:
            self._journal.add(run, Failed(step=index, after=self._images(step)))
            raise
        return self._journal.add(run, Done(step=index, after=self._images(step)))

    def _refresh(self, run: Run, index: int, step: RefreshStep) -> Run:
        """A second attempt does all of it again: half of it proves nothing."""
        intent = Intent(step=index, temporary=temporary_name(), boot_id=self._machine.boot_id)
        partitions = BootPartitions(self._files, self._machine.runner, intent.temporary)
        partitions.tidy_up(run, index)
        run = self._journal.add(run, intent)
        partitions.refresh(step)
        return self._journal.add(run, Done(step=index))

    def _place_entry(self, run: Run, index: int, step: EspEntryStep) -> Run:
        """A second attempt writes all of it again: every name is ours alone."""
        intent, old = Intent(step=index, temporary=temporary_name()), temporaries(run, index)
        entries = EspEntries(self._files, self._machine.runner, intent.temporary)
        entries.partitions.tidy_up(run, index)
        run = self._journal.add(run, intent)
        entries.place(step, old, self._demand_space)
        return self._journal.add(run, Done(step=index))

    def _set_variable(self, run: Run, index: int, step: LoaderVariableStep) -> Run:
        variables = LoaderVariables(self._files, self._machine.runner)
        found = variables.value(step.name)
        if found not in (step.before, step.after):
            raise ConflictError("file-changed", path=variable_path(step.name))
        run = self._journal.add(run, Intent(step=index))
        if found != step.after:
            variables.set(step.name, step.after)
        return self._journal.add(run, Done(step=index))

    def _create_vm(self, run: Run, index: int, step: VmCreateStep) -> Run:
        earlier = run.intents(index)
        intent = Intent(
            step=index, temporary=temporary_name(), boot_id=self._machine.boot_id,
            created_directories=self._files.missing_directories(step.snippet.rpartition("/")[0])
            if step.snippet else (),
        )  # fmt: skip
        pve = self._machine.node()

        def begin() -> None:
            nonlocal run
            run = self._journal.add(run, intent)

        values = create_vm(
            pve, self._files, step, temporary=intent.temporary,
            leftover=tuple(each.temporary for each in earlier), begin=begin,
        )  # fmt: skip
        return self._journal.add(run, Done(step=index, values=values))

    def _change_at_pve(self, run: Run, index: int, step: VmConfigStep | MappingStep) -> Run:
        """PVE is asked what it has before anything is written down or called."""
        is_again, values = run.intent(index) is not None, None

        def begin() -> None:
            nonlocal run
            run = self._journal.add(run, Intent(step=index, boot_id=self._machine.boot_id))

        pve = self._machine.node()
        if isinstance(step, MappingStep):
            change_mapping(pve, step, is_again=is_again, begin=begin)
        else:
            values = change_vm(pve, step, is_again=is_again, begin=begin)
        return self._journal.add(run, Done(step=index, values=values))

    def _copy(self, run: Run, index: int, step: CopyStep) -> Run:
        earlier, found = run.intent(index), self._files.image(step.path)
        source = self._files.image(step.source)
        if earlier is not None:
            self._files.remove(_beside(step.path, earlier.temporary))
            if found.sha256 is not None and found.sha256 == source.sha256:
                return self._journal.add(run, Done(step=index, after=(found,)))
        if found.sha256 is not None or source.sha256 is None:
            raise ConflictError("file-changed", path=step.path if found.sha256 else step.source)
        self._demand_space(step.source, step.source.rpartition("/")[0])
        parent = step.path.rpartition("/")[0]
        missing = self._files.missing_directories(parent)
        intent = Intent(
            step=index, before=(found,), temporary=temporary_name(),
            created_directories=missing or (earlier.created_directories if earlier else ()),
        )  # fmt: skip
        run = self._journal.add(run, intent)
        self._files.make_directories(parent)
        blocks = self._files.blocks(step.source)
        self._files.replace(step.path, blocks, temporary=intent.temporary, like=source)
        return self._journal.add(run, Done(step=index, after=(self._files.image(step.path),)))

    def _demand_space(self, source: str, directory: str) -> None:
        """A copy must leave some room for everybody else."""
        needed = self._files.size(source) + _SPACE_MARGIN_BYTES
        if self._files.free_bytes(directory) < needed:
            raise EnvironmentFault(
                "disk-full", path=directory, reason=f"{needed >> 20} MiB are needed for a copy"
            )

    def _images(self, step: CommandStep) -> tuple[FileImage, ...]:
        return tuple(self._files.image(path) for path in step.touches)

    def _needs_copies(self, run: Run, index: int, step: CommandStep) -> bool:
        """True at the first attempt, and where the host rewrote the files after a failed one.

        Otherwise the copies of the first attempt are the ones to keep.
        """
        if run.intent(index) is None:
            return True
        failed = run.outcome(index)
        return failed is not None and failed.after != self._images(step)

    def _keep(self, image: FileImage) -> FileImage:
        """Copy the bytes of a file into our store before a command may rewrite it."""
        if image.sha256 is None:
            return image
        self._demand_space(image.path, HOME)
        target = f"{KEPT}/{image.sha256}"
        blocks = self._files.blocks(image.path)
        self._files.replace(target, blocks, temporary=temporary_name(), like=_ours(target, 0o600))
        return FileImage(
            path=image.path, sha256=image.sha256, kept=image.sha256, mode=image.mode,
            owner=image.owner, group=image.group, xattrs=image.xattrs,
        )  # fmt: skip

    def _bind(self, run: Run, index: int, step: BindStep) -> Run:
        if not self._machine.is_live:
            raise EnvironmentFault("not-live", address=step.address)
        if identity_of(self._files, step.address) != step.identity:
            raise ConflictError("identity-changed", address=step.address)
        driver = driver_of(self._files, step.address)
        if driver == VFIO and run.intent(index) is not None:
            return self._journal.add(run, Done(step=index))
        if driver not in (step.from_driver, None):
            raise ConflictError("driver-changed", address=step.address, driver=driver or "-")
        if run.intent(index) is None:
            override = override_of(self._files, step.address)
            intent = Intent(step=index, driver_override=override, boot_id=self._machine.boot_id)
            run = self._journal.add(run, intent)
        bind_to_vfio(self._files, self._machine.runner, step.address)
        return self._journal.add(run, Done(step=index))


def encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8")


def temporary_name() -> str:
    """A name nobody can foresee; it goes into the journal before the file is made."""
    return f".hostpci-{secrets.token_hex(8)}.tmp"


def _beside(path: str, name: str) -> str:
    return f"{path.rpartition('/')[0]}/{name}"


def _like(before: FileImage, mode: int) -> FileImage:
    """Keep owner, mode and attributes of what is replaced; a new file is root's."""
    if before.sha256 is not None:
        return before
    return _ours(before.path, mode)


def _ours(path: str, mode: int) -> FileImage:
    return FileImage(path=path, sha256=None, mode=mode, owner=os.geteuid(), group=os.getegid())


def put(
    files: HostFiles, path: str, content: bytes | None, temporary: str, like: FileImage
) -> None:
    """Make ``path`` hold ``content``, or not exist."""
    if content is None:
        files.remove(path)
    else:
        files.make_directories(path.rpartition("/")[0])
        files.replace(path, (content,), temporary=temporary, like=like)
