"""The second guest's own parts, as far as they run without it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab.scenarios.second_guest import DEVICES
from lab.secondguest import image
from lab.standins import second_guest
from tests.stale_agent import start_agent

_HERE = Path(image.__file__).parent


@pytest.mark.parametrize("script", [_HERE / "init", *sorted((_HERE / "bin").iterdir())], ids=str)
def test_every_stand_in_is_a_shell_script(script: Path) -> None:
    done = subprocess.run(["sh", "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_card_comes_last_and_behind_the_port_that_pve_names() -> None:
    words = second_guest.arguments(100, DEVICES)
    assert tuple(words[-len(DEVICES) :]) == DEVICES
    ports = [word for word in words if word.startswith("pcie-root-port")]
    assert all(f"bus={port.split(',')[1][3:]}," in each for port in ports for each in DEVICES[1::2])


def test_an_answer_to_somebody_else_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_guest, "RUN", str(tmp_path))
    start_agent(tmp_path / "100.qga", stale=[{"pid": 7}, -1], answer="answer")
    assert second_guest.ask(100, "guest-ping", timeout_s=5) == "answer"
