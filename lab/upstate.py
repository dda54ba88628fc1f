"""Hosts that `lab up` left running: how to find them again and how to end them."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import cache, images, process, ssh
from lab.errors import UsageError
from lab.machine import Machine

_STATE_NAME = "state.json"


def run_dir(host: str) -> Path:
    """The folder of a host brought up by `lab up`."""
    return cache.runs() / f"up-{host}"


@dataclass(frozen=True, kw_only=True)
class Child:
    """A process, and when it started: a number alone could by now be somebody else's."""

    pid: int
    start_ticks: int

    def is_alive(self) -> bool:
        """Whether that very process still runs."""
        return _start_ticks(self.pid) == self.start_ticks


def _start_ticks(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # proc(5): the command's name may contain anything, so count from its closing bracket.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


@dataclass(frozen=True, kw_only=True)
class UpState:
    """A host that is up."""

    host: str
    port: int
    sockets: Path
    children: tuple[Child, ...]

    @property
    def ssh(self) -> ssh.Ssh:
        """The way in."""
        return ssh.Ssh(
            port=self.port, key=images.private_key(), control=self.sockets / "ssh",
            transcript=run_dir(self.host) / "ssh-transcript.txt",
        )  # fmt: skip

    def is_alive(self) -> bool:
        """Whether its QEMU, the first child, runs."""
        return self.children[0].is_alive()


def save(machine: Machine) -> UpState:
    """Write down a machine that outlives this command."""
    children = tuple(Child(pid=pid, start_ticks=_start_ticks(pid) or 0) for pid in machine.pids)
    state = UpState(
        host=machine.boot.host.name, port=machine.ssh.port, sockets=machine.sockets,
        children=children,
    )  # fmt: skip
    text = json.dumps(asdict(state) | {"sockets": str(state.sockets)}, indent=1)
    (run_dir(state.host) / _STATE_NAME).write_text(text, encoding="utf-8")
    return state


def load(host: str) -> UpState | None:
    """The state of a host, if it is up."""
    path = run_dir(host) / _STATE_NAME
    if not path.exists():
        return None
    data = json.loads(path.read_text(encoding="utf-8"))
    children = tuple(Child(**child) for child in data["children"])
    state = UpState(host=host, port=data["port"], sockets=Path(data["sockets"]), children=children)
    return state if state.is_alive() else None


def require(host: str) -> UpState:
    """The state of a host that must be up."""
    state = load(host)
    if state is None:
        raise UsageError(f"{host} is not up", hint=f"start it: ./dev lab up {host}")
    return state


def stop(state: UpState, *, timeout_s: float) -> bool:
    """Power a host off, by force after the time limit; says whether it went off by itself."""
    state.ssh.run(["systemctl", "poweroff"], check=False, timeout_s=60)
    deadline_s = time.monotonic() + timeout_s
    while state.is_alive() and time.monotonic() < deadline_s:
        time.sleep(0.3)
    orderly = not state.is_alive()
    for child in state.children:
        if child.is_alive():
            os.killpg(child.pid, signal.SIGKILL)
    cache.remove(state.sockets)
    (run_dir(state.host) / _STATE_NAME).unlink(missing_ok=True)
    return orderly


def ssh_words(state: UpState) -> list[str]:
    """The plain ssh command for a person: without the shared connection."""
    return state.ssh.command(shared=False)


def replace_by_ssh(state: UpState, remote: list[str]) -> None:
    """Become ssh: the terminal belongs to it."""
    words = [*ssh_words(state), *(["--", *remote] if remote else [])]
    env = process.clean_environment({"TERM": os.environ.get("TERM", "dumb")})
    os.execve(words[0], words, env)  # noqa: S606  # an argument list, no shell
