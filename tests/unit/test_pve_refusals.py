"""The same refusal is the same error, whoever carried the call; and nothing was changed by it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from hostpci.errors import Exit
from hostpci.i18n import Catalog
from hostpci.pve.node import Pve, PveError
from hostpci.pve.refusals import Answer, refusal
from hostpci.pve.tasks import follow, parse_upid
from tests.pvenode.doors import https, shell
from tests.pvenode.node import Node, empty_state
from tests.pvenode.server import Server

SECRET = "11111111-2222-3333-4444-555555555555"
QEMU = "/nodes/pve1/qemu"
MAP = "node=pve1,path=0000:01:00,id=10de:2d04"
OLD = "0" * 40


def a_cluster(version: int = 9) -> Node:
    """Machines in every state that stands in somebody's way."""
    state = empty_state(version)
    state["nodes"] = [{"name": "pve1"}, {"name": "pve2"}, {"name": "pve3", "online": 0}]
    state["tokens"]["root@pam!gpu"] = {"secret": SECRET, "privsep": 0}
    state["mappings"]["gpu"] = {"map": [MAP]}
    node = Node(state)
    node.add_vm(100, {"name": "idle", "agent": "1"})
    node.add_vm(101, {"name": "locked", "lock": "backup"})
    node.add_vm(102, {"name": "running", "agent": "1"}, status="running")
    node.add_vm(103, {"name": "golden", "template": "1"})
    node.add_vm(104, {"name": "elsewhere"}, node="pve2")
    node.add_vm(105, {"name": "mute"}, status="running")
    return node


@pytest.fixture(params=["pvesh", "https"])
def doors(request: pytest.FixtureRequest) -> Iterator[tuple[Pve, Node]]:
    node = a_cluster()
    if request.param == "pvesh":
        yield shell(node), node
        return
    with Server(node) as server:
        yield https(server, f"root@pam!gpu={SECRET}", node="pve1"), node


def said(error: PveError) -> None:
    """Its text and its hint name nothing that the error does not have."""
    for language in ("en", "zh_CN"):
        catalog = Catalog(language)
        assert catalog.text(f"error.{error.code}", **error.params)
        if catalog.has(f"error.{error.code}.hint"):
            assert catalog.text(f"error.{error.code}.hint", **error.params)


CASES: list[tuple[str, str, str, dict[str, Any], str, dict[str, str]]] = [
    ("no such machine", "set", f"{QEMU}/999/config", {"name": "x"}, "pve-not-found",
     {"what": "VM 999 (pve1)"}),
    ("it is on another node", "get", f"{QEMU}/104/config", {}, "pve-not-found",
     {"what": "VM 104 (pve1)"}),
    ("locked", "set", f"{QEMU}/101/config", {"name": "x"}, "pve-locked", {"lock": "backup"}),
    ("an old digest", "set", f"{QEMU}/100/config", {"name": "x", "digest": OLD}, "pve-digest", {}),
    ("an old digest of mappings", "set", "/cluster/mapping/pci/gpu", {"map": [MAP], "digest": OLD},
     "pve-digest", {}),
    ("a value that is none", "set", f"{QEMU}/100/config", {"hostpci0": "zz,pcie=7"},
     "pve-parameter", {"field": "hostpci0"}),
    ("two values that are none", "set", f"{QEMU}/100/config", {"bios": "x", "machine": "y"},
     "pve-parameter", {"field": "bios, machine"}),
    ("a mapping of another form", "create", "/cluster/mapping/pci", {"id": "x", "map": ["path=1"]},
     "pve-parameter", {}),
    ("no such setting", "set", f"{QEMU}/100/config", {"delete": "nope"}, "pve-parameter",
     {"field": "delete", "reason": "delete: unknown option 'nope'"}),
    ("no such mapping", "get", "/cluster/mapping/pci/none", {}, "pve-not-found", {"what": "none"}),
    ("a mapping that went", "set", "/cluster/mapping/pci/none", {"map": [MAP]}, "pve-not-found",
     {"what": "none"}),
    ("a mapping that came", "create", "/cluster/mapping/pci", {"id": "gpu", "map": [MAP]},
     "pve-exists", {"what": "gpu"}),
    ("a machine that came", "create", QEMU, {"vmid": 100}, "pve-exists", {"what": "VM 100"}),
    ("running", "delete", f"{QEMU}/102", {}, "pve-vm-running", {"vmid": "102"}),
    ("stopped", "create", f"{QEMU}/100/status/reboot", {}, "pve-vm-stopped", {"vmid": "100"}),
    ("no agent", "create", f"{QEMU}/105/agent/ping", {}, "pve-failed",
     {"reason": "No QEMU guest agent configured"}),
    ("a silent agent", "create", f"{QEMU}/102/agent/ping", {}, "pve-failed",
     {"reason": "QEMU guest agent is not running"}),
    ("an agent of a stopped machine", "create", f"{QEMU}/100/agent/ping", {}, "pve-vm-stopped",
     {"reason": "VM 100 is not running"}),
    ("no such storage", "set", f"{QEMU}/100/config", {"efidisk0": "nope:1"}, "pve-not-found",
     {"what": "nope"}),
    ("nothing to do", "set", f"{QEMU}/100/config", {}, "pve-failed",
     {"reason": "no options specified"}),
]  # fmt: skip


