"""``hostpci vm create`` as it is called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hostpci.cli.context import Context
from hostpci.cli.main import main
from hostpci.errors import Exit
from hostpci.host.root import TreeRoot

from ..pvenode.doors import shell as pvesh_door
from ..pvenode.node import Node, empty_state
from ..unit.test_vm_create import key_line, qcow2

pytestmark = pytest.mark.processes


class Desk:
    def __init__(self, node: Node, directory: Path) -> None:
        self.node, self.directory = node, directory
        self.words = ["--name", "gpu", "--image", str(directory / "noble.img")]
        self.words += ["--ssh-key", str(directory / "key.pub")]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The journal and the snippet go into a tree; image and key lie outside, as they would."""
    node, tree = Node(empty_state()), tmp_path / "tree"
    (tree / "var/lib/vz").mkdir(parents=True)
    node.state["storages"]["local"]["path"] = "/var/lib/vz"
    (tmp_path / "noble.img").write_bytes(qcow2())
    (tmp_path / "key.pub").write_text(key_line())
    monkeypatch.setattr(Context, "tree", property(lambda _self: str(tree)))
    monkeypatch.setattr(Context, "pve", lambda _self: pvesh_door(node))
    monkeypatch.setattr("hostpci.cli.verbs.vm.local_files", lambda: TreeRoot("/"))
    return Desk(node, tmp_path)


def test_shown_made_and_taken_back(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vm", "create", *desk.words, "--dry-run", "--lang", "en"]) == Exit.OK
    shown = capsys.readouterr().out
    assert "+machine: q35" in shown
    assert "undo: the machine and its disks are destroyed" in shown
    assert desk.node.state["vms"] == {}
    assert main(["vm", "create", *desk.words, "--lang", "en"]) == Exit.USAGE  # nobody said yes
    assert desk.node.state["vms"] == {}
    assert main(["vm", "create", *desk.words, "--yes", "--lang", "en"]) == Exit.OK
    assert "hostpci start 100" in capsys.readouterr().err
    assert main(["undo", "--yes"]) == Exit.OK
    assert desk.node.state["vms"] == {}


def test_json(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vm", "create", *desk.words, "--dry-run", "--json"]) == Exit.OK
    plan = json.loads(capsys.readouterr().out)
    assert plan["schema"] == "hostpci.plan/1"
    assert main(["vm", "create", *desk.words, "--yes", "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["schema"] == "hostpci.run/1"
    assert main(["vm", "create", *desk.words, "--bridge", "no", "--yes", "--json"]) == Exit.FINDINGS
    refused = json.loads(capsys.readouterr().out)
    assert refused["refusals"][0]["code"] == "vm-bridge"
    assert list(desk.node.state["vms"]) == ["100"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["destroy"], "vm-what"),
        (["create"], "vm-needs"),
        (["create", "--name", "x", "--image", "i"], "vm-needs"),
        (["create", "--name", "a b"], "vm-bad-name"),
        (["create", "--name", "-x"], "wrong-words"),
        (["create", "--id", "99"], "vm-bad-id"),
        (["create", "--id", "x"], "guest-bad-vmid"),
        (["create", "--storage", "a,b"], "vm-bad-word"),
        (["create", "--bridge", "vmbr0,tag=1"], "vm-bad-word"),
        (["create", "--cores", "0"], "vm-bad-number"),
        (["create", "--memory", "1g"], "vm-bad-number"),
        (["create", "--disk", "1"], "vm-bad-number"),
        (["create", "--image", "/x,format=raw"], "vm-bad-path"),
        (["create", "--image", "/x\nargs: 1"], "vm-bad-path"),
    ],
)
def test_bad_words(
    desk: Desk, words: list[str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if len(words) > 1 and code != "vm-needs":
        words = [words[0], *desk.words, *words[1:]]
    assert main(["vm", *words, "--yes", "--json"]) == Exit.USAGE
    assert json.loads(capsys.readouterr().out)["code"] == code
    assert desk.node.state["vms"] == {}
