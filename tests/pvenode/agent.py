"""The guest agent of a machine, and the guest behind it [qemu-server PVE/API2/Qemu/Agent.pm].

A VM's ``guest``, in the state, says what answers: ``{"osinfo": {...}, "files": {path: text},
"answers": [[words, exit code, out, err], ...]}``; the first answer whose words are in the command
or in its input counts. In the process of a test, ``node.hooks["guest"]`` may be a callable: it is
given (node, vmid, argv, input) and returns (exit code, out, err). ``{"socket": path}`` speaks with
a real agent.
"""

from __future__ import annotations

import base64
import json
import socket
import time
from typing import Any

from .errors import Refusal
from .node import Call, Node, on

_AGENT = "/nodes/{node}/qemu/{vmid}/agent"
_READ_LIMIT = 16 << 20
_AGENT_TIMEOUT_S = 20
_GET = {
    "get-fsinfo": [], "get-host-name": {"host-name": "guest"}, "get-memory-block-info": {},
    "get-memory-blocks": [], "get-time": 0, "get-timezone": {"offset": 0, "zone": "UTC"},
    "get-users": [], "get-vcpus": [], "info": {"version": "8.2.2", "supported_commands": []},
    "network-get-interfaces": [],
}  # fmt: skip


def guest(node: Node, call: Call) -> dict[str, Any]:
    """agent_available [qemu-server PVE/QemuServer/Agent.pm], in its order."""
    vmid = str(call["vmid"])
    vm = node.vm(vmid, call["node"])
    if "agent" not in vm["config"]:
        raise Refusal("No QEMU guest agent configured\n")
    if vm.get("status") != "running":
        raise Refusal(f"VM {vmid} is not running\n")
    found: dict[str, Any] | None = vm.get("guest")
    if found is None or found.get("silent"):
        raise Refusal("QEMU guest agent is not running\n")
    return found


def failed(call: Call, command: str, words: str) -> Refusal:
    return Refusal(f"Agent error: {words}\n" if words else f"Agent error in {command}\n")


def qga(path: str, execute: str, arguments: dict[str, Any] | None = None) -> Any:
    """One command of a real agent, over the socket that QEMU has for it.

    First guest-sync, as PVE does [qemu-server PVE/QMPClient.pm]: the agent still answers who asked
    before it was up and has gone, and that answer must not be taken for ours.
    """
    token = time.monotonic_ns() & 0x7FFFFFFF
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(_AGENT_TIMEOUT_S)
            link.connect(path)
            with link.makefile("rwb") as stream:
                _tell(stream, "guest-sync", {"id": token})
                while json.loads(stream.readline() or b"{}").get("return", token) != token:
                    pass
                _tell(stream, execute, arguments or {})
                answer = json.loads(stream.readline() or b"{}")
    except OSError:
        raise Refusal("QEMU guest agent is not running\n") from None
    if "error" in answer:
        raise Refusal(f"Agent error: {answer['error'].get('desc', '')}\n")
    return answer["return"]


def _tell(stream: Any, execute: str, arguments: dict[str, Any]) -> None:
    request = {"execute": execute, **({"arguments": arguments} if arguments else {})}
    stream.write(json.dumps(request).encode() + b"\n")
    stream.flush()


@on("POST", f"{_AGENT}/ping")
def ping(node: Node, call: Call) -> Any:
    found = guest(node, call)
    if "socket" in found:
        qga(found["socket"], "guest-ping")
    return {"result": {}}


@on("GET", f"{_AGENT}/get-osinfo")
def osinfo(node: Node, call: Call) -> Any:
    found = guest(node, call)
    if "socket" in found:
        return {"result": qga(found["socket"], "guest-get-osinfo")}
    otherwise = {"id": "ubuntu", "name": "Ubuntu", "version-id": "24.04", "kernel-release": "6.8.0"}
    return {"result": found.get("osinfo", otherwise)}


