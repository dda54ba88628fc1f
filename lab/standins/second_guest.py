"""Runs in a lab host: starts the second guest with given devices, asks its agent, stops it.

Files and sockets are where Proxmox VE has those of its machines (qemu-server PVE/QemuServer/
Helpers.pm), so that a look at the host finds what it would find there.
As a program: `second_guest.py start ID DEVICE-ARGUMENTS...`, `ping ID`, `run ID SCRIPT`, `stop ID`.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

FILES = "/var/lib/lab"
RUN = "/run/qemu-server"
_QEMU = "/usr/bin/qemu-system-x86_64"
# As PVE starts its own (PVE::Systemd enter_systemd_scope): what asked for it may end before it
_SCOPE = ("systemd-run", "--scope", "--quiet", "--collect", "--slice=qemu")
# An emulated clock cannot be measured against another one, and nothing has to be random here.
_COMMAND_LINE = (
    "console=ttyS0 root=/dev/vda ro quiet tsc=reliable lpj=4000000 mitigations=off nokaslr"
)
_MEMORY_MIB = 128
_START_TIMEOUT_S = 300
_ANSWER_TIMEOUT_S = 240
_END_TIMEOUT_S = 30
_POLL_S = 0.3

# The buses that PVE's own configuration file for q35 names, as far as they are used here.
_BUSES = (
    "pcie-root-port,id=ich9-pcie-port-1,bus=pcie.0,addr=1c.0,port=1,chassis=1,multifunction=on",
    "i82801b11-bridge,id=pcidmi,bus=pcie.0,addr=1e.0",
    "pci-bridge,id=pci.0,bus=pcidmi,addr=1.0,chassis_nr=1,shpc=off",
)


class GuestFailedError(Exception):
    """What QEMU or the agent said."""


def arguments(vmid: int, devices: Sequence[str]) -> list[str]:
    """QEMU's words; `devices` are those that are handed in, `-device` and all."""
    return [
        _QEMU, "-nodefaults", "-no-user-config", "-display", "none",
        "-daemonize", "-pidfile", f"{RUN}/{vmid}.pid", "-no-reboot",
        "-machine", "q35", "-accel", "tcg", "-cpu", "qemu64,+rdrand", "-smp", "1",
        "-m", str(_MEMORY_MIB),
        *(word for bus in _BUSES for word in ("-device", bus)),
        "-serial", f"file:{FILES}/console-{vmid}",
        "-kernel", f"{FILES}/vmlinux", "-append", _COMMAND_LINE,
        "-drive", f"if=none,id=drive-virtio0,format=raw,cache=unsafe,file={FILES}/disk.raw",
        "-device", "virtio-blk-pci,drive=drive-virtio0,id=virtio0,bus=pci.0,addr=0xa",
        "-chardev", f"socket,id=qga0,path={RUN}/{vmid}.qga,server=on,wait=off",
        "-device", "virtio-serial,id=qga0,bus=pci.0,addr=0x8",
        "-device", "virtserialport,chardev=qga0,name=org.qemu.guest_agent.0",
        *devices,
    ]  # fmt: skip


