"""A guest through its agent (both doors of a fake PVE node, and one that lies) and over ssh."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hostpci.errors import EnvironmentFault, ToolError, UsageError
from hostpci.guest.agent import AgentShell
from hostpci.guest.course import Course
from hostpci.guest.power import PvePower
from hostpci.guest.shell import MAX_SAID_CHARS, GuestError
from hostpci.guest.ssh import SshShell
from hostpci.guest.tables import load_tables
from hostpci.host.runner import Completed, Keep, Runner
from hostpci.model.guest import Verdict
from hostpci.pve.node import PveError

from ..pve_stub import Clock, Refusing, StubPve, agent_of
from ..pvenode.doors import shell as pvesh_door
from ..pvenode.node import Node, empty_state
from ..scratch_guest import ScratchGuest


def node_with(**guest: Any) -> Node:
    state = empty_state()
    state["vms"]["100"] = {
        "node": state["node"], "status": "running", "config": {"agent": "1"}, "guest": guest,
    }  # fmt: skip
    return Node(state)


def answering(**ended: Any) -> StubPve:
    """exec gives pid 7; exec-status gives ``ended``."""

    def answer(_method: str, last: str, _params: dict[str, Any]) -> Any:
        return {"pid": 7} if last == "exec" else ended

    return StubPve(answer)


def test_a_host_without_pvesh_says_nothing_about_the_guest() -> None:
    def absent(_method: str, _last: str, _params: dict[str, Any]) -> Any:
        raise PveError("pve-no-pvesh", reason="No such file or directory")

    with pytest.raises(PveError) as caught:
        agent_of(StubPve(absent)).require()
    assert caught.value.code == "pve-no-pvesh"


# the agent, through the node's own programs


def test_a_script_goes_in_and_what_it_said_comes_out() -> None:
    node = node_with(answers=[["echo hello", 3, "hello\n", "oops\n"]], polls=2)
    said = AgentShell(pvesh_door(node), 100, sleep=lambda _: None).run("echo hello", timeout_s=9)
    assert (said.code, said.out, said.err) == (3, "hello\n", "oops\n")


def test_what_a_guest_says_in_another_script_comes_out_as_it_is() -> None:
    """PVE's JSON holds a character for each byte of it."""
    node = node_with(answers=[["motd", 0, "显卡 naïve\n", "Größe\n"]])
    said = AgentShell(pvesh_door(node), 100, sleep=lambda _: None).run("motd", timeout_s=9)
    assert (said.out, said.err) == ("显卡 naïve\n", "Größe\n")


@pytest.mark.parametrize("text", ["\xff\xfe", "caf\xe9", "显"])
def test_what_is_no_doubled_text_is_left(text: str) -> None:
    said = agent_of(answering(exited=1, exitcode=0, **{"out-data": text})).run("x", timeout_s=5)
    assert said.out == text


# QMPClient.pm and Monitor.pm: the agent's socket is there for one at a time
@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("unable to connect to VM 100 qga socket - timeout after 31 retries",
         "guest-agent-silent"),
        ("VM 100 qga command 'guest-exec-status' failed - client closed connection",
         "guest-agent-silent"),
        ("VM 100 qga command 'guest-exec' failed - got timeout", "guest-agent-silent"),
        ("VM 100 qga command 'guest-exec' failed - got wrong command id '12' (expected 13)",
         "guest-agent-silent"),
        ("VM 100 not running", "guest-stopped"),
    ],
)  # fmt: skip
def test_words_about_the_agent_have_a_name(words: str, code: str) -> None:
    with pytest.raises(ToolError) as caught:
        agent_of(Refusing(f"{words}\n")).require()
    assert caught.value.code == code


