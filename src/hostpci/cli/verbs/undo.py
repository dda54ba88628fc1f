"""``hostpci undo``: everything back, byte for byte; what was changed since is never lost."""

from __future__ import annotations

from ...errors import EnvironmentFault, Exit, UsageError
from ...model.codec import document
from ...model.drifttimer import TIMER, TIMER_NAME
from ...model.facts import Facts, InitramfsImage
from ...model.journal import History, Run, RunState
from ...model.pci import VFIO, PciFunction
from ...model.plan import FileStep
from ...model.rule import rule_path
from ...planner.plan import rebuild_step, reserved
from ...planner.trial import open_trial
from ...render.plan import step_target
from ..context import Context
from ..updown import started_machines, stop_machines
from .apply import outlive_the_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...executor.apply import Machine

_REBUILD_TIMEOUT_S = 3600
_SYSTEMCTL_TIMEOUT_S = 60


def run(context: Context) -> int:
    history = _chosen(context)
    _document(context, history)
    if not history.runs and not context.args.forget and not _is_left_behind(context):
        context.tell("undo.nothing")
        return Exit.OK
    _show(context, history)
    started = () if context.args.last else started_machines(context)
    for each in started:
        context.out(context.catalog.text("undo.stops-vm", vmid=each.wish.vmid))
    if context.args.dry_run:
        context.tell("apply.dry-run")
        return Exit.OK
    from ...executor.apply import exclusive

    outlive_the_terminal()
    machine = context.machine()
    if started:
        if not context.confirm():
            context.tell("confirm.no")
            return Exit.FAILED
        # Without our lock: a hook script of the machine may need it.
        stop_machines(context, started)
        context.args.yes = True
    with exclusive(machine):
        return _undo(context, machine)


def _document(context: Context, history: History) -> None:
    if context.args.json:
        context.json(document("hostpci.history/1", history))


def _is_left_behind(context: Context) -> bool:
    """True if an earlier undo was cut off before its last steps, or left them to ``--now``."""
    facts = context.facts_without_claims()
    return bool(_stale(facts) or (context.args.now and _ours(context, reserved(facts))))


def _undo(context: Context, machine: Machine) -> int:
    from ...executor.journal import Journal
    from ...executor.tool import drop_tool
    from ...executor.trial import Trials
    from ...executor.undo import Undoer
    from ...executor.up import drop_records

    history = _chosen(context)
    undoer = Undoer(machine, skip_changed=context.args.skip_changed, announce=context.announce)
    if not context.confirm():
        context.tell("confirm.no")
        return Exit.FAILED
    undone = undoer.undo(history)
    _document(context, History(runs=undone))
    kept = [path for each in undone for path in each.kept]
    for path in dict.fromkeys(kept):
        context.tell("undo.kept", path=path)
    for path in dict.fromkeys(path for each in undone for path in each.merged):
        context.tell("undo.merged", path=path)
    facts = context.facts_without_claims()
    _rebuild_stale(context, machine, facts)
    Journal(machine.files).drop_copies()
    if not context.args.last:
        drop_records(machine.files)
    _stop_timer(context, machine, undone)
    drop_tool(machine.files, Journal(machine.files).history())
    if any(each.begin.trial is not None for each in undone):
        Trials(machine).reload_units()
        Trials(machine).withdraw_message()
    waiting = _give_back(context, machine, facts)
    if context.args.forget:
        _forget(machine)
    context.tell("undo.done-but-kept" if kept else "undo.done")
    if waiting:
        context.tell("undo.reboot", waiting=", ".join(waiting))
        return Exit.REBOOT_NEEDED
    return Exit.OK


def _stop_timer(context: Context, machine: Machine, undone: tuple[Run, ...]) -> None:
    """systemd keeps a unit whose file is gone until it is told; then nothing needs our copy."""
    from ...executor.journal import Journal
    from ...executor.tool import drop_tool

    steps = [step for each in undone for step in each.begin.plan.steps]
    if machine.is_live and any(isinstance(step, FileStep) and step.path == TIMER for step in steps):
        for argv in (["systemctl", "stop", TIMER_NAME], ["systemctl", "daemon-reload"]):
            try:
                machine.runner.run(argv, timeout_s=_SYSTEMCTL_TIMEOUT_S)
            except EnvironmentFault as fault:
                context.tell("undo.systemd", command=" ".join(argv), reason=str(fault))
    drop_tool(machine.files, Journal(machine.files).history())


def _chosen(context: Context) -> History:
    """The runs to take back: all that are not undone, or only the newest of them.

    With a run that is on trial goes its trial: there is nothing left to watch over.
    """
    history = context.history()
    runs = [each for each in history.runs if each.state is not RunState.UNDONE]
    if context.args.last:
        trial = open_trial(history)
        both = trial is not None and trial.watched is not None and runs[-1:] == [trial.watched]
        runs = runs[-2:] if both else runs[-1:]
    return History(runs=tuple(runs))


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
            title = context.catalog.step_text(step.code, "undo")
            context.out(f"   {step_target(step)}: {title}")


def _stale(facts: Facts) -> tuple[InitramfsImage, ...]:
    """Images that hold a rule, a link file or options of ours which are gone from the root."""
    paths = [each.path for each in facts.rules] + [each.path for each in facts.network.links]
    present = {path.rpartition("/")[2] for path in paths}
    without_options = facts.options.modprobe is None
    return tuple(
        each
        for each in facts.images
        if {*each.claim_rules, *each.links} - present or (each.has_options and without_options)
    )


def _rebuild_stale(context: Context, machine: Machine, facts: Facts) -> None:
    """Images that the host itself built with our rules inside would bind at the next boot."""
    for image in _stale(facts):
        context.tell("undo.rebuilding", path=image.path)
        machine.runner.run(rebuild_step(image.release).argv, timeout_s=_REBUILD_TIMEOUT_S)
    for image in facts.images:
        if image.modules is None and machine.is_live:
            context.tell("undo.unlisted", path=image.path)


def _give_back(context: Context, machine: Machine, facts: Facts) -> list[str]:
    """End our reservations of this boot; what vfio-pci holds waits for the reboot or ``--now``.

    Returns those that wait.
    """
    from ...executor.bind import clear_override, hand_back_to_any

    waiting = []
    for function in _ours(context, reserved(facts)):
        if not machine.is_live or (function.driver == VFIO and not context.args.now):
            waiting += [function.address] if function.driver == VFIO else []
        elif function.driver == VFIO:
            driver = hand_back_to_any(machine.files, function.address)
            context.tell("undo.handed-back", address=function.address, driver=driver or "-")
        else:
            clear_override(machine.files, function.address)
    return waiting


def _ours(context: Context, functions: tuple[PciFunction, ...]) -> tuple[PciFunction, ...]:
    """Those whose slot had a rule of ours that is gone; other overrides are not ours to end."""
    written = {
        step.path
        for each in context.history().runs
        for step in each.begin.plan.steps
        if isinstance(step, FileStep) and step.code == "rule-write"
    }
    root = context.root()
    return tuple(
        each
        for each in functions
        if rule_path(each.slot) in written and not root.exists(rule_path(each.slot))
    )


def _forget(machine: Machine) -> None:
    from ...executor.journal import Journal

    journal = Journal(machine.files)
    left = [each for each in journal.history().runs if each.state is not RunState.UNDONE]
    if left:
        raise UsageError("cannot-forget", run=left[0].number)
    journal.forget()
