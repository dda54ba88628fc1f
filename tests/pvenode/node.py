"""The model: one state, and calls upon it, whoever carries them."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hostpci.pve.vmconfig import parse_vm_config

from .access import Access
from .errors import Refusal
from .schema import checked, find

VERSIONS = {8: "8.4.21", 9: "9.2.11"}
QEMU = {8: "9.2.0", 9: "11.0.2"}

Handler = Callable[["Node", "Call"], Any]
HANDLERS: dict[tuple[str, str], Handler] = {}


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call that is allowed and whose parameters are right. ``is_cli``: through pvesh or qm."""

    who: str
    params: dict[str, Any]
    version: int
    is_cli: bool = False
    printed: list[str] = field(default_factory=list)

    def __getitem__(self, key: str) -> Any:
        return self.params[key]

    def get(self, key: str, otherwise: Any = None) -> Any:
        return self.params.get(key, otherwise)

    def is_set(self, key: str) -> bool:
        return str(self.params.get(key, "0")) == "1"


@dataclass(frozen=True, kw_only=True)
class Response:
    status: int
    reason: str
    body: dict[str, Any] | None
    extra: dict[str, Any] = field(default_factory=dict)


def on(method: str, path: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        HANDLERS[method, path] = handler
        return handler

    return register


def empty_state(version: int = 9, node: str = "pve1") -> dict[str, Any]:
    """A fresh standalone node: root, one storage for each kind of content, no machine."""
    return {
        "version": version, "node": node, "nodes": [{"name": node, "online": 1}], "cluster": "",
        "users": {"root@pam": {"enable": 1, "password": "secret"}}, "tokens": {}, "acl": [],
        "roles": {}, "vms": {}, "containers": {}, "mappings": {}, "ha": {}, "tasks": [],
        "devices": [], "boot": {"mode": "efi", "secureboot": 0}, "memory_bytes": 64 << 30,
        "storages": {
            "local": {"type": "dir", "content": "iso,vztmpl,backup,snippets,import", "files": []},
            "local-lvm": {"type": "lvmthin", "content": "images,rootdir", "files": []},
        },
        "broken": {}, "hooks": {}, "task_polls": 0, "counter": 0, "quorate": 1,
    }  # fmt: skip


class Node:
    """``state`` is plain data; with ``home`` it is kept in a file and read anew for every call.

    ``hooks``: name of an event -> what happens then: a callable in this process, or (in the state,
    for programs) a list of words to run. ``start`` and ``stop`` of a VM get its number; what the
    hook prints is the task's log, and a status that is not 0 fails the task.
    """

    def __init__(self, state: dict[str, Any] | None = None, *, home: Path | None = None) -> None:
        self.home = home
        self.state = state if state is not None else empty_state()
        self.hooks: dict[str, Callable[..., Any]] = {}
        self._lock: Any = None
        self.calls: list[tuple[str, str, str, dict[str, Any]]] = []

    # what it is

    @property
    def version(self) -> int:
        return int(self.state["version"])

    @property
    def name(self) -> str:
        return str(self.state["node"])

    @property
    def access(self) -> Access:
        return Access(self.state, self.version)

    @contextmanager
    def session(self) -> Iterator[Node]:
        """One call's hold on the state."""
        if self.home is None:
            yield self
            return
        with open(self.home / "lock", "a", encoding="utf-8") as lock:
            self._lock = lock
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.load()
            try:
                yield self
            finally:
                self.save()
                self._lock = None

    @contextmanager
    def released(self) -> Iterator[None]:
        """While something runs that may itself call pvesh."""
        self.save()
        if self._lock is not None:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
        try:
            yield
        finally:
            if self._lock is not None:
                fcntl.flock(self._lock, fcntl.LOCK_EX)
                self.load()

    def load(self) -> None:
        if self.home is not None and (self.home / "state.json").exists():
            self.state = json.loads((self.home / "state.json").read_text(encoding="utf-8"))

    def save(self) -> None:
        if self.home is not None:
            fresh = self.home / f"state.json.{os.getpid()}"
            fresh.write_text(json.dumps(self.state, indent=1), encoding="utf-8")
            fresh.rename(self.home / "state.json")

    # a call

    def call(
        self, who: str, method: str, path: str, params: dict[str, Any], *, is_cli: bool = False
    ) -> tuple[Any, Call]:
        """Data and the call, or Refusal: in PVE's order: path, permission, node, parameters."""
        self.calls.append((who, method, path, dict(params)))
        found = find(self.version, method, path)
        if found is None:
            raise Refusal(f"Method '{method} {path}' not implemented", status=501)
        template, named, info = found
        for key, value in named.items():
            if key in params and str(params[key]) != value:
                words = f"Parameter verification failed - duplicate parameter '{key}'"
                words += " with conflicting values"
                raise Refusal(words, status=400)
        given = {**params, **named}
        if "!" in who and not info.get("allowtoken", 1):
            why = f"URI '{path}' not available with API token, need proper ticket.\n"
            words = f"Permission check failed ({why})\n"
            raise Refusal(words, status=403)
        handler = HANDLERS.get((method, template))
        if handler is None:
            raise AssertionError(f"the fake node does not carry out {method} {template}")
        self.access.of_method(info["permissions"], who, given)
        self._reach(str(given.get("node", "localhost")))
        self._reach(str(given.get("check-node", "localhost")))
        clean = checked(self.version, method, template, given)
        call = Call(who=who, params=clean, version=self.version, is_cli=is_cli)
        self._break(method, template)
        return handler(self, call), call

    def _reach(self, name: str) -> None:
        known = {each["name"]: each for each in self.state["nodes"]}
        if name not in known and name != "localhost":
            raise Refusal(
                f"hostname lookup '{name}' failed - failed to get address info for: {name}:"
                " Temporary failure in name resolution\n"
            )
        if name in known and not known[name].get("online", 1):
            raise Refusal("No route to host", status=595)

    def _break(self, method: str, template: str) -> None:
        """What a test wants to go wrong: ``{"PUT /nodes/...": ["words", status]}``."""
        wrong = self.state["broken"].get(f"{method} {template}")
        if wrong:
            raise Refusal(wrong[0], status=wrong[1])

    def respond(self, who: str, method: str, path: str, params: dict[str, Any]) -> Response:
        """As the HTTPS server answers."""
        with self.session():
            try:
                data, call = self.call(who, method, path, params)
            except Refusal as refusal:
                return self.refused(refusal)
        extra = {"total": call.params["_total"]} if "_total" in call.params else {}
        return Response(status=200, reason="OK", body={"data": data, **extra})

    def refused(self, refusal: Refusal) -> Response:
        body: dict[str, Any] = {"data": None, "message": refusal.message}
        if refusal.errors:
            body["errors"] = refusal.errors
        reason = refusal.message.splitlines()[0]
        return Response(status=refusal.status, reason=reason, body=body)

    # tasks

    def task(self, kind: str, ident: object, who: str, work: Callable[[], Any], call: Call) -> str:
        """Carry out ``work`` as a task; what it returns (lines) and raises becomes its log."""
        started = int(time.time())
        self.state["counter"] += 1
        number = self.state["counter"]
        numbers = f"{0x1000 + number:08X}:{number:08X}:{started:08X}"
        upid = f"UPID:{self.name}:{numbers}:{kind}:{ident}:{who}:"
        lines: list[str] = []
        status = "OK"
        try:
            lines += work() or []
        except Refusal as refusal:
            status = " ".join(refusal.message.split("\n")).strip()
        warnings = sum(line.startswith("WARN: ") for line in lines)
        if status == "OK" and warnings:
            status = f"WARNINGS: {warnings}"
        last = {"OK": "TASK OK"}.get(
            status, f"TASK {status}" if status.startswith("WARNINGS: ") else f"TASK ERROR: {status}"
        )
        call.printed.extend(lines)
        self.state["tasks"].insert(0, {
            "upid": upid, "node": self.name, "pid": 0x1000 + number, "pstart": number,
            "starttime": started, "endtime": int(time.time()), "type": kind, "id": str(ident),
            "user": who, "status": status, "log": [*lines, last],
            "polls": 0 if call.is_cli else self.state["task_polls"],
        })  # fmt: skip
        return upid

    def run_hook(self, event: str, *words: str) -> list[str]:
        """Lines of what the hook printed; Refusal with its last words if it failed."""
        hook = self.hooks.get(event)
        if hook is not None:
            return list(hook(self, *words) or [])
        argv = self.state["hooks"].get(event)
        if not argv:
            return []
        lines, status = self.run_program([*argv, *words])
        if status != 0:
            last = lines[-1] if lines else f"QEMU exited with code {status}"
            raise Refusal(f"start failed: {last}")
        return lines

    def run_program(self, argv: list[str]) -> tuple[list[str], int]:
        import subprocess

        with self.released():
            ended = subprocess.run(
                argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
            )
        return (ended.stdout + ended.stderr).splitlines(), ended.returncode

    def snippet(self, volume: str) -> Path | None:
        """The file of ``local:snippets/x``, where the storage has a folder."""
        name, _, rest = volume.partition(":")
        folder = self.state["storages"].get(name, {}).get("path")
        return Path(folder) / rest if folder else None

    def hookscript(self, vmid: str, phase: str) -> list[str]:
        """exec_hookscript [pve-guest-common PVE/GuestHelpers.pm]: before, a failure ends it all."""
        path = self.snippet(str(self.vm(vmid)["config"].get("hookscript", ":")))
        if path is None:
            return []
        lines, status = self.run_program([str(path), vmid, phase])
        if status != 0 and phase.startswith("pre-"):
            raise Refusal(f"hookscript error for {vmid} on {phase}: command '{path}' failed")
        return [*lines, f"hookscript error for {vmid} on {phase}"] if status else lines

    # the configuration of a VM as a file

    def vm(self, vmid: object, node: str | None = None) -> dict[str, Any]:
        found = self.state["vms"].get(str(vmid))
        at = self.name if node in {None, "localhost"} else node
        if found is None or found.get("node", self.name) != at:
            path = f"nodes/{at}/qemu-server/{vmid}.conf"
            raise Refusal(f"Configuration file '{path}' does not exist\n")
        return dict_of(found)

    def add_vm_text(self, vmid: int, text: str, **more: Any) -> dict[str, Any]:
        """From a file as somebody wrote it; what PVE cannot read stays in it until a change."""
        read = parse_vm_config(text, vmid=vmid, pve=self.version)
        pending = {key: str(each) for key, each in read.pending.items()}
        made = self.add_vm(vmid, {key: str(each) for key, each in read.main.items()}, **more)
        made["delete"] = pending.pop("delete", "").split(",") if "delete" in pending else []
        made["pending"] = pending
        made["snapshots"] = {
            name: {key: str(each) for key, each in values.items()}
            for name, values in read.snapshots.items()
        }
        made["raw"] = text
        return made

    def add_vm(self, vmid: int, config: dict[str, Any], **more: Any) -> dict[str, Any]:
        made = {"config": dict(config), "pending": {}, "delete": [], "snapshots": {}, **more}
        self.state["vms"][str(vmid)] = made
        return made


def dict_of(value: dict[str, Any]) -> dict[str, Any]:
    return value


def config_text(vm: dict[str, Any]) -> str:
    """As it stands there; PVE writes it whole [qemu-server PVE/QemuServer.pm write_vm_config]."""
    if "raw" in vm:
        return str(vm["raw"])
    parts = [_section(vm["config"])]
    if vm["pending"] or vm["delete"]:
        pending = dict(vm["pending"])
        if vm["delete"]:
            pending["delete"] = ",".join(vm["delete"])
        parts.append(f"\n[PENDING]\n{_section(pending)}")
    parts += [f"\n[{name}]\n{_section(vm['snapshots'][name])}" for name in sorted(vm["snapshots"])]
    return "".join(parts)


def _section(values: dict[str, Any]) -> str:
    notes = str(values.get("description", ""))
    lines = [f"#{quoted(each)}" for each in notes.split("\n")] if notes else []
    lines += [f"{key}: {values[key]}" for key in sorted(values) if key != "description"]
    return "".join(f"{each}\n" for each in lines)


def quoted(text: str) -> str:
    return re.sub(
        r"[^ !-$&-9;-~]", lambda match: "".join(f"%{b:02X}" for b in match[0].encode()), text
    )


def digest(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def new_uuid() -> str:
    return str(uuid.uuid4())
