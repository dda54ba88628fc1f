"""What real kernels said of hardware that the lab broke (``./dev lab run broken-hardware``).

Each log begins with the code that it must be called, ``-`` for nothing wrong, and where it is from.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from hostpci.diagnose.engine import diagnose
from hostpci.model.diagnosis import Severity

LOGS = sorted((Path(__file__).parent / "lab").glob("*.log"))


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_a_fault_of_the_lab_is_called_what_it_is(log: Path) -> None:
    head, *lines = log.read_text(encoding="utf-8").splitlines()
    found = [each.code for each in diagnose(lines) if each.severity is not Severity.INFO]
    wanted = head.split()[1]
    assert "Linux 6." in head
    assert (found[0] if found else "-") == wanted


def test_there_are_logs_of_many_faults() -> None:
    codes = {log.read_text(encoding="utf-8").split()[1] for log in LOGS}
    assert len(codes - {"-"}) >= 8
