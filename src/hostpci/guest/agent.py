"""The guest agent, through PVE: exec, then exec-status until the program has ended.

PVE gives ``command`` to the agent as program and arguments, and ``input-data`` as its stdin, base64
encoded on the way [qemu-server PVE/QemuServer/Agent.pm qemu_exec]. The script goes in as stdin of
/bin/sh: one word as the command is the same in PVE 8 and 9 and in both transports, and nothing has
to be quoted. base64 of Perl takes bytes only, so scripts are ASCII.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from ..errors import ToolError
from ..pve.node import Pve, PveError, unwired
from .shell import GuestError, GuestShell, Said, clean, wrapped

# maxLength of input-data in the API schema of PVE 8 and 9
_MAX_SCRIPT_CHARS = 65536
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 3.0
# The agent of a guest that restarts, or a node under load, may miss a question
_MAX_UNANSWERED = 5
_SHELL = "/bin/sh"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Tick = Callable[[str, float], None]


class AgentShell(GuestShell):
    """A guest that is asked through its agent. ``now`` and ``sleep`` are arguments for tests."""

    def __init__(
        self,
        pve: Pve,
        vmid: int,
        *,
        tick: Tick | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._pve = pve
        self._vmid = vmid
        self._tick = tick
        self._now = now
        self._sleep = sleep

    @property
    def name(self) -> str:
        return f"VM {self._vmid}"

    def _path(self, command: str) -> str:
        return f"/nodes/{self._pve.node()}/qemu/{self._vmid}/agent/{command}"

    def is_there(self) -> bool:
        try:
            self._pve.call("create", self._path("ping"))
        except ToolError:
            return False
        return True

    def require(self) -> None:
        """Raise what is the matter unless the agent answers."""
        self._asked("create", "ping", {})

    def system(self) -> str:
        """``id`` of the guest's operating system as its agent tells it, such as ``mswindows``."""
        said: Any = None
        with suppress(ToolError):
            said = self._pve.call("get", self._path("get-osinfo"))
        result = said.get("result", said) if isinstance(said, dict) else None
        found = result.get("id") if isinstance(result, dict) else None
        return clean(found)[0][:40]

    def run(self, script: str, *, timeout_s: float) -> Said:
        body = wrapped(script)
        if len(body) > _MAX_SCRIPT_CHARS or not body.isascii():
            raise GuestError("guest-script", guest=self.name)
        started = self._asked("create", "exec", {"command": _SHELL, "input-data": body})
        pid = started.get("pid") if isinstance(started, dict) else None
        number = _number(pid)
        if number is None:
            raise GuestError("guest-lies", guest=self.name, what=f"pid={_short(pid)}")
        return self._until_the_end(number, timeout_s)

    def _until_the_end(self, pid: int, timeout_s: float) -> Said:
        begin, pause, unanswered = self._now(), _FIRST_PAUSE_S, 0
        while True:
            try:
                said = self._asked("get", "exec-status", {"pid": pid})
                unanswered = 0
            except ToolError as error:
                unanswered += 1
                may_pass = isinstance(error, GuestError) or error.code == "pve-unreachable"
                if not may_pass or unanswered > _MAX_UNANSWERED:
                    raise
                said = {"exited": 0}
            if not isinstance(said, dict):
                raise GuestError("guest-lies", guest=self.name, what=f"status={_short(said)}")
            if said.get("exited"):
                return self._ended(said)
            elapsed_s = self._now() - begin
            if elapsed_s > timeout_s:
                raise GuestError("guest-slow", guest=self.name, seconds=round(timeout_s))
            if self._tick is not None:
                self._tick(self.name, elapsed_s)
            self._sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_S)

    def _ended(self, said: dict[str, Any]) -> Said:
        code = _number(said.get("exitcode"))
        if code is None:
            key = "signal" if "signal" in said else "exitcode"
            what = f"{key}={said.get(key)}"
            raise GuestError("guest-lies", guest=self.name, what=_short(what))
        out, is_cut = clean(_text(said.get("out-data", "")))
        err, _ = clean(_text(said.get("err-data", "")))
        return Said(code=code, out=out, err=err, is_cut=is_cut or bool(said.get("out-truncated")))

    def _asked(self, method: str, command: str, params: Mapping[str, str | int]) -> Any:  # noqa: ANN401
        try:
            return self._pve.call(method, self._path(command), params)
        except PveError as error:
            raise _agent_error(error, self.name) from error


# What PVE says when the agent is the matter [qemu-server PVE/QemuServer/Agent.pm,
# assert_agent_available; PVE/QMPClient.pm, PVE/QemuServer/Monitor.pm], and what we call it. QEMU
# takes one connection to the agent at a time: while a browser shows the machine's addresses, ours
# may not come through
MATTERS = (
    ("no qemu guest agent configured", "guest-agent-not-configured"),
    ("qemu guest agent is not running", "guest-agent-silent"),
    ("got timeout", "guest-agent-silent"),
    (" qga socket - ", "guest-agent-silent"),
    ("client closed connection", "guest-agent-silent"),
    ("got wrong command id", "guest-agent-silent"),
    ("not running", "guest-stopped"),  # VM 100 is not running, VM 100 not running
    ("command guest-exec has been disabled", "guest-agent-forbids"),
    ("guest-exec is disabled", "guest-agent-forbids"),
    ("has been disabled for this instance", "guest-agent-forbids"),
    ("failed to execute child process", "guest-no-shell"),
)


def _agent_error(error: PveError, guest: str) -> ToolError:
    """The agent's own trouble by its name; anything else of PVE stays what it is."""
    said = " ".join(str(each) for each in error.params.values()).lower()
    for words, code in MATTERS:
        if words in said:
            found = GuestError(code, guest=guest)
            found.exit = error.exit
            return found
    return error


def _text(value: object) -> object:
    """PVE takes the base64 off [qemu-server PVE/QemuServer/Agent.pm qemu_exec_status]."""
    return unwired(value) if isinstance(value, str) else value


def _number(value: object) -> int | None:
    """A small whole number, also as text; True is none."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value)
    is_one = text.isascii() and text.isdigit() and len(text) <= 10  # noqa: PLR2004  (32 bits)
    return int(text) if is_one else None


def _short(value: object) -> str:
    return clean(str(value))[0].replace("\n", " ")[:60]
