"""Logs: the lines about devices, of every boot that is kept, and of the tasks of machines."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostpci.errors import EnvironmentFault
from hostpci.facts.guests import vm_lines
from hostpci.facts.logs import UPID, bounded, journal_command, read_logs, relevant_lines, task_path
from hostpci.facts.look import Look
from hostpci.host.runner import Completed, Keep, ReplayRunner, Runner
from hostpci.model.log import Log

from ..recorded_tree import MemoryRoot

UPID_100 = "UPID:pve1:0009A4C1:0123ABCD:6921F00E:qmstart:100:root@pam:"
UPID_200 = "UPID:pve1:0009A4C2:0123ABCE:6921F00F:qmstart:200:alice@pve!ci:"
BOOT = [
    "[    0.000000] kernel: Linux version 6.8.12-9-pve",
    "[    0.100000] kernel: DMAR: IOMMU enabled",
    "[    1.000000] kernel: EXT4-fs (dm-1): mounted filesystem",
    "[    2.000000] kernel: vfio-pci 0000:01:00.0: BAR 1: can't reserve [mem 0xd0000000]",
]


@pytest.fixture
def root() -> MemoryRoot:
    tree = MemoryRoot()
    tree.file("/etc/pve/qemu-server/100.conf", "name: db\nhostpci0: 0000:01:00,pcie=1\n")
    tree.file("/etc/pve/qemu-server/200.conf", "name: web\nmemory: 512\n")
    lines = f"{UPID_100} 6921F020 got timeout\n{UPID_200} 6921F021 OK\nnonsense\n"
    tree.file("/var/log/pve/tasks/index", lines)
    tree.file(f"/var/log/pve/tasks/E/{UPID_100}", "swtpm_setup: done\nTASK ERROR: got timeout\n")
    tree.file(f"/var/log/pve/tasks/F/{UPID_200}", "TASK OK\n")
    return tree


def logs_of(root: MemoryRoot, *boots: list[str]) -> dict[str, tuple[str, ...]]:
    commands = [
        {"argv": list(journal_command(-number)), "stdout": "\n".join(lines) + "\n"}
        for number, lines in enumerate(boots)
    ]
    return {each.source: each.lines for each in read_logs(Look(root), ReplayRunner(commands))}


def test_every_boot_that_is_kept_is_read(root: MemoryRoot) -> None:
    found = logs_of(root, BOOT, BOOT[:2])
    assert found["journalctl --boot=0"] == (BOOT[0], BOOT[1], BOOT[3])
    assert found["journalctl --boot=-1"] == tuple(BOOT[:2])
    assert "journalctl --boot=-2" not in found


def test_a_host_without_a_journal_says_so(root: MemoryRoot) -> None:
    look = Look(root)
    read_logs(look, ReplayRunner([]))
    assert [(each.what, each.why) for each in look.gaps] == [("journalctl", "command-not-here")]


def test_only_tasks_and_settings_of_machines_with_devices_are_read(root: MemoryRoot) -> None:
    found = logs_of(root)
    task = f"/var/log/pve/tasks/E/{UPID_100}"
    assert set(found) == {task, "/etc/pve/qemu-server/100.conf"}
    assert found[task][-1] == "TASK ERROR: got timeout"
    assert found["/etc/pve/qemu-server/100.conf"] == ("hostpci0: 0000:01:00,pcie=1",)


def test_of_many_tasks_the_newest_are_read(root: MemoryRoot) -> None:
    upids = [UPID_100.replace("6921F00E", f"6921F{n:03X}") for n in range(100)]
    root.file("/var/log/pve/tasks/index", "".join(f"{each} 6921FFFF OK\n" for each in upids))
    for each in upids:
        root.file(task_path(each), "TASK OK\n")
    sources = [each for each in logs_of(root) if "tasks" in each]
    assert sources == [task_path(each) for each in upids[-24:]]


@pytest.mark.parametrize("upid", ["", "UPID:a:b", UPID_100[:-1], f"{UPID_100}/../../etc/shadow"])
def test_a_task_that_is_none_is_no_path(upid: str) -> None:
    assert task_path(upid) == ""


def test_a_name_in_a_list_of_tasks_leads_nowhere_else(root: MemoryRoot) -> None:
    root.file("/etc/shadow", "root:x\n")
    evil = UPID_100.replace("root@pam", "../../../../../etc/shadow")
    root.file("/var/log/pve/tasks/index", f"{evil} 6921F020 OK\n")
    assert UPID.match(evil) is None
    assert not any("tasks" in each for each in logs_of(root))


def test_the_names_of_a_machine_are_not_read() -> None:
    lines = [
        "#described", "args: -cpu host", "ciuser: alice", "cipassword: x", "name: db", "tags: a;b",
        "hostpci0: mapping=gpu", "memory: 512", "sshkeys: ssh-ed25519", "smbios1: uuid=1,serial=2",
        "vmgenid: 1", "net0: virtio=BC:24:11:00:00:01,bridge=vmbr0", "[before]", "name: db",
    ]  # fmt: skip
    kept = list(vm_lines(lines))
    assert kept == [lines[1], lines[6], lines[7], lines[11], lines[12]]
    assert list(vm_lines(kept)) == kept
    assert list(vm_lines(["memory: 512", "[a]"])) == ["[a]"]


NOISE = [
    "IN=vmbr0 OUT= MAC=aa SRC=10.0.0.1 DST=10.0.0.2 LEN=40 PCI",
    "audit: type=1400 audit(1.2:3): apparmor=DENIED name=/dev/kvm",
    "pvedaemon[1]: authentication failure; rhost=::ffff:10.0.0.9 user=root@pam kvm",
    "sd 0:0:0:0: [sda] Attached SCSI disk",
    "device tap100i0 entered promiscuous mode",
    "wlan0: associate with home-sweet-home",
]


@pytest.mark.parametrize("line", NOISE)
def test_lines_about_people_and_traffic_are_not_read(line: str) -> None:
    assert list(relevant_lines([line])) == []


def test_a_storm_is_cut_and_what_came_around_it_stays() -> None:
    storm = [
        f"[{n}.0] kernel: vfio-pci 0000:01:00.0: not ready {n}ms after FLR" for n in range(9999)
    ]
    found = list(relevant_lines([BOOT[0], *storm, BOOT[1]]))
    assert found[0] == BOOT[0]
    assert found[-1] == BOOT[1]
    assert 10 < len(found) < 500


LINES = st.lists(st.text(st.characters(exclude_characters="\n"), max_size=30), max_size=40)


@given(lines=LINES, most=st.integers(2, 30), chars=st.integers(2, 400))
def test_bounds_hold_and_a_second_look_keeps_the_same(
    lines: list[str], most: int, chars: int
) -> None:
    once = list(bounded(lines, max_lines=most, max_chars=chars))
    assert len(once) <= most
    assert sum(map(len, once)) <= chars
    assert list(bounded(once, max_lines=most, max_chars=chars)) == once
    if len(lines) <= most // 2 and sum(map(len, lines)) <= chars // 2:
        assert once == lines


def test_a_source_that_says_nothing_is_left_out(root: MemoryRoot) -> None:
    assert Log(source="journalctl --boot=0", lines=()).source not in logs_of(root, [])


def test_a_journal_that_fails_ends_the_looking_back(root: MemoryRoot) -> None:
    asked: list[Sequence[str]] = []

    class Failing(Runner):
        def run(
            self, argv: Sequence[str], *, timeout_s: float, keep: Keep | None = None
        ) -> Completed:
            asked.append(argv)
            raise EnvironmentFault("command-failed", command="journalctl", status=1, reason="")

    read_logs(Look(root), Failing())
    assert len(asked) == 1
