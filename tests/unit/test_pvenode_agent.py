"""The fake node before a real agent: what it is asked first, and whose answer is whose."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest

from ..pvenode.agent import qga
from ..pvenode.errors import Refusal


def _agent(path: Path, first: list[object]) -> None:
    """An agent that still has answers for somebody who asked earlier and has gone."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)

    def serve() -> None:
        connection, _ = listener.accept()
        with listener, connection, connection.makefile("rw") as stream:
            stream.writelines(json.dumps({"return": each}) + "\n" for each in first)
            for line in stream:
                asked = json.loads(line)
                value = asked["arguments"]["id"] if asked["execute"] == "guest-sync" else "ours"
                stream.write(json.dumps({"return": value}) + "\n")
                stream.flush()

    threading.Thread(target=serve, daemon=True).start()


@pytest.mark.parametrize("first", [[], [{}], [{"pid": 7}, -1]], ids=str)
def test_an_answer_to_somebody_else_is_not_taken_for_ours(
    tmp_path: Path, first: list[object]
) -> None:
    _agent(tmp_path / "qga", first)
    assert qga(str(tmp_path / "qga"), "guest-ping") == "ours"


def test_a_machine_without_an_agent_is_refused_as_pve_does(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="agent is not running"):
        qga(str(tmp_path / "nothing"), "guest-ping")