def images(node: Node) -> str:
    kept = {key: node.state[key] for key in ("vms", "mappings", "storages", "tasks")}
    return json.dumps(kept, sort_keys=True)


@pytest.mark.parametrize(("name", "method", "path", "params", "code", "wanted"), CASES,
                         ids=[each[0] for each in CASES])  # fmt: skip
def test_a_refusal_is_told_and_changes_nothing(
    doors: tuple[Pve, Node],
    name: str, method: str, path: str, params: dict[str, Any], code: str, wanted: dict[str, str],
) -> None:  # fmt: skip
    pve, node = doors
    before = images(node)
    with pytest.raises(PveError) as caught:
        pve.call(method, path, params)
    assert caught.value.code == code, name
    assert {key: caught.value.params[key] for key in wanted} == wanted
    assert images(node) == before
    said(caught.value)


@pytest.mark.parametrize(
    ("name", "path", "words"),
    [
        ("template", f"{QEMU}/103/status/start", "you can't start a vm if it's a template"),
        ("locked", f"{QEMU}/101/status/start", "VM is locked (backup)"),
        ("running", f"{QEMU}/102/status/start", "VM 102 already running"),
    ],
)
def test_what_only_a_task_finds_out_is_its_end(
    doors: tuple[Pve, Node], name: str, path: str, words: str
) -> None:
    pve, _ = doors
    end = pve.follow(pve.call("create", path), timeout_s=5)
    assert (end.ok, end.status) == (False, words), name
    assert end.log == (f"TASK ERROR: {words}",)


@pytest.mark.parametrize(("name", "code"), [("pve9", "pve-not-found"), ("pve3", "pve-unreachable")])
def test_another_node(name: str, code: str) -> None:
    node = a_cluster()
    with Server(node) as server, pytest.raises(PveError) as caught:
        https(server, f"root@pam!gpu={SECRET}").call("get", f"/nodes/{name}/status")
    assert caught.value.code == code
    assert caught.value.params["reason"]


def test_where_a_machine_is(doors: tuple[Pve, Node]) -> None:
    pve, _ = doors
    assert [pve.node_of(vmid) for vmid in (100, 104)] == ["pve1", "pve2"]
    with pytest.raises(PveError, match="pve-not-found"):
        pve.node_of(999)


