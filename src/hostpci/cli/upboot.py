"""How ``up`` gets over a reboot: a unit of ours goes on with it once, in the boot after."""

from __future__ import annotations

import time
from dataclasses import replace

from ..errors import ToolError
from ..executor.apply import Executor, Machine, exclusive
from ..executor.tool import TOOL_ARGV, drop_tool, install_tool
from ..executor.up import read_records, write_record
from ..model.journal import History
from ..model.up import UpRecord
from ..planner.trial import open_trial
from ..planner.up import plan_going_on, runs_going_on
from .context import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .upway import Way

_POLL_S = 5.0
_SYSTEMCTL_TIMEOUT_S = 300


def leave_for_next_boot(way: Way) -> None:
    """Write the unit and what it is to go on with, if that is asked for; then reboot, if asked."""
    from ..executor.journal import Journal

    context = way.context
    machine = context.machine()
    with exclusive(machine):
        write_record(machine.files, replace(way.record, goes_on=True))
        if not runs_going_on(Journal(machine.files).history()):
            install_tool(machine.files)
            plan = plan_going_on(TOOL_ARGV, context.catalog.language)
            Executor(machine, context.announce).apply(plan, "up")
    context.tell("up.goes-on", slot=way.wish.slot, vmid=way.wish.vmid)
    if context.args.reboot:
        context.tell("up.rebooting")
        _systemctl(machine, "--no-block", "reboot")


def withdraw(context: Context, machine: Machine) -> tuple[UpRecord, ...]:
    """Take the unit back and return what it was to go on with.

    First of all, so that a boot that is cut off after this does not start the same again. Our copy
    stays as long as we may be running from it.
    """
    from ..executor.journal import Journal
    from ..executor.undo import Undoer

    with exclusive(machine):
        waiting = tuple(each for each in read_records(context.root()) if each.goes_on)
        for each in waiting:
            write_record(machine.files, replace(each, goes_on=False))
        runs = runs_going_on(Journal(machine.files).history())
        if runs:
            Undoer(machine).undo(History(runs=runs))
    if runs and machine.is_live:
        _systemctl(machine, "daemon-reload")
    return waiting


def drop_copy(machine: Machine) -> None:
    """At the very end: a program that runs from an archive still reads from it."""
    from ..executor.journal import Journal

    with exclusive(machine):
        drop_tool(machine.files, Journal(machine.files).history())


def wait_for_trial(context: Context) -> None:
    """The boot is on trial: a machine is started only in one that stays."""
    is_said = False
    while True:
        trial = open_trial(context.history())
        if trial is None or trial.asked.within_s is None or trial.confirmed:
            return
        if not is_said:
            context.tell("up.waits-for-trial", run=trial.run.number + 1)
            is_said = True
        time.sleep(_POLL_S)


def leave_message(context: Context, machine: Machine, text: str) -> None:
    """For the next login: nobody watched this boot."""
    from ..executor.trial import Trials

    try:
        Trials(machine, context.announce).leave_message(text)
    except ToolError as error:
        context.show_error(error)


def _systemctl(machine: Machine, *words: str) -> None:
    machine.runner.run(["systemctl", *words], timeout_s=_SYSTEMCTL_TIMEOUT_S)
