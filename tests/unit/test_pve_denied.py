"""Every call of this program, by a token that lacks one privilege: what is missing is named, and
the command that the error gives mends it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from hostpci.executor.vmstarts import sees_all_tasks
from hostpci.i18n import Catalog
from hostpci.pve.https import HttpsPve
from hostpci.pve.node import PveError
from tests.pvenode.access import roles
from tests.pvenode.doors import https
from tests.pvenode.node import Node, empty_state
from tests.pvenode.server import Server

USER, TOKEN = "ops@pve", "ops@pve!gpu"
SECRET = "11111111-2222-3333-4444-555555555555"
VM = "/nodes/pve1/qemu/100"
MAP = "node=pve1,path=0000:01:00,id=10de:2d04,iommugroup=12,subsystem-id=10b0:205e"
Wanted = tuple[str, str, dict[str, Any], str, str]

# method, path, parameters, the path of the privilege, the privilege
CALLS: list[Wanted] = [
    ("get", "/cluster/status", {}, "/", "Sys.Audit"),
    ("get", "/nodes/pve1/status", {}, "/nodes/pve1", "Sys.Audit"),
    ("get", "/nodes/pve1/hardware/pci", {"pci-class-blacklist": ""}, "/", "Sys.Audit"),
    ("get", "/cluster/ha/resources", {}, "/", "Sys.Audit"),
    ("get", "/cluster/mapping/pci/gpu", {}, "/mapping/pci/gpu", "Mapping."),
    ("create", "/cluster/mapping/pci", {"id": "gpu2", "map": [MAP]}, "/mapping/pci",
     "Mapping.Modify"),
    ("set", "/cluster/mapping/pci/gpu", {"map": [MAP]}, "/mapping/pci/gpu", "Mapping.Modify"),
    ("delete", "/cluster/mapping/pci/gpu", {}, "/mapping/pci", "Mapping.Modify"),
    ("get", f"{VM}/config", {}, "/vms/100", "VM.Audit"),
    ("get", f"{VM}/pending", {}, "/vms/100", "VM.Audit"),
    ("get", f"{VM}/snapshot", {}, "/vms/100", "VM.Audit"),
    ("get", f"{VM}/status/current", {}, "/vms/100", "VM.Audit"),
    ("set", f"{VM}/config", {"hostpci0": "mapping=gpu"}, "/mapping/pci/gpu", "Mapping.Use"),
    ("set", f"{VM}/config", {"hostpci0": "mapping=gpu"}, "/vms/100", "VM.Config.HWType"),
    ("set", f"{VM}/config", {"machine": "q35"}, "/vms/100", "VM.Config.HWType"),
    ("set", f"{VM}/config", {"vga": "none"}, "/vms/100", "VM.Config.HWType"),
    ("set", f"{VM}/config", {"cpu": "host"}, "/vms/100", "VM.Config.CPU"),
    ("set", f"{VM}/config", {"balloon": 0}, "/vms/100", "VM.Config.Memory"),
    ("set", f"{VM}/config", {"bios": "ovmf"}, "/vms/100", "VM.Config.Options"),
    ("set", f"{VM}/config", {"agent": "1"}, "/vms/100", "VM.Config.Options"),
    ("set", f"{VM}/config", {"efidisk0": "local-lvm:1"}, "/vms/100", "VM.Config.Disk"),
    ("set", f"{VM}/config", {"efidisk0": "local-lvm:1"}, "/storage/local-lvm",
     "Datastore.AllocateSpace"),
    ("set", f"{VM}/config", {"net0": "virtio,bridge=vmbr0"}, "/vms/100", "VM.Config.Network"),
    ("set", f"{VM}/config", {"net0": "virtio,bridge=vmbr0"}, "/sdn/zones/localnetwork/vmbr0",
     "SDN.Use"),
    ("create", f"{VM}/status/start", {}, "/vms/100", "VM.PowerMgmt"),
    ("create", f"{VM}/status/shutdown", {}, "/vms/100", "VM.PowerMgmt"),
    ("create", f"{VM}/snapshot", {"snapname": "s1"}, "/vms/100", "VM.Snapshot"),
    ("create", "/nodes/pve1/qemu", {"vmid": 101}, "/vms", "VM.Allocate"),
    ("get", "/nodes/pve1/storage/local/content", {}, "/storage/local", "Datastore."),
    ("create", f"{VM}/agent/ping", {}, "/vms/100", "AGENT"),
    ("get", f"{VM}/agent/get-osinfo", {}, "/vms/100", "AGENT"),
    ("create", f"{VM}/agent/exec", {"command": "/bin/sh"}, "/vms/100", "AGENT"),
    ("get", f"{VM}/agent/exec-status", {"pid": 1}, "/vms/100", "AGENT"),
    ("create", f"{VM}/agent/file-write", {"file": "/x", "content": "y"}, "/vms/100", "AGENT"),
]  # fmt: skip


def full(version: int) -> set[str]:
    """All but what would do in the place of Sys.Audit."""
    return roles(version)["Administrator"] - {"Sys.Modify"}


def lacking(privilege: str, version: int) -> set[str]:
    """What must go so that the call is denied."""
    if privilege == "AGENT":
        privilege = "VM.Monitor" if version == 8 else "VM.GuestAgent."
    everything = full(version)
    exact = {each for each in everything if each == privilege}
    return exact or {each for each in everything if each.startswith(privilege)}


def node_for(version: int, *, without: set[str], privsep: int) -> Node:
    state = empty_state(version)
    state["users"][USER] = {}
    state["tokens"][TOKEN] = {"secret": SECRET, "privsep": privsep}
    state["roles"]["some"] = sorted(full(version) - without)
    # of a token with privilege separation, and of its user, one lacks it
    state["roles"]["all"] = sorted(full(version))
    state["acl"] = [
        {"path": "/", "who": USER, "role": "all" if privsep else "some"},
        {"path": "/", "who": TOKEN, "role": "some"},
    ]
    state["mappings"]["gpu"] = {"map": [MAP]}
    node = Node(state)
    vm = node.add_vm(100, {"name": "gpu", "agent": "1", "memory": "2048"})
    vm["guest"] = {"answers": [["/bin/sh", 0, "", ""]], "running": {}}
    return node


def ready(node: Node, path: str) -> None:
    """Agents answer while the machine runs; the rest is about one that is stopped."""
    vm = node.state["vms"]["100"]
    vm["status"] = "running" if "/agent/" in path else "stopped"
    vm["guest"]["running"]["1"] = {"polls": 0, "ended": {"exited": 1, "exitcode": 0}}


def grant(node: Node, command: str) -> None:
    """Carry out ``pveum acl modify PATH --users U --tokens 'T' --roles R`` on the fake node."""
    words = shlex.split(command)
    if words[:3] == ["pveum", "role", "add"]:
        node.state["roles"][words[3]] = words[5].split(",")
        words = words[words.index("&&") + 1 :]
    assert words[:3] == ["pveum", "acl", "modify"]
    path, rest = words[3], dict(zip(words[4::2], words[5::2], strict=True))
    assert rest["--roles"] in roles(node.version) or rest["--roles"] in node.state["roles"]
    for key in ("--users", "--tokens"):
        if key in rest:
            node.state["acl"].append({"path": path, "who": rest[key], "role": rest["--roles"]})


def asked(pve: HttpsPve, wanted: Wanted) -> Any:
    method, path, params, *_ = wanted
    return pve.call(method, path, params)


@pytest.mark.parametrize("version", [8, 9])
@pytest.mark.parametrize("privsep", [0, 1])
def test_what_is_missing_is_named_and_the_remedy_mends_it(version: int, privsep: int) -> None:
    for wanted in CALLS:
        method, path, _, where, privilege = wanted
        without = lacking(privilege, version)
        node = node_for(version, without=without, privsep=privsep)
        ready(node, path)
        before = {key: dict(each) for key, each in node.state["mappings"].items()}
        with Server(node) as server:
            pve = https(server, f"{TOKEN}={SECRET}")
            with pytest.raises(PveError) as caught:
                asked(pve, wanted)
            error = caught.value
            case = f"{version} {method} {path} without {without}: {error}"
            assert error.code == "pve-denied", case
            assert error.params["path"] == where, case
            named = set(str(error.params["privilege"]).split(" | "))
            assert named & without, case
            assert node.state["mappings"] == before, case
            grant(node, str(error.params["remedy"]))
            asked(pve, wanted)


@pytest.mark.parametrize("wanted", CALLS, ids=lambda each: f"{each[0]} {each[1]}")
def test_a_token_that_lacks_nothing_is_denied_nothing(wanted: Wanted) -> None:
    """Else the test above would not show that it is that one privilege."""
    node = node_for(9, without=set(), privsep=1)
    ready(node, wanted[1])
    with Server(node) as server:
        asked(https(server, f"{TOKEN}={SECRET}"), wanted)


def documented(version: int, name: str) -> Node:
    """A node on which the commands of the document were carried out, and what is for more."""
    text = (Path(__file__).parents[2] / "docs" / name).read_text(encoding="utf-8")
    state = empty_state(version)
    for line in [each.strip() for each in text.splitlines() if each.startswith("    pveum ")]:
        words = shlex.split(line)
        if words[1:3] == ["role", "add"]:
            state["roles"][words[3]] = words[5].split(",")
        elif words[1:3] == ["acl", "modify"]:
            state["acl"].append({"path": words[3], "who": words[5], "role": words[7]})
        elif words[1:3] == ["user", "add"]:
            state["users"][words[3]] = {}
        elif words[1:4] == ["user", "token", "add"]:
            state["tokens"][f"{words[4]}!{words[5]}"] = {"secret": SECRET, "privsep": int(words[7])}
    table = [each for each in text.splitlines() if each.startswith("| ")]
    more = {each for line in table for each in re.findall(r"`([A-Z]\w+\.[\w.]+)`", line)}
    state["roles"]["hostpci"] += sorted(more & roles(version)["Administrator"])
    state["mappings"]["gpu"] = {"map": [MAP]}
    node = Node(state)
    node.add_vm(100, {"name": "gpu", "agent": "1", "memory": "2048"}, guest={
        "answers": [["/bin/sh", 0, "", ""]], "running": {},
    })  # fmt: skip
    return node


@pytest.mark.parametrize("name", ["pve-token.md", "pve-token.zh-CN.md"])
@pytest.mark.parametrize("version", [8, 9])
def test_the_documented_token_may_do_it_all_and_no_more(version: int, name: str) -> None:
    held = set(documented(version, name).state["roles"]["hostpci"])
    needed = {each for *_, privilege in CALLS for each in lacking(privilege, version)}
    unused = {"Mapping.Audit", "Mapping.Use", "VM.Config.CDROM", "VM.Config.Cloudinit"}
    assert held <= needed | unused
    for wanted in CALLS:
        node = documented(version, name)
        ready(node, wanted[1])
        with Server(node) as server:
            asked(https(server, f"hostpci@pve!gpu={SECRET}"), wanted)


ROOT_ONLY: list[tuple[dict[str, Any], str]] = [
    ({"hostpci0": "01:00"}, "only root can set 'hostpci0' config for non-mapped devices"),
    ({"delete": "hostpci1"}, "only root can set 'hostpci1' config for non-mapped devices"),
    ({"hostpci1": "mapping=gpu"}, "only root can set 'hostpci1' config for non-mapped devices"),
    ({"hostpci0": "mapping=gpu,romfile=x.rom"}, "only root@pam can set 'romfile' option"),
    ({"args": "-cpu host"}, "only root can set 'args' config"),
    ({"name": "x", "skiplock": 1}, "Only root may use this option."),
]


@pytest.mark.parametrize(("params", "words"), ROOT_ONLY, ids=[str(each[0]) for each in ROOT_ONLY])
@pytest.mark.parametrize("who", [TOKEN, "root@pam!gpu"])
def test_what_no_privilege_grants_is_said_to_be_roots(
    params: dict[str, Any], words: str, who: str
) -> None:
    node = node_for(9, without=set(), privsep=0)
    node.state["tokens"]["root@pam!gpu"] = {"secret": SECRET, "privsep": 0}
    node.state["vms"]["100"]["config"]["hostpci1"] = "02:00"
    with Server(node) as server, pytest.raises(PveError) as caught:
        https(server, f"{who}={SECRET}").call("set", f"{VM}/config", params)
    assert caught.value.code == "pve-root-only"
    assert words in str(caught.value.params["reason"])
    assert caught.value.params["who"] == who


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_the_error_tells_the_privilege_the_path_and_the_command(language: str) -> None:
    node = node_for(9, without={"VM.Config.HWType"}, privsep=1)
    with Server(node) as server, pytest.raises(PveError) as caught:
        https(server, f"{TOKEN}={SECRET}").call("set", f"{VM}/config", {"machine": "q35"})
    catalog = Catalog(language)
    text = catalog.text("error.pve-denied", **caught.value.params)
    hint = catalog.text("error.pve-denied.hint", **caught.value.params)
    for each in ("VM.Config.HWType", "/vms/100", TOKEN, f"PUT {VM}/config"):
        assert each in text
    assert re.search(
        r"pveum acl modify /vms/100 --users ops@pve --tokens 'ops@pve!gpu' --roles PVEVMAdmin", hint
    )


@pytest.mark.parametrize(
    ("path", "passes_on", "sees"),
    [("/nodes/pve1", 0, True), ("/nodes", 1, True), ("/nodes", 0, False), ("/vms", 1, False)],
)
def test_a_privilege_that_does_not_pass_on_is_held_all_the_same(
    path: str, passes_on: int, *, sees: bool
) -> None:
    """PVE's answer holds, of each privilege, whether it passes on: not whether it is held
    [pve-access-control PVE/RPCEnvironment.pm permissions].
    """
    state = empty_state()
    state["users"]["ops@pve"] = {"enable": 1}
    state["tokens"][TOKEN] = {"secret": SECRET, "privsep": 0}
    entry = {"path": path, "who": "ops@pve", "role": "PVEAuditor", "propagate": passes_on}
    state["acl"] = [entry]
    with Server(Node(state)) as server:
        assert sees_all_tasks(https(server, f"{TOKEN}={SECRET}"), "pve1") is sees
