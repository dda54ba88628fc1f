"""pvesh as the door: what it prints around an answer, and what its last words mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from hostpci.errors import EnvironmentFault, Exit
from hostpci.host.runner import Completed, Keep, Runner
from hostpci.pve.node import PveError
from hostpci.pve.shell import ShellPve

UPID = "UPID:pve1:00001A2B:0000C0DE:6745A1B2:qmstart:100:root@pam:"
REASON = "hostpci0: invalid format - format error hostpci0.host: value does not match the pattern"
PARAMETERS = """\
400 Parameter verification failed.
hostpci0: invalid format - format error
hostpci0.host: value does not match the pattern

pvesh set <api_path> [OPTIONS] [FORMAT_OPTIONS]
"""


class Says(Runner):
    """Prints what it is given, or ends with status 255 and these last words."""

    def __init__(self, stdout: str = "", *, stderr: str | None = None) -> None:
        self.stdout, self.stderr = stdout, stderr
        self.asked: list[list[str]] = []

    def run(self, argv: Sequence[str], *, timeout_s: float, keep: Keep | None = None) -> Completed:
        self.asked.append(list(argv))
        if self.stderr is not None:
            raise EnvironmentFault(
                "command-failed", command=" ".join(argv), status=255, reason=self.stderr
            )
        return Completed(argv=tuple(argv), code=0, stdout=self.stdout, stderr="")


def answered(stdout: str, method: str = "get", **params: Any) -> Any:
    return ShellPve(Says(stdout)).call(method, "/x", params)


def refused(stderr: str) -> PveError:
    with pytest.raises(PveError) as caught:
        ShellPve(Says(stderr=stderr)).call("set", "/nodes/pve1/qemu/100/config", {"a": 1})
    return caught.value


def test_a_call_is_one_list_of_words() -> None:
    runner = Says("null")
    maps = ("node=a,path=0000:01:00,id=1:2", "node=b,path=0000:02:00,id=1:2")
    params: dict[str, Any] = {"map": maps, "mdev": False, "pci-class-blacklist": "", "start": 7}
    ShellPve(runner).call("create", "/cluster/mapping/pci", params)
    assert runner.asked == [[
        "pvesh", "create", "/cluster/mapping/pci", "--map", maps[0], "--map", maps[1],
        "--mdev", "0", "--pci-class-blacklist", "", "--start", "7", "--output-format", "json",
    ]]  # fmt: skip


@pytest.mark.parametrize(
    ("stdout", "method", "expected"),
    [
        ('{"version":"9.1.2"}\n', "get", {"version": "9.1.2"}),
        ("[]\n", "get", []),
        ("", "set", None),
        ("null\n", "get", None),
        ("update VM 100: -hostpci0 01:00,pcie=1\n", "set", None),
        (f'generating cloud-init ISO\nkvm: warning\n"{UPID}"\n', "create", UPID),
        # a program of the task left its line without an end
        (f'swtpm is up"{UPID}"\n', "create", UPID),
        ('update VM 100: -description "a"\n', "set", None),
        # of another node: pvesh joins what came through ssh
        (f'"generating cloud-init ISO\\"{UPID}\\""\n', "create", UPID),
    ],
)
def test_the_last_line_is_the_answer(stdout: str, method: str, expected: object) -> None:
    assert answered(stdout, method) == expected


def test_an_answer_that_is_none_is_said() -> None:
    with pytest.raises(PveError) as caught:
        answered("<html>\n")
    assert caught.value.code == "pve-garbled"


@pytest.mark.parametrize(
    ("stderr", "code", "exit_code", "params"),
    [
        ("Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist\n",
         "pve-not-found", Exit.FAILED, {"what": "VM 999 (pve1)"}),
        ("VM is locked (backup)\n", "pve-locked", Exit.BUSY, {"lock": "backup"}),
        ("can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout\n",
         "pve-locked", Exit.BUSY, {"lock": "/var/lock/qemu-server/lock-100.conf"}),
        ("checksum mismatch (file change by other user?)\n", "pve-digest", Exit.CONFLICT, {}),
        ("update hardware mapping failed: detected modified configuration\n",
         "pve-digest", Exit.CONFLICT, {}),
        (PARAMETERS,
         "pve-parameter", Exit.USAGE,
         {"field": "hostpci0", "reason": REASON}),
        ("please run as root\n", "pve-not-root", Exit.NOT_PERMITTED, {}),
        ("ipcc_send_rec[1] failed: Connection refused\nUnable to load it\n",
         "pve-unreachable", Exit.FAILED, {}),
        ("No 'get' handler defined for '/nope'\n", "pve-unsupported", Exit.FAILED, {}),
        ("you can't start a vm if it's a template\n", "pve-template", Exit.FAILED, {}),
        ("VM 100 already running\n", "pve-vm-running", Exit.FAILED, {"vmid": "100"}),
        ("volume 'local:1' does not exist\n", "pve-failed", Exit.FAILED,
         {"reason": "volume 'local:1' does not exist"}),
    ],
)  # fmt: skip
def test_last_words_become_an_error(
    stderr: str, code: str, exit_code: Exit, params: dict[str, str]
) -> None:
    error = refused(stderr)
    assert (error.code, error.exit) == (code, exit_code)
    assert {key: error.params[key] for key in params} == params
    assert error.params["call"] == "PUT /nodes/pve1/qemu/100/config"


def test_control_characters_of_pve_reach_nobody() -> None:
    assert "\033" not in str(refused("hello \033[2J\n").params["reason"])


@pytest.mark.parametrize("key", ["password", "cipassword"])
def test_a_secret_never_becomes_a_word(key: str) -> None:
    runner = Says("null")
    with pytest.raises(PveError, match="pve-secret-in-words") as caught:
        ShellPve(runner).call("set", "/x", {key: "hunter2"})
    assert runner.asked == []
    assert "hunter2" not in str(caught.value)


def test_an_error_does_not_repeat_the_arguments() -> None:
    with pytest.raises(PveError) as caught:
        ShellPve(Says(stderr="it broke")).call("create", "/x", {"input-data": "SCRIPT"})
    assert "SCRIPT" not in str(caught.value)


def test_what_was_asked_of_another_node_is_not_repeated_either() -> None:
    words = (
        "VM is locked (backup)\nproxy handler failed: command 'ssh -o BatchMode=yes root@192.0.2.2"
        " pvesh --noproxy create /x --input-data SCRIPT' failed: exit code 255\n"
    )
    error = refused(words)
    assert (error.code, error.params["lock"]) == ("pve-locked", "backup")
    assert "SCRIPT" not in str(error)


def test_the_node_is_the_one_that_pve_calls_local() -> None:
    nodes = (
        '[{"type":"cluster","name":"c"},{"type":"node","name":"a","local":0},'
        '{"type":"node","name":"b","local":1}]'
    )
    assert ShellPve(Says(nodes)).node() == "b"


@pytest.mark.parametrize(
    ("text", "expected"), [("8.4.21", (8, 4)), ("9.1-2", (9, 1)), ("9.2.11~rc", (9, 2))]
)
def test_the_version(text: str, expected: tuple[int, int]) -> None:
    assert ShellPve(Says(f'{{"version":"{text}"}}')).version() == expected
