"""``hostpci guest`` as it is called, on the fake PVE node with a scratch guest behind its agent."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from hostpci.cli.context import Context
from hostpci.cli.main import main
from hostpci.errors import Exit
from hostpci.guest import course, longrun

from ..pvenode.doors import shell as pvesh_door
from ..pvenode.errors import Refusal
from ..pvenode.node import Node, empty_state
from ..scratch_guest import ScratchGuest

pytestmark = pytest.mark.processes


@pytest.fixture
def node() -> Node:
    made = Node(empty_state())
    made.add_vm(100, {"agent": "1"}, guest={}, status="running")
    made.add_vm(101, {"agent": "1"})
    return made


@pytest.fixture
def guest(tmp_path: Path, node: Node, monkeypatch: pytest.MonkeyPatch) -> ScratchGuest:
    made = ScratchGuest(tmp_path)

    def run(_node: Node, _vmid: str, _argv: list[str], data: str) -> tuple[int, str, str]:
        done = subprocess.run(
            ["/bin/sh"], input=data.replace("R=''", f"R='{made.tree}'"), text=True,
            capture_output=True, check=False, env=made._environment(), timeout=60,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    node.hooks["guest"] = run
    monkeypatch.setattr(Context, "pve", lambda _self: pvesh_door(node))
    # the root of a guest is its own; here it is the scratch tree
    monkeypatch.setattr(longrun, "_START", longrun._START.replace("@ROOT@", str(made.tree)))
    return made


def test_a_plan_changes_nothing(guest: ScratchGuest, capsys: pytest.CaptureFixture[str]) -> None:
    guest.say("fetched", "")
    assert main(["guest", "100", "--plan", "--lang", "en"]) == Exit.CHANGES_PENDING
    out = capsys.readouterr().out
    assert "apt-get install nvidia-driver-580-open" in out
    assert guest.calls == []


def test_from_nothing_to_proof_as_json(
    guest: ScratchGuest, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["guest", "100", "--yes", "--json"]) == Exit.OK
    said = json.loads(capsys.readouterr().out)
    assert said["schema"] == "hostpci.guest/1"
    assert said["verdict"] == "working"
    assert said["proven"] is True
    assert [each["do"] for each in said["done"]] == ["apt-update", "driver", "module-load"]
    assert said["proof"]["versions"]["kernel"] == "6.8.0-146-generic"
    capsys.readouterr()
    assert main(["guest", "100", "--lang", "zh_CN"]) == Exit.OK
    assert "设备在客户机中可用" in capsys.readouterr().out


def test_nothing_is_installed_without_a_yes(
    guest: ScratchGuest, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["guest", "100", "--lang", "en"]) == Exit.USAGE
    assert "--yes" in capsys.readouterr().err
    assert guest.calls == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["x"], "guest-bad-vmid"),
        (["100", "--driver", "newest"], "guest-bad-driver"),
        (["100", "--ssh", "-oProxyCommand=x"], "wrong-words"),
        (["100", "--ssh=-oProxyCommand=x"], "guest-bad-target"),
        (["101"], "guest-stopped"),
        (["999"], "pve-not-found"),
    ],
)
def test_bad_words_and_bad_guests_are_told(
    guest: ScratchGuest, words: list[str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["guest", *words, "--json"]) != Exit.OK
    assert json.loads(capsys.readouterr().out)["code"] == code
    assert guest.calls == []


def test_the_second_proof_is_of_another_start(
    guest: ScratchGuest, node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    node.hooks["start"] = lambda _node, _vmid: guest.put(
        "proc/sys/kernel/random/boot_id", "boot-2\n"
    )
    assert main(["guest", "100", "--yes", "--twice", "--json"]) == Exit.OK
    said = json.loads(capsys.readouterr().out)
    assert said["proven"] is True
    assert [each["outcome"] for each in said["second_proof"]["steps"]] == ["holds"] * 3


def test_a_machine_that_does_not_start_again_is_explained(
    guest: ScratchGuest, node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_node: Node, _vmid: str) -> list[str]:
        raise Refusal(
            "start failed: kvm: -device vfio-pci,host=0000:01:00.0: vfio 0000:01:00.0: failed to"
            " open /dev/vfio/8: Device or resource busy\n"
        )

    node.hooks["start"] = broken
    assert main(["guest", "100", "--yes", "--twice", "--json"]) == Exit.FAILED
    said = json.loads(capsys.readouterr().out)
    assert said["error"] == "start-failed"
    assert said["diagnoses"][0]["code"] == "pci-in-use-by-other-vm", said["diagnoses"]
    assert guest.calls


def test_a_card_that_does_not_survive_its_reset_is_explained(
    guest: ScratchGuest,
    node: Node,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second start says it on the guest's own kernel log; the first one said nothing."""
    monkeypatch.setattr(course, "_WAIT_S", 0)

    def broken(_node: Node, _vmid: str) -> None:
        guest.put("proc/sys/kernel/random/boot_id", "boot-2\n")
        guest.say("dmesg", "NVRM: _kgspBootGspRm: unexpected WPR2 already up, cannot proceed\n")
        (guest.tree / "dev" / "nvidiactl").unlink()

    node.hooks["start"] = broken
    assert main(["guest", "100", "--yes", "--twice", "--json"]) == Exit.FINDINGS
    said = json.loads(capsys.readouterr().out)
    assert said["fault"] == "guest-nvidia-gsp-fail"
    assert said["diagnoses"][0]["sightings"][0]["text"].startswith("NVRM: _kgspBootGspRm")
    faults = {each["code"]: each.get("fault") for each in said["second_proof"]["steps"]}
    assert faults["guest-nvidia-smi"] == "guest-nvidia-no-devices"