def test_a_program_is_waited_for_while_the_door_restarts() -> None:
    """pveproxy begins anew when its certificate does."""
    asked = 0

    def answer(_method: str, last: str, _params: dict[str, Any]) -> Any:
        nonlocal asked
        if last == "exec":
            return {"pid": 7}
        asked += 1
        if asked < 4:
            raise PveError("pve-unreachable", call="GET exec-status", reason="refused", who="x")
        return {"exited": 1, "exitcode": 0, "out-data": "done"}

    assert agent_of(StubPve(answer)).run("true", timeout_s=60).out == "done"


def test_a_refusal_while_a_program_runs_is_told_at_once() -> None:
    def answer(_method: str, last: str, _params: dict[str, Any]) -> Any:
        if last == "exec":
            return {"pid": 7}
        raise PveError("pve-denied-unnamed", call="GET exec-status", reason="no", who="x")

    pve = StubPve(answer)
    with pytest.raises(PveError, match="pve-denied"):
        agent_of(pve).run("true", timeout_s=60)
    assert len(pve.calls) == 2


@pytest.mark.processes
def test_the_whole_way_through_pvesh_and_the_agent(tmp_path: Path) -> None:
    """The real scripts, carried by the fake node's agent to a real /bin/sh."""
    guest = ScratchGuest(tmp_path)
    node = node_with()

    def run(_node: Node, _vmid: str, argv: list[str], data: str) -> tuple[int, str, str]:
        assert argv == ["/bin/sh"]
        done = subprocess.run(
            ["/bin/sh"], input=data.replace("R=''", f"R='{guest.tree}'", 1), text=True,
            capture_output=True, check=False, env=guest._environment(), timeout=60,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    node.hooks["guest"] = run
    door = pvesh_door(node)
    shell = AgentShell(door, 100, sleep=lambda _: None)
    course = Course(shell, load_tables(), power=PvePower(door, 100), root=str(guest.tree))
    assert course.run().decision.verdict is Verdict.WORKING
    assert course.prove().proven


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"config": {}}, "guest-agent-not-configured"),
        ({"guest": {"silent": True}}, "guest-agent-silent"),
        ({"status": "stopped"}, "guest-stopped"),
    ],
)
def test_an_agent_that_cannot_be_asked_is_told_by_its_name(change: Any, code: str) -> None:
    node = node_with()
    node.state["vms"]["100"].update(change)
    shell = AgentShell(pvesh_door(node), 100)
    with pytest.raises(ToolError) as caught:
        shell.require()
    assert caught.value.code == code
    assert not shell.is_there()


# an agent that lies


@pytest.mark.parametrize("pid", [None, "x", -1, True, 1.5, [], {}, "9" * 40])
def test_a_pid_that_is_none_is_told(pid: Any) -> None:
    with pytest.raises(GuestError) as caught:
        agent_of(StubPve(lambda *_: {"pid": pid})).run("true", timeout_s=5)
    assert caught.value.code == "guest-lies"


@pytest.mark.parametrize("code", [None, "0x0", "", True, 0.5, [], "\x1b[2J", "9" * 40])
def test_an_exit_code_that_is_none_is_no_success(code: Any) -> None:
    with pytest.raises(GuestError) as caught:
        agent_of(answering(exited=1, exitcode=code)).run("true", timeout_s=5)
    assert caught.value.code == "guest-lies"
    assert "\x1b" not in str(caught.value.params)


def test_a_program_that_never_ends_is_given_up() -> None:
    clock = Clock()
    with pytest.raises(GuestError) as caught:
        agent_of(answering(exited=0), clock).run("true", timeout_s=60)
    assert caught.value.code == "guest-slow"
    assert 60 <= clock.seconds < 70


@pytest.mark.parametrize("status", [None, [], "yes", 3])
def test_a_status_that_is_none_is_told(status: Any) -> None:
    pve = StubPve(lambda _m, last, _p: {"pid": 7} if last == "exec" else status)
    with pytest.raises(GuestError) as caught:
        agent_of(pve).run("true", timeout_s=5)
    assert caught.value.code == "guest-lies"


