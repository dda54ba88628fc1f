"""The units of the daily check: what they may do, and the steps that switch them."""

from __future__ import annotations

import pytest

from hostpci.model.drifttimer import SERVICE, TIMER, TIMER_START, TIMER_TEXT
from hostpci.model.plan import CommandStep, FileStep, Plan
from hostpci.planner.drifttimer import timer_plan

COMMAND = ("/usr/bin/python3", "-IBS", "/var/lib/hostpci/tool/hostpci.pyz")


def on(present: dict[str, str] | None = None, *, is_live: bool = True) -> Plan:
    return timer_plan(present or {}, COMMAND, on=True, is_live=is_live)


def off(present: dict[str, str], *, is_live: bool = True) -> Plan:
    return timer_plan(present, COMMAND, on=False, is_live=is_live)


def written(plan: Plan) -> dict[str, str]:
    steps = [step for step in plan.steps if isinstance(step, FileStep)]
    return {step.path: step.after or "" for step in steps}


def commands(plan: Plan) -> list[tuple[str, ...]]:
    return [step.argv for step in plan.steps if isinstance(step, CommandStep)]


def test_on_writes_three_files_then_tells_systemd() -> None:
    plan = on()
    assert list(written(plan)) == [SERVICE, TIMER, TIMER_START]
    assert commands(plan) == [
        ("systemctl", "daemon-reload"),
        ("systemctl", "start", "hostpci-drift.timer"),
    ]
    assert all(isinstance(step, CommandStep) for step in plan.steps[3:])


def test_off_stops_it_before_its_files_are_gone() -> None:
    plan = off(written(on()))
    assert plan.steps[0] == CommandStep(
        code="timer-stop", argv=("systemctl", "stop", "hostpci-drift.timer"), touches=()
    )
    assert commands(plan)[-1] == ("systemctl", "daemon-reload")
    assert all(step.after is None for step in plan.steps if isinstance(step, FileStep))


def test_what_is_so_already_needs_no_step() -> None:
    assert on(written(on())).steps == ()
    assert off({}).steps == ()


def test_another_root_has_no_systemd_to_tell() -> None:
    assert commands(on(is_live=False)) == []
    assert commands(off(written(on()), is_live=False)) == []


def test_somebody_else_s_text_is_the_before_of_the_step() -> None:
    (step, *_) = on({SERVICE: "theirs\n"}).steps
    assert isinstance(step, FileStep)
    assert step.before == "theirs\n"


@pytest.mark.parametrize(
    "line",
    [
        "ExecStart=/usr/bin/python3 -IBS /var/lib/hostpci/tool/hostpci.pyz check --drift --lang en",
        "ProtectSystem=strict",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_SYS_PTRACE",
        "DevicePolicy=closed",
        "DeviceAllow=/dev/zfs rw",
    ],
)
def test_the_service_can_only_read(line: str) -> None:
    assert line in written(on())[SERVICE].splitlines()


@pytest.mark.parametrize(
    "word",
    [
        "ProtectKernelModules", "PrivateNetwork", "ReadWritePaths", "ProtectProc", "Condition",
        "PrivateDevices",
    ],
)  # fmt: skip
def test_and_reads_what_it_must(word: str) -> None:
    """Each of these would hide something, or make a check that does not run look well."""
    assert word not in written(on())[SERVICE]


def test_the_timer_keeps_no_stamp_outside_of_our_reach() -> None:
    assert "Persistent" not in TIMER_TEXT
    assert "OnCalendar" not in TIMER_TEXT
