"""Starting and shutting down through PVE: what was so already, what failed, and why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hostpci.pve.node import Pve, PveError
from hostpci.pve.power import Power, TaskFailedError, reboot_vm, start_vm, stop_vm
from tests.pvenode.doors import https, shell
from tests.pvenode.errors import Refusal
from tests.pvenode.node import Node, empty_state
from tests.pvenode.server import Server

SECRET = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def node() -> Node:
    state = empty_state()
    state["users"]["ops@pve"] = {}
    state["tokens"]["ops@pve!gpu"] = {"secret": SECRET, "privsep": 0}
    state["acl"] = [{"path": "/", "who": "ops@pve", "role": "PVEVMAdmin"}]
    made = Node(state)
    made.add_vm(100, {"name": "x"})
    return made


@pytest.fixture(params=["pvesh", "https"])
def pve(node: Node, request: pytest.FixtureRequest) -> Iterator[Pve]:
    if request.param == "pvesh":
        yield shell(node)
        return
    with Server(node) as server:
        yield https(server, f"ops@pve!gpu={SECRET}")


def test_started_then_found_running_then_stopped_then_found_stopped(node: Node, pve: Pve) -> None:
    node.hooks["start"] = lambda _node, _vmid: ["WARN: no KVM", "swtpm started"]
    first, second = start_vm(pve, 100), start_vm(pve, 100)
    assert (first.was_so, first.state, first.node) == (False, "running", "pve1")
    assert first.end is not None
    assert first.end.has_warnings
    assert "swtpm started" in first.log
    assert (second.was_so, second.end) == (True, None)
    assert not stop_vm(pve, 100).was_so
    assert node.vm(100)["status"] == "stopped"
    assert stop_vm(pve, 100).was_so


def test_of_a_failed_start_the_whole_log_is_kept(node: Node, pve: Pve) -> None:
    def broken(_node: Node, _vmid: str) -> list[str]:
        raise Refusal("start failed: QEMU exited with code 1\n")

    node.hooks["start"] = broken
    with pytest.raises(TaskFailedError) as caught:
        start_vm(pve, 100)
    assert caught.value.code == "start-failed"
    assert caught.value.end.log[-1] == "TASK ERROR: start failed: QEMU exited with code 1"
    assert node.vm(100).get("status") != "running"


@pytest.mark.parametrize(
    ("config", "code"),
    [({"lock": "backup"}, "pve-locked"), ({"template": "1"}, "pve-template")],
)
def test_what_the_task_says_is_told_as_if_the_call_had_said_it(
    node: Node, pve: Pve, config: dict[str, str], code: str
) -> None:
    node.vm(100)["config"] |= config
    with pytest.raises(TaskFailedError) as caught:
        start_vm(pve, 100)
    assert caught.value.code == code


def test_a_deaf_guest_is_left_running_unless_force_is_asked_for(node: Node, pve: Pve) -> None:
    node.vm(100).update(status="running", deaf=True)
    with pytest.raises(TaskFailedError) as caught:
        stop_vm(pve, 100, timeout_s=5)
    assert caught.value.code == "stop-still-running"
    assert caught.value.params["seconds"] == 5
    assert node.vm(100)["status"] == "running"
    assert not stop_vm(pve, 100, timeout_s=5, by_force=True).was_so
    assert node.vm(100)["status"] == "stopped"


def test_a_reboot_is_over_when_the_machine_runs_again_and_not_when_its_task_ends(
    node: Node, pve: Pve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hostpci.pve.power._PAUSE_S", 0.0)
    node.vm(100)["status"] = "running"
    assert reboot_vm(pve, 100).state == "running"
    assert node.vm(100)["status"] == "running"


def test_a_guest_that_does_not_reboot_is_left_running(node: Node, pve: Pve) -> None:
    node.vm(100).update(status="running", deaf=True)
    with pytest.raises(TaskFailedError) as caught:
        reboot_vm(pve, 100, timeout_s=5)
    assert caught.value.code == "stop-still-running"
    assert node.vm(100)["status"] == "running"


def test_a_machine_that_is_not_there(pve: Pve) -> None:
    with pytest.raises(PveError) as caught:
        start_vm(pve, 999)
    assert caught.value.code in {"pve-not-found", "pve-denied"}


def test_a_token_that_may_not_is_told_the_privilege(node: Node) -> None:
    node.state["acl"] = [{"path": "/", "who": "ops@pve", "role": "PVEAuditor"}]
    with Server(node) as server, pytest.raises(PveError) as caught:
        start_vm(https(server, f"ops@pve!gpu={SECRET}"), 100)
    assert (caught.value.code, caught.value.params["privilege"]) == ("pve-denied", "VM.PowerMgmt")


class Manager(Pve):
    """High availability: the task is over, the machine starts some looks later, or never."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def node(self) -> str:
        return "pve1"

    def call(self, method: str, path: str, params: object = None) -> object:
        if path == "/cluster/resources":
            return [{"type": "qemu", "vmid": 100, "node": "pve2"}]
        if path.endswith("/status/current"):
            self.looks -= 1
            return {"status": "stopped" if self.looks > 0 else "running", "ha": {"managed": 1}}
        if path.endswith("/status"):
            return {"status": "stopped", "exitstatus": "OK"}
        if path.endswith("/log"):
            return [{"n": 1, "t": "Requesting HA start for VM 100"}]
        assert (method, path) == ("create", "/nodes/pve2/qemu/100/status/start")
        return "UPID:pve2:00001000:00000001:65000000:hastart:100:root@pam:"


def test_high_availability_is_waited_for() -> None:
    slept: list[float] = []
    done = Power(Manager(4), 100, now=lambda: sum(slept), sleep=slept.append).start()
    assert (done.was_so, done.node, len(slept)) == (False, "pve2", 2)
    with pytest.raises(TaskFailedError) as caught:
        Power(Manager(10**9), 100, now=lambda: sum(slept), sleep=slept.append).start()
    assert caught.value.code == "start-not-running"


@pytest.mark.parametrize("answer", [None, [], {}, {"status": "maybe"}])
def test_an_answer_that_is_none_is_not_taken_for_a_state(answer: object) -> None:
    class Liar(Manager):
        def call(self, method: str, path: str, params: object = None) -> object:
            return answer if path.endswith("current") else super().call(method, path, params)

    with pytest.raises(PveError) as caught:
        start_vm(Liar(1), 100)
    assert caught.value.code == "pve-garbled"