def test_a_flood_is_cut_and_control_characters_never_come_through() -> None:
    flood = "\x1b]0;x\x07" + "A" * (MAX_SAID_CHARS * 2)
    said = agent_of(answering(exited=1, exitcode=0, **{"out-data": flood})).run("x", timeout_s=5)
    assert len(said.out) == MAX_SAID_CHARS
    assert said.is_cut
    assert "\x1b" not in said.out
    assert "\x07" not in said.out


@pytest.mark.parametrize("garbage", [None, 5, [], {"a": 1}, b"x"])
def test_output_that_is_no_text_is_empty(garbage: Any) -> None:
    said = agent_of(answering(exited=1, exitcode=0, **{"out-data": garbage})).run("x", timeout_s=5)
    assert said.out == ""


def test_a_guest_that_says_nonsense_about_itself_is_no_facts() -> None:
    pve = answering(exited=1, exitcode=0, **{"out-data": "\x00\xff base64? ==\nuser\t0\n" * 99})
    course = Course(agent_of(pve), load_tables())
    with pytest.raises(GuestError) as caught:
        course.look()
    assert caught.value.code == "guest-garbled"


# ssh


class SshHere(Runner):
    """Runs what would go to the guest's login shell in one of this machine's."""

    def __init__(self, login_shell: str = "/bin/sh", fault: EnvironmentFault | None = None) -> None:
        self.argv: tuple[str, ...] = ()
        self._login_shell = login_shell
        self._fault = fault

    def run(self, argv: Sequence[str], *, timeout_s: float, keep: Keep | None = None) -> Completed:
        self.argv = tuple(argv)
        if self._fault:
            raise self._fault
        done = subprocess.run(
            [self._login_shell, "-c", argv[-1]], capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL, timeout=60,
        )  # fmt: skip
        return Completed(argv=self.argv, code=0, stdout=done.stdout, stderr=done.stderr)


@pytest.mark.processes
def test_ssh_carries_any_script_and_its_status() -> None:
    runner = SshHere()
    script = "printf '%s\\n' \"a'b\" '$x `y`'\necho err >&2\n(exit 9)"
    said = SshShell(runner, "root@192.0.2.7").run(script, timeout_s=30)
    assert (said.code, said.out, said.err) == (9, "a'b\n$x `y`\n", "err\n")
    assert runner.argv[0] == "ssh"
    assert "BatchMode=yes" in runner.argv
    assert not any("StrictHostKeyChecking" in each for each in runner.argv)
    assert runner.argv[-3:-1] == ("--", "root@192.0.2.7")


@pytest.mark.parametrize("target", ["-oProxyCommand=x", "a b", "root@-x", "", "root@h;x", "a@b@c"])
def test_a_target_that_could_be_an_option_is_refused(target: str) -> None:
    with pytest.raises(UsageError):
        SshShell(SshHere(), target)


def test_ssh_that_fails_says_what_ssh_said() -> None:
    fault = EnvironmentFault(
        "command-failed", command="ssh", status=255, reason="Host key verification failed.\x1b"
    )
    with pytest.raises(GuestError) as caught:
        SshShell(SshHere(fault=fault), "root@h").run("true", timeout_s=5)
    assert caught.value.code == "guest-ssh"
    assert caught.value.params["reason"] == "Host key verification failed.�"
    assert not SshShell(SshHere(fault=fault), "root@h").is_there()


def test_an_ending_that_is_no_status_is_told() -> None:
    class Motd(SshHere):
        def run(
            self, argv: Sequence[str], *, timeout_s: float, keep: Keep | None = None
        ) -> Completed:
            return Completed(argv=(), code=0, stdout="Welcome!\nhostpci-status-x", stderr="")

    with pytest.raises(GuestError) as caught:
        SshShell(Motd(), "root@h").run("true", timeout_s=5)
    assert caught.value.code == "guest-lies"
