"""``hostpci undo``: everything back, byte for byte; what was changed since is never lost."""

from __future__ import annotations

from ...errors import Exit, UsageError
from ...model.codec import document
from ...model.journal import History, RunState
from ...model.pci import PciFunction
from ...model.plan import FileStep
from ...model.rule import rule_path
from ...planner.plan import left_on_vfio, rebuild_step, stale_images
from ...render.plan import step_target
from ..context import Context
from .apply import outlive_the_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...executor.apply import Machine

_REBUILD_TIMEOUT_S = 3600


def run(context: Context) -> int:
    history = _chosen(context)
    if not history.runs and not context.args.forget and not _is_left_behind(context):
        context.tell("undo.nothing")
        return Exit.OK
    _show(context, history)
    if context.args.dry_run:
        context.tell("apply.dry-run")
        return Exit.OK
    from ...executor.apply import exclusive

    outlive_the_terminal()
    machine = context.machine()
    with exclusive(machine.files):
        return _undo(context, machine)


def _is_left_behind(context: Context) -> bool:
    """True if an earlier undo was cut off before its last steps, or left them to ``--now``."""
    facts = context.facts()
    return bool(stale_images(facts) or (context.args.now and _ours(context, left_on_vfio(facts))))


def _undo(context: Context, machine: Machine) -> int:
    from ...executor.journal import Journal
    from ...executor.undo import Undoer

    history = _chosen(context)
    undoer = Undoer(machine, skip_changed=context.args.skip_changed, announce=context.announce)
    in_the_way = tuple(undoer.obstacles(tuple(reversed(history.runs))))
    if not context.confirm():
        context.tell("confirm.no")
        return Exit.FAILED
    undone = undoer.undo(history)
    for each in in_the_way:
        context.tell("undo.kept", path=each.path)
    _rebuild_stale(context, machine)
    Journal(machine.files).drop_copies()
    waiting = _give_back(context, machine)
    if context.args.json:
        context.json(document("hostpci.history/1", History(runs=undone)))
    if context.args.forget:
        _forget(machine)
    context.tell("undo.done-but-kept" if in_the_way else "undo.done")
    if waiting:
        context.tell("undo.reboot", waiting=", ".join(waiting))
        return Exit.REBOOT_NEEDED
    return Exit.OK


def _chosen(context: Context) -> History:
    """The runs to take back: all that are not undone, or only the newest of them."""
    runs = [each for each in context.history().runs if each.state is not RunState.UNDONE]
    return History(runs=tuple(runs[-1:] if context.args.last else runs))


def _show(context: Context, history: History) -> None:
    if context.args.json:
        return
    for each in reversed(history.runs):
        begun = each.begin
        context.out(
            context.catalog.text(
                "history.line", number=each.number, started=begun.started, verb=begun.verb,
                state=context.catalog.text(f"state.{each.state}"),
            ),
            "HEAD",
        )  # fmt: skip
        for step in reversed(begun.plan.steps):
            title = context.catalog.text(f"step.{step.code}.undo")
            context.out(f"   {step_target(step)}: {title}")


def _rebuild_stale(context: Context, machine: Machine) -> None:
    """Images that the host itself built with our rules inside would bind at the next boot."""
    for image in stale_images(context.facts()):
        context.tell("undo.rebuilding", path=image.path)
        machine.runner.run(rebuild_step(image.release).argv, timeout_s=_REBUILD_TIMEOUT_S)


def _give_back(context: Context, machine: Machine) -> list[str]:
    """Functions that vfio-pci still holds though nothing claims them; ``--now`` hands them over.

    Returns those that wait for the reboot.
    """
    from ...executor.bind import hand_back_to_any

    held = _ours(context, left_on_vfio(context.facts()))
    if not (context.args.now and machine.is_live):
        return [function.address for function in held]
    for function in held:
        driver = hand_back_to_any(machine.files, function.address)
        context.tell("undo.handed-back", address=function.address, driver=driver or "-")
    return []


def _ours(context: Context, functions: tuple[PciFunction, ...]) -> tuple[PciFunction, ...]:
    """Those whose slot had a rule of ours; somebody else's override is not ours to end."""
    written = {
        step.path
        for each in context.history().runs
        for step in each.begin.plan.steps
        if isinstance(step, FileStep) and step.code == "rule-write"
    }
    return tuple(each for each in functions if rule_path(each.slot) in written)


def _forget(machine: Machine) -> None:
    from ...executor.journal import Journal

    journal = Journal(machine.files)
    left = [each for each in journal.history().runs if each.state is not RunState.UNDONE]
    if left:
        raise UsageError("cannot-forget", run=left[0].number)
    journal.forget()
