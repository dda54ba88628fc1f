"""Logs in to a lab host; one connection is kept, because each handshake is slow in emulation."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab import process
from lab.errors import ScenarioFailedError

_BANNER = b"SSH-"
_POLL_S = 0.5
# A connection made before the guest is up is only retried by QEMU with growing pauses: ask anew.
_BANNER_TIMEOUT_S = 2.5


def free_port() -> int:
    """A TCP port on the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int, *, timeout_s: float) -> bool:
    """Whether an ssh server greets us: QEMU's forwarder accepts long before the guest does."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
            connection.settimeout(timeout_s)
            return connection.recv(len(_BANNER)) == _BANNER
    except OSError:
        return False


@dataclass(frozen=True, kw_only=True)
class Ssh:
    """A way into one host, with a transcript of everything said."""

    port: int
    key: Path
    control: Path
    transcript: Path
    _program: str = field(
        default_factory=lambda: process.find_tool("ssh", package="openssh-client")
    )

    def command(self, *, shared: bool = True) -> list[str]:
        """The ssh words up to the remote command."""
        options = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
            "ConnectTimeout": "60",
            "ServerAliveInterval": "30",
        }
        if shared:
            options |= {
                "ControlMaster": "auto", "ControlPersist": "300", "ControlPath": str(self.control),
            }  # fmt: skip
        words = [word for pair in options.items() for word in ("-o", "=".join(pair))]
        return [
            self._program, "-F", "/dev/null", "-i", str(self.key), "-p", str(self.port), *words,
            "root@127.0.0.1",
        ]  # fmt: skip

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float = 300,
        check: bool = True,
        stdin: Path = Path(os.devnull),
    ) -> process.Completed:
        """Run one command on the host."""
        remote = shlex.join(argv)
        done = process.run(
            [*self.command(), "--", remote], timeout_s=timeout_s, check=False, stdin=stdin
        )
        self._record(remote, done)
        if check and done.rc != 0:
            raise ScenarioFailedError(
                f"on the host, `{remote}` ended with status {done.rc}\n{done.stdout}{done.stderr}"
            )
        return done

    def start(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start one command on the host; what it prints goes to the transcript."""
        return process.spawn([*self.command(), "--", shlex.join(argv)], log=self.transcript)

    def drop_connection(self) -> None:
        """Forget the shared connection: the host behind it is going away."""
        if self.control.exists():
            process.run(
                [*self.command()[:-1], "-O", "exit", "root@127.0.0.1"], timeout_s=10, check=False
            )
            self.control.unlink(missing_ok=True)

    def wait(self, *, timeout_s: float, still_alive: Callable[[], bool]) -> None:
        """Wait until the host's ssh server answers; give up at once when the host is dead."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            if not still_alive():
                raise ScenarioFailedError("the host's QEMU ended while waiting for ssh")
            if answers(self.port, timeout_s=_BANNER_TIMEOUT_S):
                return
            time.sleep(_POLL_S)
        raise ScenarioFailedError(f"no ssh after {timeout_s:.0f} s")

    def _record(self, remote: str, done: process.Completed) -> None:
        with self.transcript.open("a", encoding="utf-8") as log:
            stamp = time.strftime("%H:%M:%S")
            log.write(f"{stamp} # {remote}\n{done.stdout}{done.stderr}[status {done.rc}]\n")