def start(vmid: int, devices: Sequence[str]) -> None:
    """Start it; returns when QEMU has opened every device, or raises what QEMU said."""
    os.makedirs(RUN, exist_ok=True)
    done = subprocess.run(
        [*_SCOPE, f"--unit={vmid}", *arguments(vmid, devices)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_START_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise GuestFailedError(done.stderr.strip() or f"QEMU ended with {done.returncode}")


def pid_of(vmid: int) -> int | None:
    """Its QEMU, if it runs."""
    try:
        with open(f"{RUN}/{vmid}.pid", encoding="ascii") as stream:
            pid = int(stream.read())
        with open(f"/proc/{pid}/comm", encoding="utf-8") as stream:
            return pid if stream.read().startswith("qemu") else None
    except (OSError, ValueError):
        return None


@contextmanager
def _agent(vmid: int, timeout_s: float) -> Iterator[Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_s)
        connection.connect(f"{RUN}/{vmid}.qga")
        with connection.makefile("rw", encoding="utf-8", errors="replace") as stream:
            yield stream


def ask(
    vmid: int,
    command: str,
    arguments: dict[str, Any] | None = None,
    *,
    timeout_s: float = _ANSWER_TIMEOUT_S,
) -> Any:  # noqa: ANN401  (JSON)
    """One question to the agent. An answer to somebody who has gone before is passed over."""
    token = time.monotonic_ns() & 0x7FFFFFFF
    with _agent(vmid, timeout_s) as stream:
        _send(stream, "guest-sync", {"id": token})
        while _receive(stream).get("return") != token:
            pass
        _send(stream, command, arguments)
        answer = _receive(stream)
    if "error" in answer:
        raise GuestFailedError(str(answer["error"].get("desc", answer["error"])))
    return answer.get("return")


def _send(stream: Any, command: str, arguments: dict[str, Any] | None) -> None:  # noqa: ANN401
    said = {"execute": command, **({"arguments": arguments} if arguments else {})}
    stream.write(json.dumps(said) + "\n")
    stream.flush()


def _receive(stream: Any) -> dict[str, Any]:  # noqa: ANN401
    line = stream.readline()
    if not line:
        raise GuestFailedError("the agent's connection is closed")
    answer: dict[str, Any] = json.loads(line)
    return answer


def wait_ready(vmid: int, *, timeout_s: float = 600) -> float:
    """Wait for the agent; returns how long it took."""
    begin = time.monotonic()
    ask(vmid, "guest-ping", timeout_s=timeout_s)
    return time.monotonic() - begin


def run(vmid: int, script: str) -> tuple[int, str, str]:
    """Run a shell script in the guest: status, stdout, stderr."""
    body = base64.b64encode(script.encode()).decode()
    begun = ask(vmid, "guest-exec", {"path": "/bin/sh", "input-data": body, "capture-output": True})
    while True:
        said = ask(vmid, "guest-exec-status", {"pid": begun["pid"]})
        if said["exited"]:
            out, err = (base64.b64decode(said.get(key, "")) for key in ("out-data", "err-data"))
            return int(said.get("exitcode", -1)), out.decode(), err.decode()
        time.sleep(_POLL_S)


def shut_down(vmid: int, *, timeout_s: float = 120) -> bool:
    """Ask the guest to end; True if it did in time. The agent gives no answer to this."""
    try:
        with _agent(vmid, 10) as stream:
            _send(stream, "guest-shutdown", None)
    except OSError:
        return pid_of(vmid) is None
    return _wait_gone(vmid, timeout_s)


def stop(vmid: int) -> None:
    """End it at once, as `qm stop` does when QEMU does not answer."""
    pid = pid_of(vmid)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        if not _wait_gone(vmid, _END_TIMEOUT_S):
            os.kill(pid, signal.SIGKILL)
            _wait_gone(vmid, _END_TIMEOUT_S)


def _wait_gone(vmid: int, timeout_s: float) -> bool:
    deadline_s = time.monotonic() + timeout_s
    while pid_of(vmid) is not None:
        if time.monotonic() > deadline_s:
            return False
        time.sleep(_POLL_S)
    return True


def main(words: Sequence[str]) -> int:
    """Carry out one command; what the guest says goes to stdout."""
    verb, vmid = words[0], int(words[1])
    try:
        match verb:
            case "start":
                start(vmid, words[2:])
            case "ping":
                print(f"{wait_ready(vmid):.1f}")
            case "run":
                status, out, err = run(vmid, words[2])
                sys.stdout.write(out)
                sys.stderr.write(err)
                return status
            case "stop":
                if not shut_down(vmid):
                    stop(vmid)
            case _:
                print(f"no command {verb}", file=sys.stderr)
                return 2
    except GuestFailedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
