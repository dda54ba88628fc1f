"""Switching the daily drift check on and off, as steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..model.drifttimer import (
    SERVICE,
    SERVICE_TEXT,
    START_TEXT,
    TIMER,
    TIMER_NAME,
    TIMER_START,
    TIMER_TEXT,
)
from ..model.plan import CommandStep, FileStep, Plan


def timer_plan(
    present: Mapping[str, str], command: tuple[str, ...], *, on: bool, is_live: bool
) -> Plan:
    """From the units that are ``present`` (path -> text) to those that are wanted.

    The files alone make it start with the next boot; on the running host systemd is told at once.
    ``systemctl enable`` would make a link that no journal entry of ours knows.
    """
    wanted = _units(command) if on else dict.fromkeys((TIMER_START, TIMER, SERVICE))
    files = tuple(_file_steps(present, wanted))
    if not files or not is_live:
        return Plan(steps=files)
    reload = CommandStep(code="units-reload", argv=("systemctl", "daemon-reload"), touches=())
    if on:
        start = ("systemctl", "start", TIMER_NAME)
        tell = CommandStep(code="timer-start", argv=start, touches=())
        return Plan(steps=(*files, reload, tell))
    stop = ("systemctl", "stop", TIMER_NAME)
    tell = CommandStep(code="timer-stop", argv=stop, touches=())
    return Plan(steps=(tell, *files, reload))


def _units(command: tuple[str, ...]) -> dict[str, str | None]:
    service = SERVICE_TEXT.format(command=" ".join(command))
    return {SERVICE: service, TIMER: TIMER_TEXT, TIMER_START: START_TEXT}


def _file_steps(present: Mapping[str, str], wanted: Mapping[str, str | None]) -> Iterator[FileStep]:
    for path, text in wanted.items():
        before = present.get(path)
        if before == text:
            continue
        if text is None:
            yield FileStep(code="timer-remove", path=path, before=before, after=None)
        else:
            yield FileStep(code="timer-write", path=path, before=before, after=text)
