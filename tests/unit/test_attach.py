"""Attach: the check list, the least change, and what PVE has before, after and taken back."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hostpci.checks.vmmachine import check_iommu_width, check_window
from hostpci.errors import ConflictError, RefusedError, ToolError, UsageError
from hostpci.executor.apply import Executor
from hostpci.executor.journal import Journal
from hostpci.executor.undo import Undoer
from hostpci.i18n import Catalog
from hostpci.model.codec import decode, encode
from hostpci.model.hook import HOOK_TEXT, HOOK_VOLUME
from hostpci.model.plan import Plan, VmConfigStep
from hostpci.model.vm import Attachment, NodeFacts
from hostpci.planner.attach import plan_detach
from hostpci.planner.vmfixes import changes_of
from hostpci.pve.hostpci import parse_hostpci
from hostpci.pve.mapping import parse_mappings
from hostpci.pve.settings import read, start_timeout_s, written
from hostpci.render.attach import render_check_list

from ..attach_world import VMID, World, ready_host
from ..hosts import SLOT, VGA, RecordedHost
from ..pvenode.doors import https
from ..pvenode.server import Server
from .support import claimed, codes, reserved

SECRET = "99999999-2222-3333-4444-555555555555"
TOKEN = "root@pam!gpu"


def changes(plan: Plan) -> dict[str, tuple[str | None, str | None]]:
    steps = [each for each in plan.steps if isinstance(each, VmConfigStep)]
    return {each.key: (each.before, each.after) for step in steps for each in step.changes}


def apply(world: World, plan: Plan) -> None:
    Executor(world.machine).apply(plan, "attach")


def undo(world: World, *, skip_changed: bool = False) -> tuple[str, ...]:
    undoer = Undoer(world.machine, skip_changed=skip_changed)
    runs = undoer.undo(Journal(world.machine.files).history())
    return tuple(path for each in runs for path in each.kept)


# what is changed


def test_the_whole_slot_as_one_device_and_nothing_else() -> None:
    plan = World().plan().plan
    assert plan.refusals == ()
    assert changes(plan) == {"hostpci0": (None, "0000:01:00,pcie=1")}


def test_primary_only_if_asked() -> None:
    assert changes(World().plan(is_primary=True).plan) == {
        "hostpci0": (None, "0000:01:00,pcie=1,x-vga=1")
    }


def test_a_line_that_says_no_primary_says_yes_once() -> None:
    """A second ``x-vga`` would be a duplicate key, which PVE refuses."""
    world = World(hostpci0="0000:01:00,x-vga=off,pcie=1")
    plan = world.plan(is_primary=True).plan
    assert changes(plan)["hostpci0"][1] == "0000:01:00,x-vga=1,pcie=1"


def test_the_next_free_line_is_taken() -> None:
    plan = World(hostpci0="0000:02:00.0", hostpci2="mapping=x").plan().plan
    assert list(changes(plan)) == ["hostpci1"]
    full: dict[str, Any] = {f"hostpci{n}": f"0000:{n + 2:02x}:00.0" for n in range(16)}
    with pytest.raises(RefusedError) as error:
        World(**full).plan()
    assert error.value.code == "vm-no-free-line"


@pytest.mark.parametrize(
    ("machine", "after"),
    [
        (None, "q35"),
        ("pc", "q35"),
        ("pc-i440fx-8.1", "pc-q35-8.1"),
        ("pc-i440fx-9.2+pve1", "pc-q35-9.2+pve1"),
        ("pc,viommu=virtio", "q35,viommu=virtio"),
    ],
)
def test_q35_comes_with_it_and_a_pinned_version_stays(machine: str | None, after: str) -> None:
    attachment = World(machine=machine).plan()
    assert changes(attachment.plan) == {
        "machine": (machine, after),
        "hostpci0": (None, "0000:01:00,pcie=1"),
    }
    needed = [each for each in attachment.proposals if each.is_needed]
    assert [each.fix for each in needed] == ["q35"]


@pytest.mark.parametrize(
    ("config", "code", "fix", "after"),
    [
        ({"cpu": "x86-64-v2-AES"}, "vm-cpu", "cpu", {"cpu": "host"}),
        ({"cpu": None}, "vm-cpu", "cpu", {"cpu": "host"}),
        ({"cpu": "kvm64,flags=+aes"}, "vm-cpu", "cpu", {"cpu": "host,flags=+aes"}),
        ({"balloon": "1024"}, "vm-balloon", "balloon", {"balloon": "0"}),
        ({"balloon": None}, "vm-balloon", "balloon", {"balloon": "0"}),
        ({"agent": None}, "vm-agent", "agent", {"agent": "1"}),
        ({"agent": "0,type=isa"}, "vm-agent", "agent", {"agent": "1,type=isa"}),
        ({"onboot": "1"}, "vm-onboot", "onboot", {"onboot": "0"}),
        ({"efidisk0": None}, "vm-efidisk", "efidisk",
         {"efidisk0": "local-lvm:1,efitype=4m,pre-enrolled-keys=0"}),
        ({"bios": None, "efidisk0": None}, "vm-ovmf", "ovmf",
         {"bios": "ovmf", "efidisk0": "local-lvm:1,efitype=4m,pre-enrolled-keys=0"}),
        ({"bios": "seabios"}, "vm-ovmf", "ovmf", {"bios": "ovmf"}),
    ],
)  # fmt: skip
def test_what_can_be_mended_is_offered_and_made_only_if_asked(
    config: dict[str, Any], code: str, fix: str, after: dict[str, str]
) -> None:
    world = World(**config)
    offered = world.plan()
    assert code in codes(offered.findings)
    proposal = next(each for each in offered.proposals if each.fix == fix)
    assert not proposal.is_chosen
    assert set(changes(offered.plan)) == {"hostpci0"}
    chosen = changes(world.plan(fixes=(fix,)).plan)
    assert {key: new for key, (_, new) in chosen.items() if key != "hostpci0"} == after


def test_a_fix_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError) as unknown:
        World().plan(fixes=("everything",))
    assert unknown.value.code == "fix-unknown"
    with pytest.raises(UsageError) as idle:
        World().plan(fixes=("pcie",))
    assert idle.value.code == "fix-idle"


@pytest.mark.parametrize(
    "line", ["0000:01:00,pcie=1", "01:00,pcie=1", "host=0000:01:00,pcie=on,rombar=0"]
)
def test_nothing_to_do_if_it_has_the_slot(line: str) -> None:
    plan = World(hostpci3=line).plan().plan
    assert (plan.steps, plan.refusals) == ((), ())


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ({"hostpci0": "0000:01:00.0,pcie=1"}, "vm-slot-part"),
        ({"hostpci0": "01:00.0;01:00.1"}, "vm-slot-part"),
        ({"hostpci0": "01:00.0", "hostpci1": "01:00.1"}, "vm-slot-twice"),
        ({"hostpci0": "0000:01:00;0000:02:00"}, "vm-slot-list"),
        ({"hostpci0": "mapping=part"}, "vm-slot-list"),
        ({"hostpci0": "0000:01:00,mdev=x"}, "vm-slot-mdev"),
        ({"hostpci0": "0000:01:00,pcie=1,romfile=none.rom"}, "vm-romfile"),
    ],
)
def test_lines_that_overlap_stop_it(lines: dict[str, Any], code: str, tmp_path: Path) -> None:
    (tmp_path / "usr/share/kvm").mkdir(parents=True)
    world = World(tmp_path, **lines)
    entry = "id=10de:2d04,iommugroup=8,node=pve1,path=0000:01:00.0,subsystem-id=10b0:205e"
    world.node.state["mappings"]["part"] = {"map": [entry]}
    plan = world.plan().plan
    assert code in codes(plan.refusals)
    assert plan.steps == ()


NIC = "id=8086:15b8,iommugroup=20,node=pve1,path=0000:00:19.0"
SHARED: dict[str, tuple[dict[str, Any], dict[str, Any], list[tuple[str, str]]]] = {
    "in the machine": (
        {"hostpci1": "00:19", "hostpci2": "00:19.0,pcie=1"}, {},
        [("vm-lines-twice", "VM 100 hostpci1")],
    ),
    "in the machine, once by a mapping": (
        {"hostpci1": "mapping=nic", "hostpci2": "0000:00:19.0"}, {},
        [("vm-lines-twice", "VM 100 hostpci1")],
    ),
    "in another one": (
        {"hostpci1": "mapping=nic"}, {"hostpci0": "00:19"},
        [("vm-line-shared", "VM 100 hostpci1")],
    ),
    "twice in another one": (
        {}, {"hostpci0": "00:19", "hostpci3": "mapping=nic"},
        [("vm-others-lines-twice", "VM 101 hostpci0")],
    ),
    "one of several": ({"hostpci1": "mapping=any", "hostpci2": "mapping=any"}, {}, []),
    "mediated devices": (
        {"hostpci1": "00:19.0,mdev=a", "hostpci2": "00:19.0,mdev=a"},
        {"hostpci0": "00:19.0,mdev=a"}, [],
    ),
    "neighbours": ({"hostpci1": "00:19.0", "hostpci2": "00:19.1"}, {"hostpci0": "00:1a"}, []),
}  # fmt: skip


@pytest.mark.parametrize("is_outside", [False, True])
@pytest.mark.parametrize("name", SHARED)
def test_other_devices_that_two_lines_name_are_found(
    name: str, tmp_path: Path, *, is_outside: bool
) -> None:
    """From the files of the node, and from outside through PVE."""
    own, others, expected = SHARED[name]
    host = ready_host().with_link("/etc/pve/local", "nodes/pve1")
    two = NIC, NIC.replace("19.0", "1f.6")
    mappings = {"nic": {"map": [NIC]}, "any": {"map": list(two)}}
    text = "".join(
        f"{key}\n" + "".join(f"\tmap {line}\n" for line in each["map"]) + "\n"
        for key, each in mappings.items()
    )
    host.with_file("/etc/pve/mapping/pci.cfg", text)
    lines = "".join(f"{key}: {value}\n" for key, value in others.items())
    host.with_file("/etc/pve/qemu-server/101.conf", f"name: other\n{lines}")
    world = World(tmp_path, host=host, **own)
    world.node.state["mappings"].update(mappings)
    world.node.add_vm(101, {"name": "other", **others})
    world.is_outside = is_outside
    found = [(e.code, e.subject) for e in world.plan().findings if "-line" in e.code]
    assert [each for each in found if each[0] != "vm-lost-lines"] == expected


def test_a_line_that_a_running_machine_shares_is_more_than_a_notice(tmp_path: Path) -> None:
    world = World(tmp_path, hostpci1="00:19")
    world.node.add_vm(101, {"hostpci0": "00:19.0"}, status="running")
    world.is_outside = True
    (found,) = [each for each in world.plan().findings if each.code == "vm-line-shared"]
    assert found.level == "WARN"


def test_the_slot_by_its_address_and_by_a_mapping_is_the_slot_twice(tmp_path: Path) -> None:
    world = World(tmp_path, hostpci0="mapping=gpu", hostpci1="01:00")
    with_mapping(world, "gpu", ENTRY)
    assert "vm-slot-twice" in codes(world.plan().plan.refusals)


def test_a_part_can_become_the_whole_and_keeps_its_options() -> None:
    world = World(hostpci2="01:00.0,rombar=0")
    assert changes(world.plan(fixes=("whole-slot",)).plan) == {
        "hostpci2": ("01:00.0,rombar=0", "0000:01:00,rombar=0,pcie=1")
    }


# the check list


def broken(change: Callable[[World], object], **config: Any) -> World:
    world = World(**config)
    change(world)
    world.facts = world.host.facts()
    return world


def _runs(world: World) -> None:
    world.vm["status"] = "running"


def _group_of_others(world: World) -> None:
    other = next(d for d in world.node.state["devices"] if not d["id"].startswith(SLOT))
    other |= {"iommugroup": 8, "class": "0x010802"}
    world.host.with_group(other["id"], 8)


REFUSALS: dict[str, tuple[Callable[[World], object], dict[str, Any]]] = {
    "vm-stopped": (_runs, {}),
    "vm-locked": (lambda w: w.config.update(lock="backup"), {}),
    "vm-template": (lambda w: w.config.update(template=1), {}),
    "vm-slot-claimed": (lambda w: setattr(w, "host", RecordedHost()), {}),
    "vm-slot-bound": (lambda w: w.host.with_driver(VGA, "nouveau"), {}),
    "vm-slot-there": (lambda w: w.node.state.update(devices=[]), {}),
    "vm-machine-unknown": (lambda _: None, {"machine": "virt"}),
    "vm-kvm": (lambda _: None, {"kvm": "0"}),
    "vm-pinned-all": (lambda _: None, {"memory": str(1 << 20)}),
    "vm-hugepages-numa": (lambda _: None, {"hugepages": "2"}),
    "vm-primary-twice": (lambda _: None, {"hostpci1": "0000:02:00,x-vga=1"}),
    "iommu-on": (lambda w: w.host.without_iommu(), {}),
}


@pytest.mark.parametrize("code", REFUSALS)
def test_what_speaks_against_it(code: str) -> None:
    change, config = REFUSALS[code]
    world = broken(change, **config)
    before = copy.deepcopy(world.node.state["vms"])
    plan = world.plan(is_primary=code == "vm-primary-twice").plan
    assert code in codes(plan.refusals)
    assert plan.steps == ()
    assert world.node.state["vms"] == before


SAID: dict[str, tuple[Callable[[World], object], dict[str, Any]]] = {
    "vm-pending": (lambda w: w.vm["pending"].update(cores="4"), {}),
    "vm-ha": (lambda w: w.node.state["ha"].update({"vm:100": {}}), {}),
    "vm-viommu": (lambda _: None, {"machine": "q35,viommu=intel"}),
    "vm-machine-pinned": (lambda _: None, {"machine": "pc-q35-8.1"}),
    "vm-secure-boot": (
        lambda _: None,
        {"efidisk0": "local-lvm:vm-100-disk-0,efitype=4m,pre-enrolled-keys=1"},
    ),
    "vm-pcie": (lambda _: None, {"hostpci0": "0000:01:00"}),
    "vm-cpu-model": (lambda _: None, {"cpu": "EPYC-Rome"}),
    "vm-args": (lambda _: None, {"args": "-device x"}),
    "vm-pinned": (lambda w: w.node.state.update(memory_bytes=8 << 30), {"memory": "8000"}),
    "vm-hugepages": (lambda _: None, {"hugepages": "1024", "numa": "1"}),
    "vm-no-screen": (lambda _: None, {"vga": "none"}),
    "vm-option-rom": (lambda _: None, {"bios": None}),
    "vm-reset-blackwell": (lambda _: None, {}),
    "vm-slot-bindable": (lambda w: reserved(w.host, VGA, None), {}),
    "vm-start-timeout": (lambda _: None, {}),
}


@pytest.mark.parametrize("code", SAID)
def test_what_is_said_and_stops_nothing(code: str) -> None:
    change, config = SAID[code]
    attachment = broken(change, **config).plan()
    assert code in codes(attachment.findings)
    assert attachment.plan.refusals == ()


def test_all_is_well_with_a_machine_that_was_made_for_it(tmp_path: Path) -> None:
    (tmp_path / "etc/pve/qemu-server").mkdir(parents=True)
    (tmp_path / "etc/pve/qemu-server/100.conf").write_text("machine: q35\n")
    attachment = World(tmp_path).plan()
    ours = {"vm-start-timeout", "vm-reset-blackwell", "vm-window"}
    assert {each.code for each in attachment.findings if each.outcome != "holds"} <= ours
    assert attachment.proposals == ()


def test_lines_that_pve_would_lose_stop_it(tmp_path: Path) -> None:
    (tmp_path / "etc/pve/qemu-server").mkdir(parents=True)
    (tmp_path / "etc/pve/qemu-server/100.conf").write_text("machine: q35\nhostpci0=01:00\n")
    finding = next(each for each in World(tmp_path).plan().findings if each.code == "vm-lost-lines")
    assert finding.blocks
    assert finding.evidence == ("2: hostpci0=01:00",)


def test_who_else_has_it_is_named() -> None:
    host = ready_host()
    conf = "/etc/pve/qemu-server/200.conf"
    host.with_file(conf, "hostpci0: 0000:01:00\n").without("/run/qemu-server/200.pid")
    attachment = World(host=host).plan()
    assert "set-for-guest" in codes(attachment.findings)
    assert attachment.plan.refusals == ()
    alone = World().plan()
    assert "vm-alone" in codes(alone.findings)


def test_the_machine_itself_is_no_stranger() -> None:
    host = ready_host()
    host.with_file("/etc/pve/qemu-server/100.conf", "hostpci0: 0000:01:00,pcie=1\n")
    attachment = World(host=host, hostpci0="0000:01:00,pcie=1").plan()
    assert "set-for-guest" not in codes(attachment.findings)


def test_snapshots_are_told_apart() -> None:
    world = World()
    world.vm["snapshots"]["before"] = {"machine": "q35", "snaptime": "1"}
    assert "vm-old-snapshots" in codes(world.plan().findings)
    world.vm["snapshots"]["with"] = {"hostpci0": "0000:01:00,pcie=1", "snaptime": "2"}
    assert "vm-in-snapshot" in codes(world.plan().findings)


def test_snapshots_are_read_from_the_file_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "etc/pve/qemu-server").mkdir(parents=True)
    text = "machine: q35\n\n[with]\nhostpci0: 01:00.1\n\n[without]\nhostpci0: 02:00\n"
    (tmp_path / "etc/pve/qemu-server/100.conf").write_text(text)
    snapshots = World(tmp_path).case().vm.snapshots
    assert [(each.name, each.keys) for each in snapshots] == [
        ("with", ("hostpci0",)),
        ("without", ()),
    ]


def big_bar(world: World, size: int) -> World:
    inventory = world.facts.inventory
    functions = tuple(
        replace(
            each,
            bars=tuple(
                replace(bar, size_bytes=size) if bar.index == 1 else bar for bar in each.bars
            ),
        )
        if each.address == VGA
        else each
        for each in inventory.functions
    )
    world.facts = replace(world.facts, inventory=replace(inventory, functions=functions))
    return world


@pytest.mark.parametrize(
    ("vendor", "cpu", "phys_bits", "gib", "outcome"),
    [
        # QEMU's 40 bits are not believed on Intel: 32 GiB
        ("GenuineIntel", "x86-64-v3", 46, 16, "holds"),
        ("GenuineIntel", "x86-64-v3", 46, 32, "does-not-hold"),
        ("GenuineIntel", "Skylake-Server", 46, 32, "does-not-hold"),
        # on AMD they are: an eighth of 1 TiB
        ("AuthenticAMD", "x86-64-v3", 48, 64, "holds"),
        ("AuthenticAMD", "x86-64-v3", 48, 128, "does-not-hold"),
        ("GenuineIntel", "EPYC", 46, 64, "holds"),
        ("GenuineIntel", "host", 39, 32, "holds"),
        ("GenuineIntel", "host", 39, 64, "does-not-hold"),
        ("AuthenticAMD", "host", 39, 32, "does-not-hold"),
        ("AuthenticAMD", "host", 48, 1024, "holds"),
        ("GenuineIntel", "host,guest-phys-bits=38", 46, 16, "holds"),
        ("GenuineIntel", "host,guest-phys-bits=42", 46, 256, "holds"),
        # without pages of 1 GiB no more than 40 bits are used
        ("AuthenticAMD", "x86-64-v3,phys-bits=host", 48, 128, "does-not-hold"),
        ("AuthenticAMD", "x86-64-v3,phys-bits=host,flags=+pdpe1gb", 48, 1024, "holds"),
        ("AuthenticAMD", "custom-mine", 48, 16, "not-measured"),
    ],
)
def test_the_card_s_memory_must_find_room(
    vendor: str, cpu: str, phys_bits: int, gib: int, outcome: str
) -> None:
    case = big_bar(World(cpu=cpu), gib << 30).case()
    assert case.host is not None
    host = replace(case.host, cpu=replace(case.host.cpu, vendor=vendor))
    case = replace(case, node=replace(case.node, phys_bits=phys_bits), host=host)
    (finding,) = check_window(case)
    assert (finding.code, finding.outcome) == ("vm-window", outcome)


@pytest.mark.parametrize(
    ("version", "cpu", "after"),
    [
        (9, "host", "host,guest-phys-bits=39"),
        (8, "host", "host,phys-bits=39"),
        (8, "EPYC", "EPYC,phys-bits=39"),
    ],
)
def test_no_more_bits_than_the_iommu_translates(version: int, cpu: str, after: str) -> None:
    case = World(version=version, cpu=cpu).case()
    case = replace(case, node=replace(case.node, phys_bits=46, iommu_bits=39))
    assert [each.outcome for each in check_iommu_width(case)] == ["does-not-hold"]
    assert [each.after for each in changes_of(case, "phys-bits")] == [after]


@pytest.mark.parametrize(
    ("config", "seconds"),
    [
        ({"memory": "4096"}, 120),
        ({"memory": "30720"}, 120),
        ({"memory": "65536", "net0": "x"}, 261),
        ({"memory": "2048", "hugepages": "2"}, 150),
        ({"memory": "current=40960", "net0": "x", "net1": "y"}, 170),
    ],
)
def test_the_time_that_pve_gives_a_start(config: dict[str, str], seconds: int) -> None:
    assert start_timeout_s(config) == seconds


def test_the_node_s_own_files_are_read(tmp_path: Path) -> None:
    files = {
        "proc/meminfo": "MemTotal: 32000000 kB\nMemAvailable:   16000000 kB\n",
        "proc/cpuinfo": "address sizes\t: 46 bits physical, 48 bits virtual\n",
        "sys/class/iommu/dmar0/intel-iommu/cap": "d2008c40660462\n",
        "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "512\n",
        "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages": "500\n",
        "sys/bus/pci/devices/0000:01:00.0/numa_node": "1\n",
        "sys/devices/system/node/node0/x": "",
        "sys/devices/system/node/node1/x": "",
        "usr/share/kvm/card.rom": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    world = World(tmp_path, hugepages="2", numa="1")
    node = world.case().node
    assert (node.memory_available_bytes, node.phys_bits) == (16000000 << 10, 46)
    assert (node.iommu_bits, node.numa_node, node.numa_nodes) == (39, 1, 2)
    assert node.hugepages is not None
    assert [(each.size_mib, each.free) for each in node.hugepages] == [(2, 500)]
    assert node.romfiles == ("card.rom",)
    found = codes(world.plan().findings)
    assert {"vm-numa", "vm-hugepages", "vm-iommu-width"} <= set(found)


# mappings


def with_mapping(world: World, name: str, *entries: str) -> World:
    world.node.state["mappings"][name] = {"map": list(entries)}
    return world


ENTRY = "id=10de:2d04,iommugroup=8,node=pve1,path=0000:01:00,subsystem-id=10b0:205e"
ELSEWHERE = "id=10de:1f08,iommugroup=3,node=pve2,path=0000:41:00,subsystem-id=1462:3755"


def test_a_mapping_is_made_as_pve_compares_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    plan = world.plan(mapping="gpu").plan
    assert [each.code for each in plan.steps] == ["mapping-create", "vm-attach"]
    assert changes(plan) == {"hostpci0": (None, "mapping=gpu,pcie=1")}
    apply(world, plan)
    assert world.node.state["mappings"]["gpu"]["map"] == [ENTRY]
    assert world.config["hostpci0"] == "mapping=gpu,pcie=1"
    assert world.plan(mapping="gpu").plan.steps == ()
    undo(world)
    assert world.node.state["mappings"] == {}
    assert "hostpci0" not in world.config


BROKEN = {
    "no map": ("other\n\tdescription x\n\n", "vm-mapping-lost"),
    "no valid map": ("other\n\tmap id=zz,node=pve1,path=01:00\n\n", "vm-mapping-lost"),
    "a line": (f"other\n\tmap {NIC}\n\tmap id=zz\n\n", "vm-mapping-lines"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_of_mappings_that_pve_cannot_write_is_found_before(
    name: str, tmp_path: Path
) -> None:
    text, code = BROKEN[name]
    world = World(tmp_path)
    path = tmp_path / "etc/pve/mapping/pci.cfg"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    (found,) = [each for each in world.plan().findings if each.code.startswith("vm-mapping-l")]
    assert (found.code, found.blocks) == (code, False)
    plan = world.plan(mapping="gpu").plan
    assert (codes(plan.refusals), plan.steps) == ([code], ())
    path.write_text(f"other\n\tmap {NIC}\n\n")
    assert world.plan(mapping="gpu").plan.refusals == ()


def test_a_mapping_that_is_right_is_written_nowhere(tmp_path: Path) -> None:
    """So a broken file beside it stops nothing."""
    world = with_mapping(World(tmp_path), "gpu", ENTRY)
    path = tmp_path / "etc/pve/mapping/pci.cfg"
    path.parent.mkdir(parents=True)
    path.write_text(f"gpu\n\tmap {ENTRY}\n\nother\n\n")
    assert world.plan(mapping="gpu").plan.refusals == ()


def test_other_nodes_keep_their_entries(tmp_path: Path) -> None:
    world = with_mapping(World(tmp_path), "gpu", ELSEWHERE)
    world.node.state["mappings"]["gpu"]["description"] = "cards"
    before = copy.deepcopy(world.node.state["mappings"])
    apply(world, world.plan(mapping="gpu").plan)
    assert world.node.state["mappings"]["gpu"]["map"] == [ELSEWHERE, ENTRY]
    assert world.node.state["mappings"]["gpu"]["description"] == "cards"
    undo(world)
    assert world.node.state["mappings"] == before


def test_what_is_stale_is_renewed_in_its_place(tmp_path: Path) -> None:
    old = ENTRY.replace("iommugroup=8", "iommugroup=14") + ",description=mine"
    world = with_mapping(World(tmp_path), "gpu", old, ELSEWHERE)
    attachment = world.plan(mapping="gpu")
    assert "vm-mapping-stale" in codes(attachment.findings)
    apply(world, attachment.plan)
    assert world.node.state["mappings"]["gpu"]["map"] == [f"{ENTRY},description=mine", ELSEWHERE]
    undo(world)
    assert world.node.state["mappings"]["gpu"]["map"] == [old, ELSEWHERE]


@pytest.mark.parametrize(
    ("name", "entries", "code"),
    [
        ("gpu", (ENTRY.replace("01:00", "02:00"),), "vm-mapping-other"),
        ("gpu", (ENTRY.replace("01:00", "01:00.0"),), "vm-mapping-other"),
        ("gpu", (ENTRY, ENTRY.replace("01:00", "02:00")), "vm-mapping-other"),
        ("1gpu", (), "vm-mapping-name"),
        ("g pu", (), "vm-mapping-name"),
        ("gpu,pcie=0", (), "vm-mapping-name"),
    ],
)
def test_a_mapping_of_something_else_is_left_alone(
    name: str, entries: tuple[str, ...], code: str
) -> None:
    world = with_mapping(World(), name, *entries) if entries else World()
    plan = world.plan(mapping=name).plan
    assert code in codes(plan.refusals)
    assert plan.steps == ()


def test_a_mapping_that_somebody_uses_by_now_stays(tmp_path: Path) -> None:
    world = World(tmp_path)
    apply(world, world.plan(mapping="gpu").plan)
    world.node.add_vm(200, {"hostpci0": "mapping=gpu"})
    assert undo(world) == ("mapping gpu (VM 200)",)
    assert world.node.state["mappings"]["gpu"]["map"] == [ENTRY]
    assert "hostpci0" not in world.config


def test_a_machine_that_cannot_be_asked_may_use_the_mapping(tmp_path: Path) -> None:
    world = World(tmp_path)
    apply(world, world.plan(mapping="gpu").plan)
    world.node.state["nodes"].append({"name": "pve2", "online": 0})
    world.node.add_vm(200, {"name": "far"}, node="pve2")
    assert undo(world) == ("mapping gpu (VM 200 on pve2 could not be asked)",)
    assert world.node.state["mappings"]["gpu"]["map"] == [ENTRY]
    assert "hostpci0" not in world.config


def test_an_entry_that_somebody_added_since_stays(tmp_path: Path) -> None:
    world = World(tmp_path)
    apply(world, world.plan(mapping="gpu").plan)
    world.node.state["mappings"]["gpu"]["map"].append(ELSEWHERE)
    undo(world)
    assert world.node.state["mappings"]["gpu"]["map"] == [ELSEWHERE]


# from outside


@pytest.mark.processes
def test_a_token_gets_a_mapping(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.node.state["tokens"][TOKEN] = {"secret": SECRET, "privsep": 0, "expire": 0}
    with Server(world.node) as server:
        world.pve, world.is_outside = https(server, f"{TOKEN}={SECRET}"), True
        attachment = world.plan()
        assert attachment.plan.refusals == ()
        assert changes(attachment.plan) == {"hostpci0": (None, "mapping=pci-0000-01-00,pcie=1")}
        unknown = {each.code for each in attachment.findings if each.outcome == "not-measured"}
        assert {"vm-slot-ready", "vm-lost-lines", "vm-window"} <= unknown
        apply(world, attachment.plan)
        assert world.config["hostpci0"] == "mapping=pci-0000-01-00,pcie=1"
        assert world.plan().plan.steps == ()
        undo(world)
        assert "hostpci0" not in world.config


@pytest.mark.processes
def test_from_outside_a_mapping_that_is_there_is_used(tmp_path: Path) -> None:
    world = with_mapping(World(tmp_path), "gpu", ENTRY)
    world.node.state["tokens"][TOKEN] = {"secret": SECRET, "privsep": 0, "expire": 0}
    with Server(world.node) as server:
        world.pve, world.is_outside = https(server, f"{TOKEN}={SECRET}"), True
        plan = world.plan().plan
        assert changes(plan) == {"hostpci0": (None, "mapping=gpu,pcie=1")}
        assert len(plan.steps) == 1


def test_from_outside_nothing_may_share_the_group() -> None:
    world = World()
    world.is_outside = True
    assert world.plan().plan.refusals == ()
    _group_of_others(world)
    assert "vm-slot-alone" in codes(world.plan().plan.refusals)
    world = World()
    world.is_outside = True
    world.node.add_vm(200, {"hostpci0": "0000:01:00.0"})
    assert "set-for-guest" in codes(world.plan().findings)
    world.node.vm(200)["status"] = "running"
    assert "in-use-by-guest" in codes(world.plan().plan.refusals)


# lent while the machine runs


def lent(vmid: int, *, has_hook: bool = True) -> World:
    host = claimed(RecordedHost())
    text = host.data["files"]["/etc/hostpci.toml"]
    host.with_file("/etc/hostpci.toml", text.rstrip("\n") + f'\noptions = ["while-vm={vmid}"]\n')
    for address in (VGA, f"{SLOT}.1"):
        reserved(host, address, None)
    world = World(host=host)
    world.facts = replace(
        world.facts, platform=replace(world.facts.platform, is_pve=True),
        options=replace(world.facts.options, hook=HOOK_TEXT if has_hook else None),
    )  # fmt: skip
    local = world.node.state["storages"]["local"]
    local["path"] = "/var/lib/vz"
    local["files"].append(
        {"name": HOOK_VOLUME.partition(":")[2], "content": "snippets", "nodes": ["pve1"]}
    )
    return world


def test_a_slot_that_is_lent_needs_the_hook_script() -> None:
    world = lent(VMID)
    plan = world.plan().plan
    assert plan.refusals == ()
    assert changes(plan) == {
        "hookscript": (None, HOOK_VOLUME),
        "hostpci0": (None, "0000:01:00,pcie=1"),
    }
    assert "vm-no-hook" in codes(lent(VMID, has_hook=False).plan().plan.refusals)
    assert "vm-slot-lent" in codes(lent(200).plan().plan.refusals)
    world.config["hookscript"] = "local:snippets/mine.sh"
    assert "vm-other-hookscript" in codes(world.plan().plan.refusals)


def _hook_findings(world: World) -> list[tuple[str, str, tuple[str, ...]]]:
    return [
        (each.code, each.outcome, each.evidence)
        for each in world.plan().findings
        if each.code.startswith("vm-hook-")
    ]


def test_the_script_is_named_by_a_storage_that_has_it() -> None:
    world = lent(VMID)
    storages = world.node.state["storages"]
    storages["local"]["path"] = "/mnt/elsewhere"
    refused = world.plan().plan.refusals
    assert codes(refused) == ["vm-hook-storage"]
    storages["bits"] = {**storages["local"], "path": "/var/lib/vz/"}
    assert changes(world.plan().plan)["hookscript"] == (
        None, "bits:snippets/hostpci-hook.sh",
    )  # fmt: skip
    storages["other"] = {**storages["bits"], "content": "iso"}
    assert changes(world.plan().plan)["hookscript"][1] == "bits:snippets/hostpci-hook.sh"


def test_nodes_that_lack_the_script_are_named() -> None:
    world = lent(VMID)
    holds = [("vm-hook-nodes", "holds", (HOOK_VOLUME,))]
    assert _hook_findings(world) == holds
    local = world.node.state["storages"]["local"]
    world.node.state["nodes"] += [{"name": "pve2", "online": 1}, {"name": "pve3", "online": 0}]
    assert _hook_findings(world) == [
        ("vm-hook-nodes", "does-not-hold", ("pve2",)),
        ("vm-hook-unasked", "not-measured", ("pve3",)),
    ]
    assert world.plan().plan.refusals == ()
    local["files"][0]["nodes"] += ["pve2"]
    world.node.state["nodes"].pop()
    assert _hook_findings(world) == holds
    local["content"] = "iso"  # PVE finds the script all the same, and lists no snippets
    assert _hook_findings(world) == [("vm-hook-unasked", "not-measured", ("pve2",))]
    local["shared"] = 1
    assert _hook_findings(world) == holds


def test_a_script_that_nothing_is_lent_by_any_more_is_told() -> None:
    world = World(hookscript=HOOK_VOLUME)
    assert "vm-hookscript-idle" in codes(world.plan().findings)
    world = lent(VMID)
    world.config["hookscript"] = HOOK_VOLUME
    assert "vm-hookscript-idle" not in codes(world.plan().findings)


def test_a_machine_with_the_script_by_another_storage_has_it() -> None:
    world = lent(VMID)
    world.config["hookscript"] = "nfs:snippets/hostpci-hook.sh"
    assert set(changes(world.plan().plan)) == {"hostpci0"}


def test_detach_takes_the_hook_script_out_with_the_last_slot() -> None:
    world = lent(VMID)
    world.config.update(hostpci0="0000:01:00,pcie=1", hookscript=HOOK_VOLUME)
    assert set(changes(plan_detach(world.case()))) == {"hostpci0", "hookscript"}


# carried out and taken back


WISHES: tuple[dict[str, Any], ...] = (
    {},
    {"mapping": "gpu"},
    {"is_primary": True},
    {"fixes": ("ovmf", "cpu", "balloon", "agent")},
)
CONFIGS: tuple[dict[str, Any], ...] = (
    {},
    {"machine": "pc-i440fx-8.1", "bios": None, "efidisk0": None, "cpu": None, "balloon": None,
     "agent": None},
)  # fmt: skip


@pytest.mark.parametrize("version", [8, 9])
@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("config", CONFIGS)
def test_undo_gives_back_what_was_there(
    wish: dict[str, Any], config: dict[str, Any], version: int, tmp_path: Path
) -> None:
    if "fixes" in wish and not config:
        wish = {}
    world = World(tmp_path, version=version, **config)
    before = copy.deepcopy(world.node.state)
    apply(world, world.plan(**wish).plan)
    assert world.plan(**wish).plan.steps == ()
    assert undo(world) == ()
    for part in ("vms", "mappings", "storages"):
        assert world.node.state[part] == before[part]


def test_a_disk_of_the_firmware_that_was_used_is_not_destroyed(tmp_path: Path) -> None:
    world = World(tmp_path, efidisk0=None)
    apply(world, world.plan(fixes=("efidisk",)).plan)
    disk = world.config["efidisk0"]
    assert disk.startswith("local-lvm:vm-100-disk-")
    world.pve.call("create", "/nodes/pve1/qemu/100/status/start")
    world.pve.call("create", "/nodes/pve1/qemu/100/status/stop")
    (kept,) = undo(world)
    assert disk.partition(",")[0] in kept
    assert world.config["unused0"] == disk.partition(",")[0]


def test_a_disk_that_may_have_been_used_on_a_node_that_is_down_stays(tmp_path: Path) -> None:
    world = World(tmp_path, efidisk0=None)
    apply(world, world.plan(fixes=("efidisk",)).plan)
    world.node.state["nodes"].append({"name": "pve2", "online": 0})
    (kept,) = undo(world)
    assert kept.endswith("(whether it was started cannot be seen on pve2)")
    assert "unused0" in world.config


def test_what_somebody_changed_since_is_in_the_way(tmp_path: Path) -> None:
    world = World(tmp_path, balloon=None)
    apply(world, world.plan(fixes=("balloon",)).plan)
    world.config["hostpci0"] = "0000:01:00,pcie=1,rombar=0"
    state = copy.deepcopy(world.node.state["vms"])
    with pytest.raises(ConflictError) as error:
        undo(world)
    assert error.value.params["path"] == "VM 100 hostpci0"
    assert world.node.state["vms"] == state
    assert undo(world, skip_changed=True) == ("VM 100 hostpci0",)
    assert world.config["hostpci0"] == "0000:01:00,pcie=1,rombar=0"
    assert "balloon" not in world.config


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (_runs, "VM 100 (running)"),
        (lambda w: w.config.update(lock="backup"), "VM 100 (lock: backup)"),
    ],
)
def test_a_machine_that_cannot_be_changed_is_in_the_way(
    change: Callable[[World], object], what: str, tmp_path: Path
) -> None:
    world = World(tmp_path)
    apply(world, world.plan().plan)
    change(world)
    with pytest.raises(ConflictError) as error:
        undo(world)
    assert error.value.params["path"] == what
    assert world.config["hostpci0"] == "0000:01:00,pcie=1"


def test_a_machine_that_is_gone_leaves_nothing_to_undo(tmp_path: Path) -> None:
    world = World(tmp_path)
    apply(world, world.plan(mapping="gpu").plan)
    del world.node.state["vms"]["100"]
    assert undo(world) == ()
    assert world.node.state["mappings"] == {}


def test_several_runs_are_taken_back_one_after_the_other(tmp_path: Path) -> None:
    world = World(tmp_path)
    before = copy.deepcopy(world.config)
    apply(world, world.plan().plan)
    apply(world, plan_detach(world.case()))
    assert world.config == before
    apply(world, world.plan(is_primary=True).plan)
    assert undo(world) == ()
    assert world.config == before


@pytest.mark.parametrize(
    "change",
    [
        lambda w: w.config.update(cores="8"),
        lambda w: w.config.update(hostpci0="0000:02:00"),
        lambda w: w.node.state["vms"].pop("100"),
        _runs,
    ],
)
def test_what_changed_since_the_plan_stops_it(
    change: Callable[[World], object], tmp_path: Path
) -> None:
    world = World(tmp_path)
    plan = world.plan().plan
    change(world)
    state = copy.deepcopy(world.node.state["vms"])
    with pytest.raises(ConflictError):
        apply(world, plan)
    assert world.node.state["vms"] == state


def test_a_mapping_that_changed_since_the_plan_stops_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    plan = world.plan(mapping="gpu").plan
    with_mapping(world, "gpu", ELSEWHERE)
    with pytest.raises(ConflictError) as error:
        apply(world, plan)
    assert error.value.code == "mapping-changed"
    assert world.node.state["mappings"]["gpu"]["map"] == [ELSEWHERE]
    assert "hostpci0" not in world.config


# detach


def test_detach_takes_out_every_line_of_the_slot() -> None:
    world = World(hostpci0="01:00.0", hostpci1="02:00", hostpci2="0000:01:00.1,pcie=1")
    assert set(changes(plan_detach(world.case()))) == {"hostpci0", "hostpci2"}
    assert plan_detach(World().case()).steps == ()
    with pytest.raises(RefusedError) as error:
        plan_detach(World(hostpci0="01:00;02:00").case())
    assert error.value.code == "vm-line-has-more"
    running = World(hostpci0="01:00")
    _runs(running)
    assert codes(plan_detach(running.case()).refusals) == ["vm-stopped"]


# what is sent and kept


def test_what_is_sent_is_what_pve_reads() -> None:
    for wish in ({}, {"is_primary": True}, {"mapping": "gpu"}):
        for _, after in changes(World().plan(**wish).plan).values():
            assert after is not None
            given = parse_hostpci(after)
            assert given.pcie
            assert (given.host == SLOT) != (given.mapping == "gpu")
    assert parse_mappings(f"gpu\n\tmap {ENTRY}\n").sections["gpu"]


def test_an_attachment_survives_json() -> None:
    attachment = World(machine=None).plan(mapping="gpu")
    assert decode(Attachment, encode(attachment)) == attachment


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_the_check_list_is_shown_with_its_diffs(language: str) -> None:
    attachment = World(machine=None, balloon="512", cpu="kvm64").plan(fixes=("cpu",))
    text = [line for line, _ in render_check_list(attachment, Catalog(language))]
    assert sum(line.strip() == "+machine: q35" for line in text) == 1
    assert sum(line.strip() == "-cpu: kvm64" for line in text) == 1
    assert any("--fix balloon" in line for line in text)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(["type", "viommu", "a-newer-key", "hidden"]),
        st.text(alphabet="abc019-+;.", min_size=1, max_size=8),
        max_size=4,
    )
)
def test_property_strings_come_back(values: dict[str, str]) -> None:
    assert read("machine", written("machine", values)) == values


@pytest.mark.parametrize(
    ("key", "text", "values"),
    [
        ("efidisk0", "volume=local:1,size=4M", {"file": "local:1", "size": "4M"}),
        ("hostpci0", "01:00,pcie=on,x-vga=0,a-newer-key=on",
         {"host": "01:00", "pcie": "1", "x-vga": "0", "a-newer-key": "on"}),
        ("agent", "1,freeze-fs-on-backup=no", {"enabled": "1", "freeze-fs": "0"}),
        ("cpu", "host,flags=+aes;-pcid,,", {"cputype": "host", "flags": "+aes;-pcid"}),
        ("memory", "4096", {"current": "4096"}),
        ("vga", "", {}),
    ],
)  # fmt: skip
def test_settings_are_read_as_pve_reads_them(key: str, text: str, values: dict[str, str]) -> None:
    assert read(key, text) == values


@pytest.mark.parametrize("text", ["01:00,pcie=1,pcie=1", "01:00,02:00", "=1"])
def test_what_pve_could_not_have_read_is_no_answer_of_pve(text: str) -> None:
    with pytest.raises(ToolError) as error:
        World(hostpci1=text).plan()
    assert error.value.code == "vm-odd-answer"


def test_a_boot_disk_by_its_other_name_is_found() -> None:
    world = World(efidisk0=None, scsi0="volume=tank:vm-100-disk-1,size=32G")
    assert changes(world.plan(fixes=("efidisk",)).plan)["efidisk0"][1] == (
        "tank:1,efitype=4m,pre-enrolled-keys=0"
    )


@pytest.mark.parametrize("path", ["config", "status/current", "pending", "snapshot"])
def test_an_odd_answer_of_pve_is_no_bug(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    inner = world.pve.call

    def odd(method: str, where: str, params: Any = {}) -> Any:  # noqa: B006
        return 7 if where.endswith(f"100/{path}") else inner(method, where, params)

    monkeypatch.setattr(world.pve, "call", odd)
    with pytest.raises(ToolError) as error:
        world.case()
    assert error.value.code == "vm-odd-answer"


def test_defaults_of_a_node_are_unknown() -> None:
    node = NodeFacts(name="pve1", version=(9, 1), is_local_root=True)
    assert (node.mapping("x"), node.of_slot(SLOT), node.phys_bits) == (None, (), None)


# undone by somebody who may see less


NARROW = "ops@pve!narrow"
RIGHTS = ["VM.Audit", "VM.Config.HWType", "VM.Config.Options", "Mapping.Use", "Mapping.Modify"]


def _undone_by(world: World, *paths: str) -> tuple[str, ...]:
    """``paths``: where the holder of the token has rights; Sys.Audit on the nodes besides."""
    state = world.node.state
    state["users"]["ops@pve"] = {"enable": 1, "expire": 0}
    state["tokens"][NARROW] = {"secret": SECRET, "privsep": 0, "expire": 0}
    state["roles"]["narrow"] = RIGHTS
    state["acl"] = [{"path": each, "who": "ops@pve", "role": "narrow"} for each in paths]
    state["acl"].append({"path": "/nodes", "who": "ops@pve", "role": "PVEAuditor"})
    root = world.pve
    with Server(world.node) as server:
        world.pve = https(server, f"{NARROW}={SECRET}")
        try:
            return undo(world)
        finally:
            world.pve = root


@pytest.mark.processes
@pytest.mark.parametrize(
    ("paths", "code"), [(("/mapping",), "vm-unseen"), (("/vms",), "pve-denied")]
)
def test_what_one_may_not_see_is_not_taken_for_gone(
    paths: tuple[str, ...], code: str, tmp_path: Path
) -> None:
    world = World(tmp_path)
    before = copy.deepcopy((world.config, world.node.state["mappings"]))
    apply(world, world.plan(mapping="gpu").plan)
    after = copy.deepcopy((world.config, world.node.state["mappings"]))
    with pytest.raises(ToolError) as error:
        _undone_by(world, *paths)
    assert error.value.code == code
    assert (world.config, world.node.state["mappings"]) == after
    assert undo(world) == ()
    assert (world.config, world.node.state["mappings"]) == before


@pytest.mark.processes
def test_a_mapping_whose_users_one_may_not_see_stays(tmp_path: Path) -> None:
    world = World(tmp_path)
    apply(world, world.plan(mapping="gpu").plan)
    world.node.add_vm(101, {"hostpci0": "mapping=gpu"})
    (kept,) = _undone_by(world, "/vms/100", "/mapping")
    assert kept.startswith("mapping gpu (")
    assert "gpu" in world.node.state["mappings"]
    assert "hostpci0" not in world.config
