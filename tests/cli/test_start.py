"""``hostpci start`` and ``stop`` as they are called."""

from __future__ import annotations

import json

import pytest

from hostpci.cli.context import Context
from hostpci.cli.main import main
from hostpci.errors import Exit

from ..pvenode.doors import shell as pvesh_door
from ..pvenode.errors import Refusal
from ..pvenode.node import Node, empty_state

# What QEMU says of a group that is not viable, as it stands in a task's log
VIABLE = (
    "kvm: -device vfio-pci,host=0000:01:00.0,id=hostpci0,bus=pci.0,addr=0x10: vfio 0000:01:00.0: "
    "group 1 is not viable"
)


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    made = Node(empty_state())
    made.add_vm(100, {"name": "x"})
    monkeypatch.setattr(Context, "pve", lambda _self: pvesh_door(made))
    return made


def fail(node: Node, *words: str) -> None:
    def broken(_node: Node, _vmid: str) -> list[str]:
        raise Refusal(f"start failed: {chr(10).join(words)}\n")

    node.hooks["start"] = broken


def test_start_and_stop_tell_what_was_so(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for words in (["start"], ["start"], ["stop", "--timeout", "9"], ["stop"]):
        assert main([words[0], "100", *words[1:], "--lang", "en"]) == Exit.OK
        said.append(capsys.readouterr().out)
    assert [("already" in each or "does not run" in each) for each in said] == [0, 1, 0, 1]
    assert main(["start", "100", "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["was_running"] is False


def test_why_it_did_not_start_is_told(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    fail(node, VIABLE)
    assert main(["start", "100", "--lang", "en"]) == Exit.FAILED
    told = capsys.readouterr()
    assert "VM 100 did not start" in told.err
    assert "group 1 is not viable" in told.err
    assert "hostpci explain" in told.out
    assert main(["start", "100", "--json"]) == Exit.FAILED
    document = json.loads(capsys.readouterr().out)
    assert document["error"] == "start-failed"
    code = document["diagnoses"][0]["code"]
    assert main(["explain", code, "--lang", "en"]) == Exit.OK


def test_control_characters_of_a_log_do_not_reach_the_terminal(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    fail(node, "\x1b[2J\x07 bell")
    assert main(["start", "100", "--lang", "en"]) == Exit.FAILED
    told = capsys.readouterr()
    assert "\x1b" not in told.out + told.err
    assert "bell" in told.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["start", "x"], "guest-bad-vmid"),
        (["start", "-1"], "guest-bad-vmid"),
        (["start", "999"], "pve-not-found"),
        (["stop", "999"], "pve-not-found"),
        (["stop", "100", "--timeout", "0"], "stop-bad-timeout"),
        (["stop", "100", "--timeout", "soon"], "stop-bad-timeout"),
        (["stop", "100", "--timeout", "9" * 40], "stop-bad-timeout"),
    ],
)
def test_bad_words(
    node: Node, words: list[str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--json"]) != Exit.OK
    assert json.loads(capsys.readouterr().out)["code"] == code
    assert node.vm(100).get("status") != "running"
