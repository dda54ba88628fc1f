"""The fake node before a real agent: what it is asked first, and whose answer is whose."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..pvenode.agent import qga
from ..pvenode.errors import Refusal
from ..stale_agent import start_agent


@pytest.mark.parametrize("first", [[], [{}], [{"pid": 7}, -1]], ids=str)
def test_an_answer_to_somebody_else_is_not_taken_for_ours(
    tmp_path: Path, first: list[object]
) -> None:
    start_agent(tmp_path / "qga", stale=first, answer="ours")
    assert qga(str(tmp_path / "qga"), "guest-ping") == "ours"


def test_a_machine_without_an_agent_is_refused_as_pve_does(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="agent is not running"):
        qga(str(tmp_path / "nothing"), "guest-ping")
