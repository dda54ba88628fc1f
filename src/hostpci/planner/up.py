"""What lets the boot after a reboot go on with an ``up``. Pure."""

from __future__ import annotations

from ..model.journal import History, Run, RunState
from ..model.plan import FileStep, Plan

UNIT_NAME = "hostpci-up.service"
_UNITS = "/etc/systemd/system"
UNIT = f"{_UNITS}/{UNIT_NAME}"
# systemd follows only links in a .wants directory, and we write files: hence a drop-in
UNIT_START = f"{_UNITS}/multi-user.target.d/50-hostpci-up.conf"

# pve-guests starts what is to start with the host; before that nothing of PVE is at rest.
_UNIT_TEXT = """\
# Written by "hostpci up" before a reboot, removed as soon as it has started, or by "hostpci undo".
[Unit]
Description=Go on with "hostpci up" after the reboot
After=multi-user.target pve-guests.service hostpci-trial.service
RequiresMountsFor=/var/lib/hostpci

[Service]
ExecStart={command} up-resume --lang {language}
StandardOutput=journal+console
"""
_START_TEXT = """\
# Written by "hostpci up": starts hostpci-up.service once the host is up.
[Unit]
Wants=hostpci-up.service
"""


def plan_going_on(command: tuple[str, ...], language: str) -> Plan:
    """The unit, and what starts it."""
    text = _UNIT_TEXT.format(command=" ".join(command), language=language)
    return Plan(
        steps=(
            FileStep(code="up-unit", path=UNIT, before=None, after=text),
            FileStep(code="up-start", path=UNIT_START, before=None, after=_START_TEXT),
        )
    )


def runs_going_on(history: History) -> tuple[Run, ...]:
    """The runs whose unit still lies on the host."""
    return tuple(
        run
        for run in history.runs
        if run.state is not RunState.UNDONE
        and any(isinstance(step, FileStep) and step.path == UNIT for step in run.begin.plan.steps)
    )
