"""The smallest PVE that a guest's agent can be asked through; tests give it its answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hostpci.guest.agent import AgentShell
from hostpci.pve.node import Params, Pve, TaskEnd
from hostpci.pve.refusals import Answer, refusal

Answering = Callable[[str, str, dict[str, Any]], Any]


class StubPve(Pve):
    """``answer`` gets the method, the last part of the path, and the parameters."""

    def __init__(self, answer: Answering) -> None:
        self._answer = answer
        self.calls: list[tuple[str, str]] = []

    def call(self, method: str, path: str, params: Params = {}) -> Any:  # noqa: B006
        assert path.startswith("/nodes/pve1/qemu/100/")
        last = path.rpartition("/")[2]
        self.calls.append((method, last))
        return self._answer(method, last, dict(params))

    def node(self) -> str:
        return "pve1"

    def follow(self, upid: str, *, timeout_s: float) -> TaskEnd:
        self.calls.append(("follow", upid))
        return TaskEnd(
            upid=upid, ok=upid != "bad", status="OK" if upid != "bad" else "boom", log=()
        )


class Refusing(StubPve):
    """Every call is refused in these words."""

    def __init__(self, message: str) -> None:
        def refuse(_method: str, _last: str, _params: dict[str, Any]) -> Any:
            raise refusal(Answer(message=message), call="create agent", who="root@pam")

        super().__init__(refuse)


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def agent_of(pve: Pve, clock: Clock | None = None) -> AgentShell:
    clock = clock or Clock()
    return AgentShell(pve, 100, now=clock.now, sleep=clock.sleep)
