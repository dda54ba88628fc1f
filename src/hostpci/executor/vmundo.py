"""Takes back what runs changed at PVE; what somebody changed since is left, and named."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ..model.journal import Intent, Run, StepUndone, UndoIntent
from ..model.plan import MappingStep, VmConfigStep
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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .apply import Machine

PveStep = VmConfigStep | MappingStep


class PveUndo:
    """The part of an undo that lies at PVE."""

    def __init__(self, machine: Machine, journal: Journal) -> None:
        self._machine = machine
        self._journal = journal

    def look(
        self, runs: tuple[Run, ...]
    ) -> tuple[tuple[tuple[int, str], ...], dict[int, dict[str, str]]]:
        """((run, what is in the way), ...), newest run first, and of each machine its settings as
        they will be once these steps are taken back. Reads only.
        """
        steps = [(run, index, step) for run in runs for index, step in _open_steps(run)]
        if not steps:
            return (), {}
        pve = self._machine.node()
        machines: dict[int, VmConfig | None] = {}
        mappings: dict[str, tuple[str, ...] | None] = {}
        found: list[tuple[int, str]] = []
        for run, index, step in steps:
            if isinstance(step, MappingStep):
                if step.name not in mappings:
                    mappings[step.name] = read_mapping(pve, step.name)[0]
                back = mapping_undo(step, mappings[step.name])
                if back is None:
                    found.append((run.number, f"mapping {step.name}"))
                else:
                    mappings[step.name] = back.entries
                continue
            if step.vmid not in machines:
                machines[step.vmid] = Vms(pve).read(step.vmid)
            texts = _in_the_way(run, index, step, machines[step.vmid])
            found += [(run.number, text) for text in texts]
        return tuple(found), {vmid: each.values for vmid, each in machines.items() if each}

    def undo(self, run: Run, index: int, step: PveStep) -> Run:
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


def _in_the_way(run: Run, index: int, step: VmConfigStep, found: VmConfig | None) -> Iterator[str]:
    """Also moves ``found`` to what it will be once the step is taken back."""
    if found is None:
        return
    undo, name = vm_undo(step, _written(run, index), dict(found.values)), f"VM {step.vmid}"
    if undo.wanted and found.is_running:
        yield f"{name} (running)"
    elif undo.wanted and found.lock:
        yield f"{name} (lock: {found.lock})"
    yield from (f"{name} {key}" for key in undo.in_the_way)
    for key, value in undo.wanted.items():
        found.values.pop(key, None)
        if value is not None:
            found.values[key] = value


def _written(run: Run, index: int) -> dict[str, str]:
    done = run.done(index)
    return (done.values or {}) if done else {}


def _started_s(run: Run) -> int:
    return int(datetime.fromisoformat(run.begin.started).timestamp())
