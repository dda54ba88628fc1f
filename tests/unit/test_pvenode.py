"""The fake node as its users need it: through pvesh, as programs, with hooks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hostpci.host import runner
from hostpci.pve.node import PveError
from hostpci.pve.shell import ShellPve
from tests.pvenode.doors import shell
from tests.pvenode.node import Node, config_text, empty_state

VM = {"name": "gpu", "machine": "q35", "memory": "2048", "agent": "1"}
CONFIG = "/nodes/pve1/qemu/100/config"


def node_with_vm(version: int = 9) -> Node:
    node = Node(empty_state(version))
    node.add_vm(100, VM)
    return node


@pytest.mark.parametrize("version", [8, 9])
def test_a_setting_is_changed_and_seen(version: int) -> None:
    pve = shell(node_with_vm(version))
    before = pve.call("get", CONFIG)
    pve.call("set", CONFIG, {"hostpci0": "01:00,pcie=1", "digest": before["digest"]})
    after = pve.call("get", CONFIG)
    assert after["hostpci0"] == "01:00,pcie=1"
    assert after["digest"] != before["digest"]
    assert pve.version()[0] == version
    assert pve.node() == "pve1"


def test_the_first_digest_is_no_longer_good() -> None:
    pve = shell(node_with_vm())
    digest = pve.call("get", CONFIG)["digest"]
    pve.call("set", CONFIG, {"name": "other"})
    with pytest.raises(PveError, match="pve-digest"):
        pve.call("set", CONFIG, {"name": "third", "digest": digest})


def test_a_machine_starts_through_its_hook_and_the_task_tells() -> None:
    node = node_with_vm()
    node.hooks["start"] = lambda _, vmid: [f"starting {vmid}", "WARN: no KVM"]
    pve = shell(node)
    end = pve.follow(pve.call("create", "/nodes/pve1/qemu/100/status/start"), timeout_s=5)
    assert (end.ok, end.status, end.has_warnings) == (True, "WARNINGS: 1", True)
    assert end.log == ("starting 100", "WARN: no KVM", "TASK WARNINGS: 1")
    assert pve.call("get", "/nodes/pve1/qemu/100/status/current")["status"] == "running"


def test_what_is_set_on_a_running_machine_waits_for_its_next_start() -> None:
    node = node_with_vm()
    pve = shell(node)
    pve.call("create", "/nodes/pve1/qemu/100/status/start")
    pve.call("set", CONFIG, {"hostpci0": "01:00"})
    assert "hostpci0" not in pve.call("get", CONFIG, {"current": 1})
    listed = pve.call("get", "/nodes/pve1/qemu/100/pending")
    assert {"key": "hostpci0", "pending": "01:00"} in listed
    pve.call("create", "/nodes/pve1/qemu/100/status/reboot")
    assert pve.call("get", CONFIG, {"current": 1})["hostpci0"] == "01:00"


def test_the_guest_answers_what_it_was_told_to() -> None:
    node = node_with_vm()
    node.state["vms"]["100"] |= {
        "status": "running",
        "guest": {"answers": [["uname -r", 0, "6.8.0\n", ""]], "polls": 2},
    }
    pve = shell(node)
    agent = "/nodes/pve1/qemu/100/agent"
    pid = pve.call("create", f"{agent}/exec", {"command": "/bin/sh", "input-data": "uname -r"})[
        "pid"
    ]
    said = [pve.call("get", f"{agent}/exec-status", {"pid": pid}) for _ in range(3)]
    assert said == [
        {"exited": 0},
        {"exited": 0},
        {"exited": 1, "exitcode": 0, "out-data": "6.8.0\n"},
    ]


def test_what_pve_cannot_read_stays_until_the_next_change() -> None:
    node = Node(empty_state(8))
    node.add_vm_text(100, "name: x\nhostpci0: 01:00,driver=keep\n# note\nbroken\n\n[s1]\nname: y\n")
    pve = shell(node)
    before = pve.call("get", CONFIG)
    assert (before["name"], before["description"]) == ("x", " note")
    assert "hostpci0" not in before
    pve.call("set", CONFIG, {"name": "z", "digest": before["digest"]})
    assert "broken" not in config_text(node.vm(100))
    assert pve.call("get", CONFIG, {"snapshot": "s1"})["name"] == "y"


@pytest.mark.processes
def test_the_real_runner_starts_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What doors.NodeRunner imitates: words, status, and the last words of stderr."""
    programs = Path(__file__).parents[1] / "pvenode" / "bin"
    path = f"{programs}:{Path(sys.executable).parent}:/usr/bin:/bin"
    monkeypatch.setattr(runner, "_ENVIRONMENT", {"PATH": path, "PVENODE_HOME": str(tmp_path)})
    state = empty_state(8)
    state["hooks"] = {"start": ["sh", "-c", "echo kvm: no card >&2; exit 1"]}
    (tmp_path / "state.json").write_text(json.dumps(state), encoding="utf-8")
    pve = ShellPve(runner.RealRunner())
    pve.call("create", "/nodes/pve1/qemu", {"vmid": 100, "name": "x", "description": "a b\n'c'"})
    assert pve.call("get", CONFIG)["description"] == "a b\n'c'"
    assert (pve.version(), pve.node()) == ((8, 4), "pve1")
    with pytest.raises(PveError, match="pve-parameter") as caught:
        pve.call("set", CONFIG, {"hostpci0": "zz", "bios": "x"})
    assert caught.value.params["field"] == "bios, hostpci0"
    end = pve.follow(pve.call("create", "/nodes/pve1/qemu/100/status/start"), timeout_s=5)
    assert (end.ok, end.status) == (False, "start failed: kvm: no card")


@pytest.mark.processes
def test_the_programs_share_one_state(tmp_path: Path) -> None:
    programs = Path(__file__).parents[1] / "pvenode" / "bin"
    hook = [sys.executable, "-c", "import sys; print('started', sys.argv[1])"]
    state = empty_state()
    state["hooks"] = {"start": hook}
    script = tmp_path / "snippets" / "hook"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\n{programs}/qm status $1\necho phase $2\n", encoding="ascii")
    script.chmod(0o755)
    state["storages"]["local"]["path"] = str(tmp_path)
    (tmp_path / "state.json").write_text(json.dumps(state), encoding="utf-8")

    def run(*words: str) -> str:
        return subprocess.run(
            [programs / words[0], *words[1:]], env={**os.environ, "PVENODE_HOME": str(tmp_path)},
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    run("qm", "create", "100", "--name", "x", "--machine", "q35")
    run("qm", "set", "100", "--hookscript", "local:snippets/hook")
    said = run("qm", "start", "100")
    lines = ["status: stopped", "phase pre-start", "started 100", "status: running"]
    assert said.splitlines() == [*lines, "phase post-start"]
    said = run("pvesh", "get", "/nodes/pve1/qemu/100/status/current", "--output-format", "json")
    assert json.loads(said)["status"] == "running"
