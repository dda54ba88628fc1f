"""``pvesh`` and ``qm`` over the model: what they print, where, and how they end.

[pve-manager PVE/CLI/pvesh.pm, pve-common PVE/CLIHandler.pm, PVE/RESTEnvironment.pm,
qemu-server PVE/CLI/qm.pm]
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from . import agent, cluster, vms  # noqa: F401  (they register what they carry out)
from .errors import Refusal
from .node import Node
from .schema import find, properties

_METHODS = {"get": "GET", "create": "POST", "set": "PUT", "delete": "DELETE"}
_STANDARD = {"output-format", "noborder", "noheader", "quiet", "human-readable", "noproxy"}
_ROOT = "root@pam"
_FAILED = 255


class Usage(Exception):  # noqa: N818
    pass


def options(argv: list[str], known: dict[str, Any]) -> dict[str, Any]:
    """Getopt::Long, as PVE::JSONSchema::get_options sets it up."""
    found: dict[str, Any] = {}
    words = list(argv)
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            raise Usage("400 too many arguments\n")
        key, mark, value = word.lstrip("-").partition("=")
        schema = known.get(key)
        if schema is None and key not in _STANDARD:
            raise Usage(f"Unknown option: {key}\n400 unable to parse option\n")
        schema = schema or {"type": "string" if key == "output-format" else "boolean"}
        if mark and not value:
            raise Usage(f"Option {key} requires an argument\n400 unable to parse option\n")
        if not mark:
            is_boolean = schema.get("type") == "boolean"
            if is_boolean and (not words or words[0].startswith("-")):
                value = "1"
            elif not words:
                raise Usage(f"Option {key} requires an argument\n400 unable to parse option\n")
            else:
                value = words.pop(0)
        if schema.get("type") == "array":
            found.setdefault(key, []).append(value)
        elif key in found and str(schema.get("format", "")).endswith("-list"):
            found[key] = f"{found[key]},{value}"
        else:
            found[key] = value
    return found


def pvesh(argv: list[str], node: Node, out: TextIO, err: TextIO) -> int:
    if len(argv) < 2 or argv[0] not in _METHODS:
        err.write("ERROR: unknown command\nUSAGE: pvesh <COMMAND> [ARGS] [OPTIONS]\n")
        return _FAILED
    method, path = _METHODS[argv[0]], argv[1]
    with node.session():
        found = find(node.version, method, path)
        if found is None:
            err.write(f"No '{argv[0]}' handler defined for '{path}'\n")
            return 1
        template, named, info = found
        known = {
            k: v for k, v in properties(node.version, method, template).items() if k not in named
        }
        try:
            given = options(argv[2:], known)
            format_ = given.pop("output-format", "text")
            params = {key: value for key, value in given.items() if key not in _STANDARD}
            data, call = node.call(_ROOT, method, path, params, is_cli=True)
        except Usage as usage:
            err.write(f"{usage}pvesh {argv[0]} <api_path> [OPTIONS] [FORMAT_OPTIONS]\n")
            return _FAILED
        except Refusal as refusal:
            err.write(words_of(refusal, f"pvesh {argv[0]} <api_path> [OPTIONS] [FORMAT_OPTIONS]\n"))
            return _FAILED
    out.writelines(f"{line}\n" for line in call.printed)
    _task_end(data, node, err)
    if info.get("returns") != "null" and "quiet" not in given:
        pretty = {"indent": 3} if format_ != "json" else {"separators": (",", ":")}
        out.write(json.dumps(data, sort_keys=True, ensure_ascii=False, **pretty) + "\n")
    return 0


def _task_end(data: Any, node: Node, err: TextIO) -> None:
    """A task runs in the foreground: how it failed goes to stderr, and the status stays 0."""
    task = node.state["tasks"][0] if node.state["tasks"] else {}
    if isinstance(data, str) and task.get("upid") == data and task["status"] != "OK":
        warnings = task["status"].removeprefix("WARNINGS: ")
        is_warned = warnings != task["status"]
        err.write(
            f"Task finished with {warnings} warning(s)!\n" if is_warned else f"{task['status']}\n"
        )


def words_of(refusal: Refusal, usage: str) -> str:
    """PVE::Exception::stringify."""
    if refusal.status == 500:
        return refusal.message if refusal.message.endswith("\n") else f"{refusal.message}\n"
    text = f"{refusal.status} {refusal.message.rstrip()}\n"
    text += "".join(f"{key}: {value}\n" for key, value in refusal.errors.items())
    return text + (usage if refusal.status == 400 else "")


def qm(argv: list[str], node: Node, out: TextIO, err: TextIO) -> int:
    """Those words of qm that are used: each is a call."""
    here = f"/nodes/{node.name}/qemu"
    command, vmid, rest = argv[0], argv[1] if len(argv) > 1 else "", argv[2:]
    if command in {"start", "stop", "shutdown", "reboot", "reset"}:
        status = pvesh(
            ["create", f"{here}/{vmid}/status/{command}", *rest, "--quiet"], node, out, err
        )
        return _FAILED if status or not _last_task_is_good(node) else 0
    if command == "config":
        return _texts(["get", f"{here}/{vmid}/config", *rest], node, out, err)
    if command in {"set", "unlock"}:
        words = ["--delete", "lock", "--skiplock", "1"] if command == "unlock" else rest
        return pvesh(["set", f"{here}/{vmid}/config", *words], node, out, err)
    if command == "create":
        return pvesh(["create", here, "--vmid", vmid, *rest, "--quiet"], node, out, err)
    if command == "destroy":
        return pvesh(["delete", f"{here}/{vmid}", *rest, "--quiet"], node, out, err)
    if command == "template":
        return pvesh(["create", f"{here}/{vmid}/template", *rest, "--quiet"], node, out, err)
    if command == "status":
        with node.session():
            vm = node.state["vms"].get(vmid)
        if vm is None:
            err.write(
                f"Configuration file 'nodes/{node.name}/qemu-server/{vmid}.conf' does not exist\n"
            )
            return 2
        out.write(f"status: {vm.get('status', 'stopped')}\n")
        return 0
    err.write(f"ERROR: unknown command 'qm {command}'\n")
    return _FAILED


def _texts(argv: list[str], node: Node, out: TextIO, err: TextIO) -> int:
    import io

    kept = io.StringIO()
    status = pvesh([*argv, "--output-format", "json"], node, kept, err)
    if status == 0:
        out.writelines(
            "" if key == "digest" else f"{key}: {value}\n"
            for key, value in sorted(json.loads(kept.getvalue()).items())
        )
    return status


def _last_task_is_good(node: Node) -> bool:
    status = str(node.state["tasks"][0]["status"]) if node.state["tasks"] else "OK"
    return status == "OK" or status.startswith("WARNINGS: ")


def main(program: str) -> int:
    """As a program: the state is in $PVENODE_HOME, else in /var/lib/pvenode."""
    if os.geteuid() != 0 and not os.environ.get("PVENODE_HOME"):
        sys.stderr.write("please run as root\n")
        return _FAILED
    node = Node(home=Path(os.environ.get("PVENODE_HOME", "/var/lib/pvenode")))
    with node.session():
        pass
    run = {"pvesh": pvesh, "qm": qm}[program]
    return run(sys.argv[1:], node, sys.stdout, sys.stderr)
