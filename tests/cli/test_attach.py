"""``hostpci attach`` and ``detach`` as they are called; what is refused changes nothing."""

from __future__ import annotations

import copy
import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hostpci.cli.context import Context
from hostpci.cli.main import main
from hostpci.cli.upway import StageFailedError, Way
from hostpci.errors import Exit
from hostpci.executor.journal import Journal
from hostpci.host.files import HostFiles
from hostpci.i18n import Catalog
from hostpci.model.up import UpWish
from hostpci.pve.node import Pve

from ..attach_world import World, ready_host
from ..pvenode.doors import https
from ..pvenode.server import Server
from ..unit.test_vm_create import key_line, qcow2

SECRET = "99999999-2222-3333-4444-555555555555"
ATTACH = ("attach", "01:00", "--vm", "100")
LINE = "0000:01:00,pcie=1"


class Desk:
    def __init__(self, world: World, tree: Path) -> None:
        self.world, self.tree = world, tree

    @property
    def runs(self) -> list[str]:
        runs = Journal(HostFiles(str(self.tree))).history().runs
        return [f"{each.begin.verb} {each.state}" for each in runs]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    tree = tmp_path / "tree"
    host = ready_host()
    host.tree(tree)
    (tree / "etc/pve/qemu-server").mkdir(parents=True, exist_ok=True)
    (tree / "etc/pve/qemu-server/100.conf").write_text("machine: q35\n")
    world = World(tree, host=host)
    monkeypatch.setattr(Context, "tree", property(lambda _self: str(tree)))
    monkeypatch.setattr(Context, "pve", lambda _self: world.pve)
    return Desk(world, tree)


def call(*words: str) -> int:
    return main([*words, "--lang", "en"])


