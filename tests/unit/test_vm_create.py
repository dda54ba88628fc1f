"""A machine from a cloud image: what is refused before, what PVE is asked for, and its undo."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hostpci.errors import BusyError, ConflictError, EnvironmentFault, ToolError
from hostpci.executor.apply import Executor, Machine
from hostpci.executor.journal import Journal
from hostpci.executor.undo import Undoer
from hostpci.facts.vmcreate import read_surroundings
from hostpci.host.files import HostFiles
from hostpci.host.root import TreeRoot
from hostpci.host.runner import RefusingRunner
from hostpci.i18n import Catalog
from hostpci.model.codec import document
from hostpci.model.diskimage import disk_image
from hostpci.model.journal import History, RunState
from hostpci.model.plan import Plan, VmCreateStep
from hostpci.model.sshkey import public_keys
from hostpci.model.vmcreate import ImageKind, VmWish
from hostpci.planner.vmcreate import plan_create
from hostpci.pve.node import Pve
from hostpci.render.findings import finding_text
from tests.pvenode.doors import https, shell
from tests.pvenode.errors import Refusal
from tests.pvenode.node import Node, empty_state
from tests.pvenode.server import Server

UUID = "11111111-2222-4333-8444-555555555555"
SECRET = "99999999-2222-3333-4444-555555555555"
WISH = VmWish(name="gpu", image="/noble.img", key_path="/key.pub", uuid=UUID)


def field(content: bytes) -> bytes:
    return len(content).to_bytes(4) + content


def key_line(kind: str = "ssh-ed25519") -> str:
    blob = base64.b64encode(field(kind.encode()) + field(b"k" * 32)).decode()
    return f"{kind} {blob} me@desk"


def qcow2(*, backing: int = 0, features: int = 0, gib: float = 3.5, version: int = 3) -> bytes:
    head = b"QFI\xfb" + version.to_bytes(4) + backing.to_bytes(8) + bytes(4) + (16).to_bytes(4)
    head += int(gib * (1 << 30)).to_bytes(8) + bytes(40) + features.to_bytes(8)
    return head.ljust(4096, b"\0")


class World:
    """A fake node, and a tree that is its file system."""

    def __init__(self, directory: Path, version: int = 9) -> None:
        self.tree = directory
        self.node = Node(empty_state(version))
        self.node.state["storages"]["local"]["path"] = "/var/lib/vz"
        (directory / "noble.img").write_bytes(qcow2())
        (directory / "key.pub").write_text(key_line() + "\n")
        (directory / "var/lib/vz/snippets").mkdir(parents=True)
        self.pve: Pve = shell(self.node)

    def plan(self, **wish: Any) -> Plan:
        asked = replace(WISH, **wish)
        return plan_create(asked, read_surroundings(self.pve, TreeRoot(str(self.tree)), asked))

    @property
    def machine(self) -> Machine:
        files = HostFiles(str(self.tree))
        return Machine(
            files=files, runner=RefusingRunner(), is_live=False, boot_id="one",
            pve=lambda: self.pve,
        )  # fmt: skip

    def apply(self, plan: Plan | None = None) -> None:
        Executor(self.machine).apply(plan or self.plan(), "vm create")

    def finish(self) -> None:
        cut = Journal(self.machine.files).interrupted()
        assert cut is not None
        Executor(self.machine).finish(cut)

    def undo(self, *, skip_changed: bool = False) -> tuple[str, ...]:
        history = Journal(self.machine.files).history()
        undone = Undoer(self.machine, skip_changed=skip_changed).undo(history)
        return tuple(path for each in undone for path in each.kept)

    @property
    def config(self) -> dict[str, Any]:
        return dict(self.node.vm(100)["config"])

    @property
    def snippets(self) -> list[str]:
        return [each.name for each in (self.tree / "var/lib/vz/snippets").iterdir()]


@pytest.fixture(params=[8, 9])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return World(tmp_path, request.param)


def test_a_machine_is_made_as_it_is_needed_for_a_card(world: World) -> None:
    plan = world.plan()
    assert (plan.refusals, plan.notes) == ((), ())
    world.apply(plan)
    config = world.config
    assert {key: config[key] for key in ("machine", "bios", "cpu", "scsihw", "balloon")} == {
        "machine": "q35", "bios": "ovmf", "cpu": "host", "scsihw": "virtio-scsi-single",
        "balloon": "0",
    }  # fmt: skip
    assert "pre-enrolled-keys=0" in config["efidisk0"]
    assert config["scsi0"].endswith("size=32G")
    assert config["ide2"] == "local-lvm:vm-100-cloudinit,media=cdrom"
    assert config["cicustom"] == "vendor=local:snippets/hostpci-vendor-100.yaml"
    assert "ssh-ed25519%20" in config["sshkeys"]
    text = (world.tree / "var/lib/vz/snippets/hostpci-vendor-100.yaml").read_text()
    assert text.startswith("#cloud-config\n")
    assert "qemu-guest-agent" in text
    assert world.undo() == ()
    assert world.node.state["vms"] == {}
    assert world.snippets == []


def test_secure_boot_keys_only_if_asked_for(world: World) -> None:
    step = world.plan(has_secure_boot=True).steps[0]
    assert isinstance(step, VmCreateStep)
    assert "pre-enrolled-keys=1" in step.settings["efidisk0"]


def refusals(plan: Plan) -> list[str]:
    return [each.code for each in plan.refusals]


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({"vmid": 105}, "vm-id-taken"),
        ({"vmid": 106}, "vm-id-taken"),
        ({"image": "/none.img"}, "vm-image-missing"),
        ({"image": "local:import/none.qcow2"}, "vm-image-missing"),
        ({"image": "nowhere:import/none.qcow2"}, "vm-image-missing"),
        ({"image": "/key.pub"}, "vm-image-odd"),
        ({"disk_gib": 3}, "vm-disk-small"),
        ({"key_path": "/none.pub"}, "vm-key"),
        ({"key_path": "/noble.img"}, "vm-key"),
        ({"storage": "tank"}, "vm-storage-missing"),
        ({"storage": "local"}, "vm-storage-unfit"),
        ({"storage": "small"}, "vm-storage-full"),
        ({"bridge": "vmbr7"}, "vm-bridge"),
        ({"memory_mib": 65536}, "vm-memory"),
        ({"cores": 9}, "vm-cores"),
    ],
)
def test_what_pve_would_refuse_is_said_before(
    world: World, wish: dict[str, Any], code: str
) -> None:
    world.node.add_vm(105, {"name": "other"})
    world.node.state["containers"]["106"] = {"hostname": "other"}
    small = {"type": "lvm", "content": "images", "files": [], "avail": 4 << 30}
    world.node.state["storages"]["small"] = small
    plan = world.plan(**wish)
    assert refusals(plan) == [code]
    assert plan.steps == ()


def test_a_storage_that_is_thin_may_be_smaller_than_what_it_promises(world: World) -> None:
    world.node.state["storages"]["local-lvm"]["avail"] = 4 << 30
    plan = world.plan()
    assert [each.code for each in plan.notes] == ["vm-storage-tight"]
    assert plan.steps


def test_without_a_place_for_snippets_it_is_said(world: World) -> None:
    world.node.state["storages"]["local"]["content"] = "iso"
    plan = world.plan()
    assert [each.code for each in plan.notes] == ["vm-no-snippets"]
    world.apply(plan)
    assert "cicustom" not in world.config
    assert world.undo() == ()


def test_snippets_may_lie_elsewhere(world: World) -> None:
    world.node.state["storages"]["local"]["content-dirs"] = "iso=cds,snippets=my/bits"
    step = world.plan().steps[0]
    assert isinstance(step, VmCreateStep)
    assert step.snippet == "/var/lib/vz/my/bits/hostpci-vendor-100.yaml"
    world.apply()
    assert world.undo() == ()
    assert not (world.tree / "var/lib/vz/my").exists()


def test_several_bridges_and_none_is_vmbr0(world: World) -> None:
    world.node.state["bridges"] = ["br0", "br1"]
    assert refusals(world.plan()) == ["vm-bridge-which"]
    world.node.state["bridges"] = ["br1"]
    step = world.plan().steps[0]
    assert isinstance(step, VmCreateStep)
    assert step.settings["net0"] == "virtio,bridge=br1"


# a token


@pytest.fixture
def remote(world: World) -> Iterator[World]:
    state = world.node.state
    state["users"]["ops@pve"] = {}
    state["tokens"]["ops@pve!gpu"] = {"secret": SECRET, "privsep": 0}
    state["acl"] = [{"path": "/", "who": "ops@pve", "role": "Administrator"}]
    world.node.state["storages"]["local"]["files"].append(
        {"name": "import/noble.qcow2", "content": "import"}
    )
    with Server(world.node) as server:
        world.pve = https(server, f"ops@pve!gpu={SECRET}")
        yield world


def test_a_token_takes_a_volume_and_no_path(remote: World) -> None:
    assert refusals(remote.plan()) == ["vm-image-path"]
    plan = remote.plan(image="local:import/noble.qcow2")
    assert [each.code for each in plan.notes] == ["vm-no-snippets"]
    remote.apply(plan)
    assert remote.config["scsi0"].endswith("size=32G")
    assert remote.undo() == ()
    assert remote.node.state["vms"] == {}


def test_who_does_not_see_others_tasks_destroys_nothing(remote: World) -> None:
    remote.apply(remote.plan(image="local:import/noble.qcow2"))
    remote.node.state["acl"] = [{"path": "/", "who": "ops@pve", "role": "PVEVMAdmin"}]
    with pytest.raises(ConflictError) as caught:
        remote.undo()
    assert caught.value.params["path"] == "VM 100 (whether it was started cannot be seen on pve1)"
    assert "100" in remote.node.state["vms"]


# undo: only what nobody has made their own


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"status": "running"}, "running"),
        ({"config": {"memory": "9000"}}, "changed: memory"),
        ({"config": {"description": "mine"}}, "changed: description"),
        ({"config": {"lock": "backup"}}, "lock: backup"),
    ],
)
def test_a_machine_that_is_somebodys_by_now_is_not_destroyed(
    world: World, change: dict[str, Any], why: str
) -> None:
    world.apply()
    vm = world.node.vm(100)
    vm["config"] |= change.get("config", {})
    vm.update({key: value for key, value in change.items() if key != "config"})
    with pytest.raises(ConflictError) as caught:
        world.undo()
    assert caught.value.params["path"] == f"VM 100 ({why})"
    assert world.undo(skip_changed=True) == (f"VM 100 ({why})",)
    assert "100" in world.node.state["vms"]
    assert world.snippets == ["hostpci-vendor-100.yaml"]  # it cannot start without it


def test_a_machine_that_was_started_once_is_not_destroyed(world: World) -> None:
    world.apply()
    for order in ("start", "stop"):
        world.pve.call("create", f"/nodes/pve1/qemu/100/status/{order}")
    with pytest.raises(ConflictError) as caught:
        world.undo()
    assert caught.value.params["path"] == "VM 100 (started since)"


@pytest.mark.parametrize("is_up", [True, False])
def test_a_start_is_seen_on_the_node_that_the_machine_came_from(
    world: World, *, is_up: bool
) -> None:
    """After a migration the node where it is knows nothing of it."""
    world.apply()
    state = world.node.state
    for order in ("start", "stop"):
        world.pve.call("create", f"/nodes/pve1/qemu/100/status/{order}")
    for task in state["tasks"]:
        task["node"] = "pve2"
    state["nodes"].append({"name": "pve2", "online": int(is_up)})
    with pytest.raises(ConflictError) as caught:
        world.undo()
    unseen = "whether it was started cannot be seen on pve2"
    assert caught.value.params["path"] == f"VM 100 ({'started since' if is_up else unseen})"
    state["tasks"].clear()
    state["nodes"][1]["online"] = 1
    assert world.undo() == ()
    assert state["vms"] == {}


def test_another_machine_under_the_same_number_is_none_of_our_business(world: World) -> None:
    world.apply()
    world.node.add_vm(100, {"name": "other", "smbios1": "uuid=other"})
    assert world.undo() == ()
    assert world.config["name"] == "other"


def test_a_snippet_that_somebody_changed_stays(world: World) -> None:
    world.apply()
    (world.tree / "var/lib/vz/snippets/hostpci-vendor-100.yaml").write_text("#cloud-config\n")
    assert world.undo() == ("/var/lib/vz/snippets/hostpci-vendor-100.yaml",)
    assert world.node.state["vms"] == {}


# cut off


class CutError(Exception):
    """Not one of ours: the power goes."""


class Dying(Pve):
    """Another Pve, until it has carried out ``left`` changes."""

    is_local_root = True

    def __init__(self, inner: Pve, left: int, *, is_before: bool) -> None:
        self._inner, self._left, self._is_before = inner, left, is_before

    def node(self) -> str:
        return self._inner.node()

    def call(self, method: str, path: str, params: Any = {}) -> Any:  # noqa: B006
        self._left -= method != "get"
        if self._left == 0 and method != "get" and self._is_before:
            raise CutError
        said = self._inner.call(method, path, params)
        if self._left == 0 and method != "get":
            raise CutError
        return said


@pytest.mark.parametrize("is_before", [True, False])
@pytest.mark.parametrize("moment", [1, 2])
@pytest.mark.parametrize("forwards", [True, False])
def test_cut_off_around_each_call_it_is_finished_or_taken_back(
    world: World, moment: int, *, is_before: bool, forwards: bool
) -> None:
    plan, whole = world.plan(), world.pve
    world.pve = Dying(whole, moment, is_before=is_before)
    with pytest.raises(CutError):
        world.apply(plan)
    world.pve = whole
    if forwards:
        world.finish()
        assert world.config["scsi0"].endswith("size=32G")
        disks = world.node.state["storages"]["local-lvm"]["files"]
        assert len(disks) == 3  # one attempt's
    assert world.undo() == ()
    assert world.node.state["vms"] == {}
    assert world.snippets == []


@pytest.mark.parametrize("is_before", [True, False])
def test_an_undo_that_was_cut_off_is_finished(world: World, *, is_before: bool) -> None:
    world.apply()
    whole = world.pve
    world.pve = Dying(whole, 1, is_before=is_before)
    with pytest.raises(CutError):
        world.undo()
    world.pve = whole
    assert world.undo() == ()
    assert world.node.state["vms"] == {}
    assert world.snippets == []


def test_while_pve_still_makes_it_nobody_interferes(world: World) -> None:
    plan, whole = world.plan(), world.pve
    world.pve = Dying(whole, 1, is_before=False)
    with pytest.raises(CutError):
        world.apply(plan)
    world.pve = whole
    world.node.vm(100)["config"]["lock"] = "create"
    with pytest.raises(BusyError):
        world.finish()
    with pytest.raises(ConflictError):
        world.undo()
    assert "100" in world.node.state["vms"]


def test_the_number_was_taken_in_between(world: World) -> None:
    plan = world.plan()
    world.node.add_vm(100, {"name": "other"})
    with pytest.raises(ConflictError) as caught:
        world.apply(plan)
    assert caught.value.code == "vm-id-taken"
    assert world.config == {"name": "other"}
    assert world.snippets == []
    assert world.undo() == ()


def test_what_pve_says_when_it_cannot_is_told(world: World) -> None:
    world.node.state["broken"] = {"POST /nodes/{node}/qemu": ["no space left on device\n", 500]}
    with pytest.raises(ToolError) as caught:
        world.apply()
    assert "no space left" in str(caught.value)
    world.node.state["broken"] = {}
    assert world.undo() == ()
    assert world.snippets == []


def test_a_task_that_fails_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> list[str]:
        raise Refusal("unable to create VM 100 - no space\n")

    monkeypatch.setattr("tests.pvenode.vms._make_disks", full)
    with pytest.raises(EnvironmentFault) as caught:
        world.apply()
    assert caught.value.code == "vm-not-created"


def test_no_private_key_and_no_secret_in_the_journal(world: World) -> None:
    (world.tree / "key.pub").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nsecretsecret\n")
    plan = world.plan()
    assert refusals(plan) == ["vm-key"]
    assert "secretsecret" not in str(document("hostpci.plan/1", plan))


# keys and images


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (key_line(), ""),
        (f"# mine\n\n{key_line()}\n{key_line('ssh-rsa')}\n", ""),
        ("", "empty"),
        ("# nothing\n", "empty"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "private"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\n", "private"),
        (key_line()[:40], "no-key"),
        (key_line().replace("ssh-ed25519 ", "ssh-rsa ", 1), "no-key"),
        ('command="x" ' + key_line(), "no-key"),
        (key_line() + "\x1b[2J", "no-key"),
        ("ssh-ed25519", "no-key"),
        ("x" * 70000, "too-large"),
    ],
)
def test_public_keys(content: str, problem: str) -> None:
    found = public_keys(content.encode())
    assert found.problem == problem
    assert bool(found.text) is not bool(problem)


@pytest.mark.parametrize(
    ("head", "kind", "reason"),
    [
        (qcow2(), ImageKind.QCOW2, ""),
        (qcow2(version=2), ImageKind.QCOW2, ""),
        (qcow2(backing=512), ImageKind.ODD, "qcow2-leans"),
        (qcow2(features=4), ImageKind.ODD, "qcow2-leans"),
        (qcow2(version=9), ImageKind.ODD, "qcow2-damaged"),
        (qcow2(gib=0), ImageKind.ODD, "qcow2-damaged"),
        (qcow2()[:30], ImageKind.ODD, "qcow2-damaged"),
        (bytes(510) + b"\x55\xaa" + bytes(512), ImageKind.RAW, ""),
        (bytes(1024), ImageKind.ODD, "no-partitions"),
        (b"", ImageKind.ODD, "no-partitions"),
        (b"\xfd7zXZ\x00", ImageKind.ODD, "xz"),
        (b"KDMV", ImageKind.ODD, "VMDK"),
        (b"<!DOCTYPE html>", ImageKind.ODD, "HTML"),
    ],
)
def test_disk_images(head: bytes, kind: ImageKind, reason: str) -> None:
    found = disk_image(head, 1 << 20)
    assert (found.kind, found.reason) == (kind, reason)


@pytest.mark.parametrize("language", ["en", "zh_CN"])
@pytest.mark.parametrize(
    ("wish", "content"),
    [
        ({"image": "/odd"}, b"text" * 200),
        ({"image": "/odd"}, qcow2(version=7)),
        ({"image": "/odd"}, qcow2(backing=4096)),
        ({"key_path": "/odd"}, b"x" * (65 << 10)),
        ({"key_path": "/odd"}, b"-----BEGIN OPENSSH PRIVATE KEY-----\n"),
        ({"key_path": "/odd"}, b"# none\n"),
        ({"key_path": "/odd"}, b"ssh-ed25519 AAAA\n"),
        ({"key_path": "/none"}, b""),
    ],
)
def test_why_a_file_will_not_do_is_said_in_words(
    wish: dict[str, Any], content: bytes, language: str, tmp_path: Path
) -> None:
    world = World(tmp_path)
    (tmp_path / "odd").write_bytes(content)
    (finding,) = world.plan(**wish).refusals
    (code,) = finding.params.values()
    catalog = Catalog(language)
    assert catalog.text(f"why.{finding.code}.{code}") in finding_text(finding, catalog)


def test_a_run_is_over_after_its_undo(world: World) -> None:
    world.apply()
    world.undo()
    history: History = Journal(world.machine.files).history()
    assert [each.state for each in history.runs] == [RunState.UNDONE]


def test_who_may_not_see_the_machine_ends_nothing(world: World) -> None:
    """Of a machine that is hidden PVE's list says as little as of one that is gone."""
    world.apply()
    state = world.node.state
    state["users"]["ops@pve"] = {"enable": 1, "expire": 0}
    state["tokens"]["ops@pve!gpu"] = {"secret": SECRET, "privsep": 0}
    state["acl"] = [{"path": "/nodes", "who": "ops@pve", "role": "PVEAuditor"}]
    with Server(world.node) as server:
        root, world.pve = world.pve, https(server, f"ops@pve!gpu={SECRET}")
        with pytest.raises(ConflictError) as caught:
            world.undo()
    assert caught.value.code == "vm-unseen"
    assert world.snippets == ["hostpci-vendor-100.yaml"]
    world.pve = root
    assert world.undo() == ()
    assert (world.node.state["vms"], world.snippets) == ({}, [])
