"""A change of several settings that PVE refuses in the middle leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest

from hostpci.pve.change import set_config
from hostpci.pve.node import PveError
from tests.pvenode.doors import https
from tests.pvenode.node import Node, config_text, empty_state
from tests.pvenode.server import Server

SECRET = "11111111-2222-3333-4444-555555555555"
CHANGE = {"machine": "q35", "hostpci0": "mapping=gpu,pcie=1", "bios": "ovmf"}


@pytest.fixture
def server() -> Iterator[Server]:
    """A token that may change machines, but not use the mapping."""
    state = empty_state()
    state["users"]["ops@pve"] = {}
    state["tokens"]["ops@pve!gpu"] = {"secret": SECRET, "privsep": 0}
    state["acl"] = [{"path": "/vms", "who": "ops@pve", "role": "PVEVMAdmin"}]
    node = Node(state)
    node.add_vm(100, {"name": "x", "vga": "std"})
    with Server(node) as running:
        yield running


def refused(server: Server, params: dict[str, Any]) -> PveError:
    with pytest.raises(PveError) as caught:
        set_config(https(server, f"ops@pve!gpu={SECRET}"), "pve1", 100, params)
    return caught.value


def test_pve_alone_leaves_a_part() -> None:
    """Why this is needed: if it ever fails, the fake no longer does what PVE does."""
    state = empty_state()
    state["users"]["ops@pve"] = {}
    state["acl"] = [{"path": "/vms", "who": "ops@pve", "role": "PVEVMAdmin"}]
    node = Node(state)
    node.add_vm(100, {"name": "x"})
    node.respond("ops@pve", "PUT", "/nodes/pve1/qemu/100/config", dict(CHANGE))
    assert node.vm(100)["pending"] == {"machine": "q35"}


@pytest.mark.parametrize("keys", list(permutations(CHANGE)), ids=",".join)
def test_in_whatever_order_nothing_is_left(server: Server, keys: tuple[str, ...]) -> None:
    before = config_text(server.node.vm(100))
    error = refused(server, {key: CHANGE[key] for key in keys} | {"delete": "vga"})
    assert error.code == "pve-denied"
    assert config_text(server.node.vm(100)) == before


def test_what_was_pending_before_stays(server: Server) -> None:
    """While the machine runs; of one that is stopped PVE applies it with whatever comes next."""
    vm = server.node.vm(100)
    vm |= {"status": "running", "pending": {"cores": "4"}, "delete": ["vga"]}
    before = config_text(vm)
    assert refused(server, CHANGE).code == "pve-denied"
    assert config_text(server.node.vm(100)) == before


def test_what_cannot_be_taken_back_is_named(server: Server) -> None:
    vm = server.node.vm(100)
    vm["pending"] = {"machine": "pc"}
    error = refused(server, CHANGE)
    assert (error.code, error.params["keys"]) == ("pve-half-changed", "machine")


def test_a_change_that_is_allowed_is_one_call_and_a_look(server: Server) -> None:
    set_config(https(server, f"ops@pve!gpu={SECRET}"), "pve1", 100, {"machine": "q35"})
    assert server.node.vm(100)["config"]["machine"] == "q35"
    assert [each[1] for each in server.node.calls] == ["GET", "PUT"]


EFI = {"efidisk0": "local-lvm:1,efitype=4m"}


def _may_allot(server: Server) -> None:
    role = {"path": "/storage", "who": "ops@pve", "role": "PVEDatastoreUser"}
    server.node.state["acl"].append(role)


def test_a_disk_is_allotted_and_freed_in_a_task_that_is_followed(server: Server) -> None:
    _may_allot(server)
    server.node.state["task_polls"] = 2
    seen: list[str] = []
    pve = https(server, f"ops@pve!gpu={SECRET}", tick=lambda what, _elapsed_s: seen.append(what))
    both: tuple[dict[str, Any], ...] = (
        {**EFI, "bios": "ovmf"}, {"delete": "efidisk0", "force": 1},
    )  # fmt: skip
    for params in both:
        server.node.calls.clear()
        set_config(pve, "pve1", 100, params)
        changes = [each[1] for each in server.node.calls if each[1] != "GET"]
        assert (changes, set(seen)) == (["POST"], {"qmconfig 100"})
    assert server.node.vm(100)["config"] == {"name": "x", "vga": "std", "bios": "ovmf"}
    assert server.node.state["storages"]["local-lvm"]["files"] == []


def test_what_the_task_refuses_is_told_and_leaves_nothing(server: Server) -> None:
    _may_allot(server)
    before = config_text(server.node.vm(100))
    error = refused(server, {**EFI, **CHANGE})
    assert (error.code, error.params["privilege"]) == ("pve-denied", "Mapping.Use")
    assert config_text(server.node.vm(100)) == before


def test_what_is_refused_before_the_task_is_told_as_ever(server: Server) -> None:
    _may_allot(server)
    assert refused(server, {**EFI, "digest": "0" * 40}).code == "pve-digest"
    server.node.vm(100)["config"]["lock"] = "backup"
    assert refused(server, EFI).code == "pve-locked"


@pytest.mark.parametrize("params", [{"digest": "0" * 40, "name": "y"}, {"hostpci0": "zz"}])
def test_what_is_refused_at_once_changes_nothing(server: Server, params: dict[str, Any]) -> None:
    before = config_text(server.node.vm(100))
    assert refused(server, params).code in {"pve-digest", "pve-parameter"}
    assert config_text(server.node.vm(100)) == before