def test_shown_attached_shown_again_and_taken_back(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    before = copy.deepcopy(desk.world.config)
    assert call(*ATTACH, "--dry-run") == Exit.CHANGES_PENDING
    assert f"+hostpci0: {LINE}" in capsys.readouterr().out
    assert call(*ATTACH) == Exit.USAGE  # nobody said yes
    assert desk.world.config == before
    assert call(*ATTACH, "--yes") == Exit.OK
    assert "hostpci start 100" in capsys.readouterr().err
    assert desk.world.config["hostpci0"] == LINE
    assert call(*ATTACH, "--yes") == Exit.OK
    assert "Nothing to do" in capsys.readouterr().out
    assert call(*ATTACH, "--dry-run") == Exit.OK
    assert desk.runs == ["attach applied"]
    assert main(["undo", "--yes"]) == Exit.OK
    assert desk.world.config == before


def test_detach(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("detach", "01:00", "--vm", "100", "--yes") == Exit.OK
    assert "does not have" in capsys.readouterr().out
    desk.world.config["hostpci3"] = LINE
    assert call("detach", "01:00", "--vm", "100", "--yes") == Exit.OK
    assert "hostpci3" not in desk.world.config
    assert main(["undo", "--yes"]) == Exit.OK
    assert desk.world.config["hostpci3"] == LINE


def test_json(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*ATTACH, "--json", "--dry-run", "--fix", "balloon") == Exit.CHANGES_PENDING
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "hostpci.attachment/1"
    assert document["plan"]["steps"][0]["kind"] == "vm-config"
    assert {"code", "outcome", "level"} <= set(document["findings"][0])
    desk.world.vm["status"] = "running"
    assert call(*ATTACH, "--json", "--yes") == Exit.FINDINGS
    refused = json.loads(capsys.readouterr().out)["plan"]["refusals"]
    assert [each["code"] for each in refused] == ["vm-stopped"]


# what cannot be


def _broken_write(*words: object) -> Callable[[World], object]:
    where = "PUT /nodes/{node}/qemu/{vmid}/config"
    return lambda world: world.node.state["broken"].update({where: list(words)})


def _elsewhere(world: World) -> None:
    world.node.state["nodes"].append({"name": "pve2", "online": 1})
    world.vm["node"] = "pve2"


def _lost_line(world: World) -> None:
    path = Path(world.tree) / "etc/pve/qemu-server/100.conf"
    path.write_text(" hostpci0: 01:00\n")


BAD: dict[str, tuple[Callable[[World], object], tuple[str, ...], int, str]] = {
    "no machine": (lambda w: w.node.state["vms"].pop("100"), (), Exit.FAILED, "pve-not-found"),
    "a container": (
        lambda w: (w.node.state["vms"].pop("100"), w.node.state["containers"].update({"100": {}})),
        (), Exit.FAILED, "pve-not-found",
    ),
    "locked": (lambda w: w.config.update(lock="backup"), (), Exit.FINDINGS, "vm-locked"),
    "running": (lambda w: w.vm.update(status="running"), (), Exit.FINDINGS, "vm-stopped"),
    "template": (lambda w: w.config.update(template=1), (), Exit.FINDINGS, "vm-template"),
    "on another node": (_elsewhere, (), Exit.FINDINGS, "vm-elsewhere"),
    "changed meanwhile": (
        _broken_write("checksum mismatch (file change by other user?)\n", 500), (), Exit.CONFLICT,
        "pve-digest",
    ),
    "locked meanwhile": (
        _broken_write("VM is locked (backup)\n", 500), (), Exit.BUSY, "pve-locked"
    ),
    "refused with a mapping made": (
        _broken_write("VM is locked (backup)\n", 500), ("--mapping", "gpu"), Exit.BUSY, "pve-locked"
    ),
    "lines that PVE would lose": (_lost_line, (), Exit.FINDINGS, "vm-lost-lines"),
    "in use elsewhere": (
        lambda w: w.config.update(hostpci0="0000:01:00.0"), (), Exit.FINDINGS, "vm-slot-part"
    ),
    "mapping of another device": (
        lambda w: w.node.state["mappings"].update(
            gpu={"map": ["id=10de:2d04,node=pve1,path=0000:02:00,iommugroup=1"]}
        ),
        ("--mapping", "gpu"), Exit.FINDINGS, "vm-mapping-other",
    ),
    "no fix of that name": (lambda _: None, ("--fix", "all"), Exit.USAGE, "fix-unknown"),
    "no number": (lambda _: None, ("--vm", "x"), Exit.USAGE, "guest-bad-vmid"),
    "no such slot": (lambda w: w.node.state.update(devices=[]), (), Exit.FINDINGS, "vm-slot-there"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_is_said_and_nothing_is_changed(
    case: str, desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    change, words, code, said = BAD[case]
    change(desk.world)
    before = copy.deepcopy(desk.world.node.state)
    assert call(*ATTACH, *words, "--yes", "--json") == code
    assert said in capsys.readouterr().out
    for part in ("vms", "mappings", "storages", "containers"):
        assert desk.world.node.state[part] == before[part]
    assert [each for each in desk.runs if not each.endswith("undone")] == []
    assert call(*ATTACH, *words, "--yes") == code
    told = capsys.readouterr()
    assert "Traceback" not in told.err
    assert said not in told.out, "a person is told in words"


@pytest.mark.parametrize(
    "words", [("attach", "01:00"), ("detach", "01:00"), ("attach", "zz", "--vm", "1")]
)
def test_bad_words(words: tuple[str, ...], desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*words, "--yes") == Exit.USAGE
    assert capsys.readouterr().err.startswith("hostpci: ")
    assert desk.runs == []


def test_a_cut_attach_is_taken_back_and_begins_anew(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class PowerCutError(BaseException):
        pass

    inner = desk.world.pve.call

    def cut(method: str, path: str, params: Any = {}) -> Any:  # noqa: B006
        said = inner(method, path, params)
        if method == "set" and path.endswith("/config"):
            raise PowerCutError
        return said

    with monkeypatch.context() as patch:
        patch.setattr(desk.world.pve, "call", cut)
        with pytest.raises(PowerCutError):
            call(*ATTACH, "--mapping", "gpu", "--yes")
    assert desk.world.config["hostpci0"] == "mapping=gpu,pcie=1"
    assert call(*ATTACH, "--yes") == Exit.OK
    assert "was cut off" in capsys.readouterr().err
    assert desk.world.config["hostpci0"] == LINE
    assert desk.world.node.state["mappings"] == {}


# with a token


@pytest.mark.processes
def test_what_a_token_may_not_do_is_said_with_the_privilege(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = desk.world.node.state
    state["users"]["eve@pve"] = {"enable": 1}
    state["tokens"]["eve@pve!gpu"] = {"secret": SECRET, "privsep": 0, "expire": 0}
    rights = ["VM.Audit", "VM.Config.HWType", "VM.Config.Options", "Sys.Audit", "Mapping.Use"]
    with Server(desk.world.node) as server:
        pve: Pve = https(server, f"eve@pve!gpu={SECRET}")
        monkeypatch.setattr(Context, "pve", lambda _self: pve)
        for count in range(len(rights) + 1):
            state["roles"]["some"] = dict.fromkeys(rights[:count], 1)
            state["acl"] = [{"path": "/", "who": "eve@pve", "role": "some", "propagate": 1}]
            before = copy.deepcopy((state["vms"], state["mappings"]))
            assert call(*ATTACH, "--api", server.url, "--yes", "--json") == Exit.NOT_PERMITTED
            assert json.loads(capsys.readouterr().out)["code"].startswith("pve-denied")
            assert (state["vms"], state["mappings"]) == before
        state["roles"]["some"]["Mapping.Modify"] = 1
        assert call(*ATTACH, "--api", server.url, "--yes") == Exit.OK
        assert desk.world.config["hostpci0"] == "mapping=pci-0000-01-00,pcie=1"
        assert call("undo", "--api", server.url, "--yes") == Exit.OK
        assert "hostpci0" not in desk.world.config


def _made(desk: Desk) -> tuple[str, ...]:
    """The words that make VM 100 from a cloud image."""
    state = desk.world.node.state
    del state["vms"]["100"]
    state["storages"]["local"]["path"] = "/var/lib/vz"
    (desk.tree / "noble.img").write_bytes(qcow2())
    (desk.tree / "key.pub").write_text(key_line())
    image, key = str(desk.tree / "noble.img"), str(desk.tree / "key.pub")
    return ("vm", "create", "--name", "gpu", "--image", image, "--ssh-key", key, "--yes")


@pytest.mark.parametrize("words", [(), ("--mapping", "gpu"), ("--primary",)])
def test_one_undo_takes_back_a_machine_that_was_made_and_then_given_the_card(
    desk: Desk, words: tuple[str, ...]
) -> None:
    state = desk.world.node.state
    assert call(*_made(desk)) == Exit.OK
    made = copy.deepcopy(desk.world.config)
    assert call(*ATTACH, *words, "--yes") == Exit.OK
    assert call("detach", "01:00", "--vm", "100", "--yes") == Exit.OK
    assert desk.world.config == made
    assert call(*ATTACH, *words, "--yes") == Exit.OK
    assert main(["undo", "--yes"]) == Exit.OK
    assert (state["vms"], state["mappings"]) == ({}, {})
    assert {each.partition(" ")[2].split()[-1] for each in desk.runs} == {"undone"}


def test_a_machine_that_is_gone_is_not_mistaken_for_the_one_that_has_its_number(
    desk: Desk,
) -> None:
    """Its settings went with it; the new one is as it was made, whatever the old one was given."""
    desk.world.config.pop("balloon")
    assert call(*ATTACH, "--fix", "balloon", "--yes") == Exit.OK
    assert call(*_made(desk)) == Exit.OK
    assert desk.world.config["balloon"] == "0"
    assert call(*ATTACH, "--yes") == Exit.OK
    assert main(["undo", "--yes"]) == Exit.OK
    assert desk.world.node.state["vms"] == {}


def test_up_passes_on_what_the_verb_that_stopped_it_said(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.world.node.state.update(devices=[])
    args = Namespace(
        json=True, yes=True, now=False, address="01:00", vm="100", host=None, root=None, api=None
    )
    way = Way(Context(args, Catalog("en")), UpWish(slot="0000:01:00", vmid=100))
    with pytest.raises(StageFailedError) as caught:
        way.verb(
            "attach", address="01:00", vm="100", mapping=None, primary=False, fix=[], dry_run=False
        )
    assert caught.value.exit == Exit.FINDINGS
    said = caught.value.document
    assert said is not None
    assert "vm-slot-there" in json.dumps(said)
    assert capsys.readouterr().out == "", "one document per call"