def test_a_machine_that_one_may_not_see_is_not_called_missing() -> None:
    node = a_cluster()
    node.state["users"]["ops@pve"] = {}
    node.state["tokens"]["ops@pve!gpu"] = {"secret": SECRET, "privsep": 0}
    with Server(node) as server, pytest.raises(PveError, match="pve-denied") as caught:
        https(server, f"ops@pve!gpu={SECRET}", node="pve1").node_of(104)
    assert caught.value.params["privilege"] == "VM.Audit"
    assert caught.value.params["path"] == "/vms/104"


def test_a_call_that_this_pve_has_not(doors: tuple[Pve, Node]) -> None:
    with pytest.raises(PveError, match="pve-unsupported"):
        doors[0].call("get", "/nodes/pve1/nope")


# words of PVE that the fake node has no reason to say


@pytest.mark.parametrize(
    ("words", "status", "code", "exit_code"),
    [
        ("can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout\n", 500,
         "pve-locked", Exit.BUSY),
        ("cfs-lock 'file-mapping_pci_cfg' error: got lock request timeout\n", 500,
         "pve-locked", Exit.BUSY),
        ("cfs-lock 'file-mapping_pci_cfg' error: no quorum!\n", 500, "pve-no-quorum", Exit.FAILED),
        (("create hardware mapping failed: cfs-lock 'file-mapping_pci_cfg' error: pve cluster"
         " filesystem not online.\n"), 500, "pve-unreachable", Exit.FAILED),
        ("storage 'nope' does not exist\n", 500, "pve-not-found", Exit.FAILED),
        ("no such cluster node 'pve7'\n", 500, "pve-not-found", Exit.FAILED),
        ("no such user ('ops@pve')\n", 500, "pve-not-found", Exit.FAILED),
        # the storage is there
        ("content type 'images' is not available on storage 'local'\n", 500, "pve-failed",
         Exit.FAILED),
        ("storage 'local' does not support content-type 'snippets'\n", 500, "pve-failed",
         Exit.FAILED),
        ("storage 'nfs' is not online\n", 500, "pve-failed", Exit.FAILED),
        ("VM is locked\n", 500, "pve-locked", Exit.BUSY),
        ("VM 100 qmp command 'x' failed - got timeout\n", 500, "pve-failed", Exit.FAILED),
        ("No route to host", 595, "pve-unreachable", Exit.FAILED),
        ("Method 'GET /x' not implemented", 501, "pve-unsupported", Exit.FAILED),
        ("VM 100 is not running\n", 500, "pve-vm-stopped", Exit.FAILED),
        ("cluster not ready - no quorum?\n", 500, "pve-no-quorum", Exit.FAILED),
        ("checksum missmatch (file change by other user?)\n", 500, "pve-digest", Exit.CONFLICT),
        ("Permission check failed\n", 403, "pve-denied-unnamed", Exit.NOT_PERMITTED),
        ("Permission check failed (user != root@pam)\n", 403, "pve-root-only", Exit.NOT_PERMITTED),
        ("permission denied - invalid PVE ticket\n", 401, "pve-auth", Exit.NOT_PERMITTED),
        ("token 'gpu' access expired\n", 401, "pve-auth", Exit.NOT_PERMITTED),
        ("", 401, "pve-auth", Exit.NOT_PERMITTED),
        ("", 403, "pve-denied-unnamed", Exit.NOT_PERMITTED),
        ("unable to open file '/etc/pve/nodes/pve1/x.tmp.1' - Permission denied\n",
         500, "pve-no-quorum", Exit.FAILED),
        ("hotplug problem - x\n", 500, "pve-failed", Exit.FAILED),
    ],
)  # fmt: skip
def test_words_have_a_code(words: str, status: int, code: str, exit_code: Exit) -> None:
    error = refusal(Answer(message=words, status=status), call="PUT /x", who="a@pve!b")
    assert (error.code, error.exit) == (code, exit_code)
    said(error)


