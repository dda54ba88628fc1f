"""Takes back what runs changed at PVE; what somebody changed since is left, and named."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ..model.journal import Intent, Run, StepUndone, UndoIntent
from ..model.plan import MappingStep, VmConfigStep, VmCreateStep
from .journal import Journal
from .vm import (
    VmConfig,
    Vms,
    mapping_undo,
    read_mapping,
    take_back_mapping,
    take_back_vm,
    vm_undo,
)
from .vmcreate import VmCreateUndo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..pve.node import Pve
    from .apply import Machine

PveStep = VmCreateStep | VmConfigStep | MappingStep


class PveUndo:
    """The part of an undo that lies at PVE."""

    def __init__(self, machine: Machine, journal: Journal) -> None:
        self._machine = machine
        self._journal = journal
        self._created = VmCreateUndo(machine, journal)

    def look(self, runs: tuple[Run, ...]) -> Iterator[tuple[int, str]]:
        """(run, what is in the way), newest run first. Reads only.

        Each step is held against what is there once the newer ones are taken back: a machine that
        was made here is judged without what it was given since, and is gone for older steps.
        """
        steps = [(run, index, step) for run in runs for index, step in _open_steps(run)]
        if not steps:
            return
        later = _Later(self._machine.node())
        for run, index, step in steps:
            if isinstance(step, MappingStep):
                why = later.without_mapping(step)
            elif isinstance(step, VmConfigStep):
                why = later.without_settings(run, index, step)
            else:
                why = self._created.in_the_way(run, index, step, later.values(step.vmid))
                if not why:
                    later.destroy(step)
            yield from ((run.number, each) for each in why)

    def undo(self, run: Run, index: int, step: PveStep) -> Run:
        if isinstance(step, VmCreateStep):
            return self._created.undo(run, index, step)
        return self._set_back(run, index, step)

    def _set_back(self, run: Run, index: int, step: VmConfigStep | MappingStep) -> Run:
        def begin() -> None:
            nonlocal run
            run = self._journal.add(run, UndoIntent(step=index))

        pve, merged = self._machine.node(), tuple[str, ...]()
        if isinstance(step, MappingStep):
            kept, merged = take_back_mapping(pve, step, begin=begin)
        else:
            kept = take_back_vm(
                pve, step, _written(run, index), since_s=_started_s(run), begin=begin
            )
        return self._journal.add(run, StepUndone(step=index, kept=kept, merged=merged))


def _open_steps(run: Run) -> Iterator[tuple[int, PveStep]]:
    """Steps that were begun and not yet taken back, the last one first."""
    for index, step in reversed(list(enumerate(run.begin.plan.steps))):
        is_open = isinstance(run.intent(index), Intent) and not run.is_step_undone(index)
        if isinstance(step, PveStep) and is_open:
            yield index, step


class _Later:
    """What PVE has once the steps that were told to it are taken back."""

    def __init__(self, pve: Pve) -> None:
        self._pve = pve
        self._machines: dict[int, VmConfig | None] = {}
        self._mappings: dict[str, tuple[str, ...] | None] = {}

    def values(self, vmid: int) -> dict[str, str]:
        found = self._machine(vmid)
        return dict(found.values) if found else {}

    def destroy(self, step: VmCreateStep) -> None:
        if step.uuid in self.values(step.vmid).get("smbios1", ""):
            self._machines[step.vmid] = None

    def without_mapping(self, step: MappingStep) -> tuple[str, ...]:
        if step.name not in self._mappings:
            self._mappings[step.name] = read_mapping(self._pve, step.name)[0]
        back = mapping_undo(step, self._mappings[step.name])
        if back is None:
            return (f"mapping {step.name}",)
        self._mappings[step.name] = back.entries
        return ()

    def without_settings(self, run: Run, index: int, step: VmConfigStep) -> tuple[str, ...]:
        found = self._machine(step.vmid)
        if found is None:
            return ()
        undo, name = vm_undo(step, _written(run, index), dict(found.values)), f"VM {step.vmid}"
        why = [f"{name} {key}" for key in undo.in_the_way]
        if undo.wanted and found.is_running:
            why.insert(0, f"{name} (running)")
        elif undo.wanted and found.lock:
            why.insert(0, f"{name} (lock: {found.lock})")
        for key, value in undo.wanted.items():
            found.values.pop(key, None)
            if value is not None:
                found.values[key] = value
        return tuple(why)

    def _machine(self, vmid: int) -> VmConfig | None:
        if vmid not in self._machines:
            self._machines[vmid] = Vms(self._pve).read(vmid)
        return self._machines[vmid]


def _written(run: Run, index: int) -> dict[str, str]:
    done = run.done(index)
    return (done.values or {}) if done else {}


def _started_s(run: Run) -> int:
    return int(datetime.fromisoformat(run.begin.started).timestamp())
