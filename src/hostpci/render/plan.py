"""A plan for a person: each step with why, what exactly, what it risks and how it is undone."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from ..i18n import Catalog
from ..model.efivar import bootctl_argv
from ..model.plan import (
    BindStep,
    CommandStep,
    CopyStep,
    EspEntryStep,
    FileStep,
    KeyChange,
    LoaderVariableStep,
    MappingStep,
    Plan,
    Reboot,
    RefreshStep,
    Step,
    VmConfigStep,
    VmCreateStep,
)
from .findings import render_finding


def step_target(step: Step) -> str:  # noqa: PLR0911
    match step:
        case FileStep() | CopyStep():
            return step.path
        case CommandStep() | RefreshStep():
            return " ".join(step.argv)
        case EspEntryStep():
            return ", ".join(f"{uuid}:/{step.path}" for uuid in step.uuids)
        case LoaderVariableStep():
            return " ".join(bootctl_argv(step.name, step.after))
        case BindStep():
            return step.address
        case VmCreateStep():
            return f"VM {step.vmid} ({step.node})"
        case VmConfigStep():
            return f"VM {step.vmid}"
        case MappingStep():
            return f"/etc/pve/mapping/pci.cfg: {step.name}"


def render_plan(plan: Plan, catalog: Catalog) -> Iterator[tuple[str, str]]:
    if plan.refusals:
        yield catalog.text("plan.refused"), "FAIL"
        named: set[str] = set()
        for finding in plan.refusals:
            yield from render_finding(finding, catalog, named)
        return
    yield from render_steps(plan, catalog)
    yield from _render_end(plan, catalog)


def render_steps(plan: Plan, catalog: Catalog) -> Iterator[tuple[str, str]]:
    for number, step in enumerate(plan.steps, start=1):
        yield from _render_step(number, step, catalog)
    if not plan.steps:
        yield catalog.text("plan.nothing"), "PASS"


def _render_step(number: int, step: Step, catalog: Catalog) -> Iterator[tuple[str, str]]:
    title = catalog.step_text(step.code)
    yield f"{number}. {title}: {step_target(step)}", "HEAD"
    for aspect in ("why", "risk", "undo"):
        label = catalog.text(f"plan.{aspect}")
        yield f"   {label} {catalog.step_text(step.code, aspect)}", ""
    for line in diff(step):
        yield f"   {line}", "PASS" if line.startswith("+") else ""
    yield "", ""


def diff(step: Step) -> Iterator[str]:
    """The change of a file as a unified diff; commands and bindings say what they touch."""
    match step:
        case FileStep():
            before, after = _lines(step.before), _lines(step.after)
            names = ("/dev/null" if step.before is None else step.path,
                     "/dev/null" if step.after is None else step.path)  # fmt: skip
            yield from difflib.unified_diff(before, after, *names, lineterm="")
        case CommandStep():
            yield from (f"~ {path}" for path in step.touches)
        case RefreshStep():
            yield from (f"~ + {word}" for word in step.words)
            yield from (f"~ - {word}" for word in step.gone)
        case CopyStep():
            yield f"+ {step.source} -> {step.path}"
        case EspEntryStep():
            pairs = zip(step.images, step.copies, strict=False)
            yield from (f"+ {image} -> {copy}" for image, copy in pairs)
            if step.note:
                yield f"+ {step.note}"
            yield from (f"+{line}" for line in _lines(step.text))
        case LoaderVariableStep():
            yield f"~ {step.name}: {step.before or '-'} -> {step.after}"
        case BindStep():
            yield f"~ {step.from_driver or '-'} -> vfio-pci"
        case VmCreateStep() | VmConfigStep() | MappingStep():
            yield from _at_pve(step)


def _at_pve(step: VmCreateStep | VmConfigStep | MappingStep) -> Iterator[str]:
    match step:
        case VmCreateStep():
            yield from _new_machine(step)
        case VmConfigStep():
            yield from config_diff(step.changes)
        case MappingStep():
            yield from (f"-  map {each}" for each in _only_in(step.before, step.after))
            yield from (f"+  map {each}" for each in _only_in(step.after, step.before))


def config_diff(changes: Iterable[KeyChange]) -> Iterator[str]:
    """Settings of a machine as its configuration file shows them."""
    for each in changes:
        if each.before is not None:
            yield f"-{each.key}: {each.before}"
        if each.after is not None:
            yield f"+{each.key}: {each.after}"


def _only_in(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> list[str]:
    return [each for each in one or () if each not in (other or ())]


def _new_machine(step: VmCreateStep) -> Iterator[str]:
    yield from (f"+{key}: {value}" for key, value in step.settings.items())
    yield f"~ scsi0: {step.disk_gib} GiB"
    if step.snippet:
        yield f"+ {step.snippet}"
        yield from (f"+  {line}" for line in _lines(step.snippet_text))


def _lines(text: str | None) -> list[str]:
    """Lines whose ends can be seen where they are not the usual ones."""
    lines = (text or "").split("\n")
    ended = lines[:-1] if lines[-1] == "" else [*lines[:-1], f"{lines[-1]}\\ no newline at end"]
    return [line.replace("\r", "^M") for line in ended]


def _render_end(plan: Plan, catalog: Catalog) -> Iterator[tuple[str, str]]:
    for note in plan.notes:
        yield from render_finding(note, catalog)
    if plan.reboot is Reboot.ONE:
        waiting = ", ".join(plan.pending) or "IOMMU"
        yield catalog.text("plan.reboot-one", waiting=waiting), "NOTICE"
        for slot in plan.can_bind_now:
            yield catalog.text("plan.can-bind-now", slot=slot), ""
    else:
        yield catalog.text("plan.reboot-none"), ""
