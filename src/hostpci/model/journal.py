"""The write-ahead journal of one run: intentions before, results after, never rewritten."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from .plan import FileStep, Plan, RefreshStep
from .proof import Proofs
from .trial import By, Reason, Trial


class RunState(StrEnum):
    """Derived from the entries: APPLYING and UNDOING are runs that were interrupted."""

    APPLYING = "applying"
    APPLIED = "applied"
    UNDOING = "undoing"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileImage:
    """What a file was: ``sha256`` None means absent. ``kept``: name of the copy in our store."""

    path: str
    sha256: str | None
    kept: str | None = None
    mode: int = 0o644
    owner: int = 0
    group: int = 0
    xattrs: dict[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    KIND: ClassVar[str] = "begin"

    verb: str
    version: str
    started: str
    boot_id: str
    plan: Plan
    trial: Trial | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """Written and synced before a step touches anything.

    ``temporary``: name of the temporary file that a killed run may leave beside the target.
    ``boot_id``: the boot in which it was written; what sysfs holds ends with that boot.
    """

    KIND: ClassVar[str] = "intent"

    step: int
    before: tuple[FileImage, ...] = ()
    temporary: str = ""
    created_directories: tuple[str, ...] = ()
    driver_override: str | None = None
    boot_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """``values``: of a virtual machine, what PVE made of what it was asked for."""

    KIND: ClassVar[str] = "done"

    step: int
    after: tuple[FileImage, ...] = ()
    values: dict[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A command that did not succeed, and what its files were right after."""

    KIND: ClassVar[str] = "failed"

    step: int
    after: tuple[FileImage, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    KIND: ClassVar[str] = "applied"

    finished: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoIntent:
    KIND: ClassVar[str] = "undo-intent"

    step: int
    temporary: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepUndone:
    """``kept``: what was left as it is: paths that somebody changed since, or a function that
    no host driver took back. ``merged``: files that somebody changed since, and of which only
    our own words were taken out.
    """

    KIND: ClassVar[str] = "step-undone"

    step: int
    kept: tuple[str, ...] = ()
    merged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    KIND: ClassVar[str] = "undone"

    finished: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Booted:
    """The watcher of a trial has begun its work in this boot."""

    KIND: ClassVar[str] = "booted"

    boot_id: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """What the boot after a run is worth: the proofs of all claims, without a reset."""

    KIND: ClassVar[str] = "proved"

    boot_id: str
    at: str
    proofs: Proofs


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """The trial ended well; only its own parts are still to be taken back."""

    KIND: ClassVar[str] = "confirmed"

    at: str
    by: By


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """The trial ended badly, decided before anything is taken back. ``details``: what failed."""

    KIND: ClassVar[str] = "given-up"

    at: str
    reason: Reason
    details: tuple[str, ...] = ()


TrialEntry = Booted | Proved | Confirmed | GivenUp
Entry = Begin | Intent | Done | Failed | Applied | UndoIntent | StepUndone | Undone | TrialEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One journal file, read. ``number`` counts from 1."""

    number: int
    entries: tuple[Entry, ...]

    @property
    def begin(self) -> Begin:
        first = self.entries[0]
        assert isinstance(first, Begin)  # noqa: S101  (the reader refuses a file without it)
        return first

    @property
    def state(self) -> RunState:
        kinds = {type(entry) for entry in self.entries}
        if Undone in kinds:
            return RunState.UNDONE
        if kinds & {UndoIntent, StepUndone}:
            return RunState.UNDOING
        return RunState.APPLIED if Applied in kinds else RunState.APPLYING

    def intents(self, step: int) -> tuple[Intent, ...]:
        """Every attempt at a step, oldest first."""
        return tuple(
            each for each in self.entries if isinstance(each, Intent) and each.step == step
        )

    def intent(self, step: int) -> Intent | None:
        found = self.intents(step)
        return found[-1] if found else None

    def outcome(self, step: int) -> Done | Failed | None:
        """What is known of the files after the last attempt at a step."""
        found = [
            each for each in self.entries if isinstance(each, Done | Failed) and each.step == step
        ]
        return found[-1] if found else None

    @property
    def kept(self) -> tuple[str, ...]:
        """What an undo left as it was."""
        steps = (each for each in self.entries if isinstance(each, StepUndone))
        return tuple(dict.fromkeys(path for each in steps for path in each.kept))

    @property
    def merged(self) -> tuple[str, ...]:
        """Files of which an undo took out only our words."""
        steps = (each for each in self.entries if isinstance(each, StepUndone))
        return tuple(dict.fromkeys(path for each in steps for path in each.merged))

    def done(self, step: int) -> Done | None:
        found = [each for each in self.entries if isinstance(each, Done) and each.step == step]
        return found[-1] if found else None

    def is_step_undone(self, step: int) -> bool:
        return any(isinstance(each, StepUndone) and each.step == step for each in self.entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    runs: tuple[Run, ...]

    def refreshed_words(self) -> tuple[str, ...]:
        """The words that a run has read back from every boot partition, and none took off."""
        found: list[str] = []
        for run in self.runs:
            for index, step in enumerate(run.begin.plan.steps):
                is_in_force = run.done(index) is not None and not run.is_step_undone(index)
                if isinstance(step, RefreshStep) and is_in_force:
                    found = [word for word in found if word not in step.gone] + list(step.words)
        return tuple(dict.fromkeys(found))

    def own_words(self, path: str) -> tuple[str, ...]:
        """The words that runs put into a command line at ``path``, and that none took out."""
        own: list[str] = []
        for run in self.runs:
            for index, step in enumerate(run.begin.plan.steps):
                is_in_force = run.done(index) is not None and not run.is_step_undone(index)
                if isinstance(step, FileStep) and step.path == path and is_in_force:
                    own = [word for word in own if word not in step.takes] + list(step.adds)
        return tuple(dict.fromkeys(own))
