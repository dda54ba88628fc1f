"""The job of the night starts, and consists of commands that are there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
NIGHTLY = CHECKOUT / ".ci" / "nightly"

pytestmark = pytest.mark.processes


def _said(*words: str) -> list[str]:
    argv = [str(NIGHTLY), *words]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout.splitlines()


def test_every_part_is_a_command_that_dev_has() -> None:
    told = subprocess.run(
        [str(CHECKOUT / "dev"), "--help"], check=True, capture_output=True, text=True, timeout=60
    )
    commands = {line.split()[0] for line in told.stdout.splitlines() if line.startswith("  ")}
    parts = [line.split() for line in _said("--list")]
    assert {"fuzz", "alarms", "bench", "lab"} <= {part[1] for part in parts} <= commands


def test_only_the_parts_asked_for_run() -> None:
    assert _said("no such part") == []