@on("GET", _AGENT)
def index(node: Node, call: Call) -> Any:
    return [{"name": each} for each in ("exec", "exec-status", "ping", *sorted(_GET))]


def _plain(name: str, answer: Any) -> None:
    @on("GET", f"{_AGENT}/{name}")
    def handle(node: Node, call: Call) -> Any:
        found = guest(node, call)
        if "socket" in found:
            return {"result": qga(found["socket"], f"guest-{name}")}
        return {"result": found.get(name, answer)}


for _name, _answer in _GET.items():
    _plain(_name, _answer)


@on("POST", f"{_AGENT}/exec")
def execute(node: Node, call: Call) -> Any:
    found = guest(node, call)
    argv, data = list(call["command"]), str(call.get("input-data", ""))
    if found.get("forbids"):
        raise Refusal("Agent error: Command guest-exec has been disabled\n")
    if "socket" in found:
        arguments: dict[str, Any] = {"path": argv[0], "arg": argv[1:], "capture-output": True}
        if data:
            arguments["input-data"] = base64.b64encode(data.encode()).decode()
        return {"pid": qga(found["socket"], "guest-exec", arguments)["pid"]}
    code, out, err = _answered(node, call, found, argv, data)
    node.state["counter"] += 1
    pid = 1000 + node.state["counter"]
    said = {"out-data": out.encode().decode("latin-1"), "err-data": err.encode().decode("latin-1")}
    ended = {"exited": 1, "exitcode": code, **said}
    found.setdefault("running", {})[str(pid)] = {
        "polls": found.get("polls", 0), "ended": {k: v for k, v in ended.items() if v != ""},
    }  # fmt: skip
    return {"pid": pid}


def _answered(
    node: Node, call: Call, found: dict[str, Any], argv: list[str], data: str
) -> tuple[int, str, str]:
    hook = node.hooks.get("guest")
    if hook is not None:
        code, out, err = hook(node, str(call["vmid"]), argv, data)
        return code, out, err
    asked = " ".join(argv) + "\n" + data
    for words, code, out, err in found.get("answers", []):
        if words in asked:
            return code, out, err
    if argv[0] in found.get("missing", []):
        why = f'Failed to execute child process "{argv[0]}" (No such file or directory)'
        raise Refusal(f"Agent error: {why}\n")
    return 127, "", f"sh: {argv[0]}: not found\n"


@on("GET", f"{_AGENT}/exec-status")
def exec_status(node: Node, call: Call) -> Any:
    found = guest(node, call)
    if "socket" in found:
        said = qga(found["socket"], "guest-exec-status", {"pid": int(call["pid"])})
        for key in ("out-data", "err-data"):
            if key in said:
                # Perl's decode_base64 makes bytes; its JSON takes each for a character
                said[key] = base64.b64decode(said[key]).decode("latin-1")
        return {**said, "exited": int(said["exited"])}
    kept = found.get("running", {}).get(str(call["pid"]))
    if kept is None:
        raise Refusal("Agent error: Invalid parameter 'pid'\n")
    if kept["polls"] > 0:
        kept["polls"] -= 1
        return {"exited": 0}
    del found["running"][str(call["pid"])]
    return kept["ended"]


@on("GET", f"{_AGENT}/file-read")
def file_read(node: Node, call: Call) -> Any:
    text = guest(node, call).get("files", {}).get(call["file"])
    if text is None:
        why = f"failed to open file '{call['file']}' (mode: 'r'): No such file or directory"
        raise Refusal(f"Agent error: {why}\n")
    found = {"content": text[:_READ_LIMIT], "bytes-read": len(text[:_READ_LIMIT])}
    return {**found, "truncated": 1} if len(text) > _READ_LIMIT else found


@on("POST", f"{_AGENT}/file-write")
def file_write(node: Node, call: Call) -> Any:
    guest(node, call).setdefault("files", {})[call["file"]] = call["content"]