# tasks


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("UPID:pve1:00001A2B:0000C0DE:6745A1B2:qmstart:100:root@pam:", "pve1"),
        ("UPID:pve-2:00001A2B:10000C0DE:6745A1B2:qmstart:100:ops@pve!gpu:", "pve-2"),
        ("UPID:pve1:00001A2B:0000C0DE:6745A1B2:aptupdate::root@pam:", "pve1"),
        ("UPID:pve1:00001A2B:0000C0DE:6745A1B2:qmstart:100:root@pam", None),
        ("UPID:../x:00001A2B:0000C0DE:6745A1B2:qmstart:100:root@pam:", None),
        ("UPID:pve1:00001A2B:0000C0DE:6745A1B2:qm/start:100:root@pam:", None),
        ("", None), (None, None), (7, None),
    ],
)  # fmt: skip
def test_the_name_of_a_task(text: object, node: str | None) -> None:
    found = parse_upid(text)
    assert (found.node if found else None) == node


class Tells(Pve):
    """A task that says what it is told to."""

    def __init__(self, states: list[dict[str, Any]], log: list[str]) -> None:
        self.states, self.log = states, log
        self.pages: list[Any] = []

    def call(self, method: str, path: str, params: Any = {}) -> Any:  # noqa: B006
        if path.endswith("/status"):
            return self.states.pop(0) if len(self.states) > 1 else self.states[0]
        self.pages.append(params["start"])
        begin, limit = params["start"], params["limit"]
        lines = self.log[begin : begin + limit]
        return [{"n": begin + n + 1, "t": text} for n, text in enumerate(lines)]


UPID = "UPID:pve1:00001A2B:0000C0DE:6745A1B2:qmstart:100:root@pam:"


@pytest.mark.parametrize(
    ("status", "ok"),
    [("OK", True), ("WARNINGS: 2", True), ("start failed: x", False), ("unexpected status", False),
     ("WARNINGS: x", False), ("", False)],
)  # fmt: skip
def test_how_a_task_ended(status: str, ok: bool) -> None:  # noqa: FBT001
    told = Tells([{"status": "stopped", "exitstatus": status}], ["a", "b\x1b[2J"])
    end = follow(told, UPID, timeout_s=1)
    assert (end.ok, end.log) == (ok, ("a", "b�[2J"))


def test_a_log_in_another_script_comes_out_as_it_is() -> None:
    """PVE reads the bytes of the file [pve-common PVE/Tools.pm dump_logfile, upid_read_status]."""
    words = "cannot open “/dev/显卡”"
    read = words.encode().decode("latin-1")
    end = follow(Tells([{"status": "stopped", "exitstatus": read}], [read]), UPID, timeout_s=1)
    assert (end.status, end.log) == (words, (words,))


def test_a_long_log_is_read_page_by_page_and_an_endless_one_is_not() -> None:
    told = Tells([{"status": "stopped", "exitstatus": "OK"}], [f"line {n}" for n in range(1234)])
    assert len(follow(told, UPID, timeout_s=1).log) == 1234
    assert told.pages == [0, 500, 1000]
    assert told.log[-1] == "line 1233"
    told.log = [f"line {n}" for n in range(20_000)]
    assert follow(told, UPID, timeout_s=1).log == tuple(told.log[-5000:])
    told.log = ["x"] * 1_000_000
    assert len(follow(told, UPID, timeout_s=1).log) == 5000
    assert told.pages[-1] == 199 * 500


def test_a_task_that_does_not_end_is_left_and_named() -> None:
    clock = iter(range(1000))
    told = Tells([{"status": "running"}], [])
    with pytest.raises(PveError, match="pve-task-slow") as caught:
        follow(told, UPID, timeout_s=20, now=lambda: next(clock), sleep=lambda _: None)
    assert caught.value.params["upid"] == UPID


@pytest.mark.parametrize("state", [{}, {"status": "exploded"}, [], None, "running"])
def test_a_state_that_is_none_is_said(state: Any) -> None:
    with pytest.raises(PveError, match="pve-garbled"):
        follow(Tells([state], []), UPID, timeout_s=1)
