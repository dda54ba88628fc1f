"""Which guest has what of this host's devices, from files that another program wrote."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostpci.checks.registry import run_checks
from hostpci.errors import ToolError
from hostpci.facts.guests import (
    container_lines,
    mapping_lines,
    parse_container,
    parse_mappings,
    parse_vm,
    vm_lines,
)
from hostpci.model.finding import Level, Outcome
from hostpci.planner.claim import claim_step

from ..hosts import SLOT, VGA, RecordedHost
from .support import claimed, findings, on_vfio, with_class_device

MAPPINGS: dict[str, tuple[str, ...]] = {"gpu0": ("0000:01:00",)}
NIC = "0000:00:04.0"


def places(text: str) -> tuple[str, ...]:
    devices, _ = parse_vm([f"hostpci0: {text}"], MAPPINGS)
    return devices[0].places if devices else ()


def with_guest(
    host: RecordedHost, number: int, config: str, *, kind: str = "qemu-server", pid: int = 0
) -> RecordedHost:
    host.with_file(f"/etc/pve/{kind}/{number}.conf", config)
    if pid and kind == "qemu-server":
        host.with_file(f"/run/qemu-server/{number}.pid", f"{pid}\n")
        host.with_file(f"/proc/{pid}/comm", "kvm\n")
        host.data["errors"].setdefault("/run/qemu-server/pci-id-reservations", "ENOENT")
    elif pid:
        host.data["errors"].pop("/sys/fs/cgroup/lxc", None)
        host.data["directories"]["/sys/fs/cgroup/lxc"] = [str(number)]
    elif kind == "qemu-server":
        host.without(f"/run/qemu-server/{number}.pid")
    return host


def blocked(host: RecordedHost) -> list[tuple[str, str]]:
    return [(each.code, each.subject) for each in run_checks(host.facts(), SLOT).blocking]


# the grammar of hostpciN


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("01:00", ("0000:01:00",)),
        ("0000:01:00.1,pcie=1", ("0000:01:00.1",)),
        ("host=01:00.0,pcie=1,x-vga=1", ("0000:01:00.0",)),
        ("pcie=1,host=0001:01:00", ("0001:01:00",)),
        ("01:00.0;01:00.1;0002:03:1f.7", ("0000:01:00.0", "0000:01:00.1", "0002:03:1f.7")),
        ("host=10000:e1:00,rombar=0", ("10000:e1:00",)),
        ("mapping=gpu0,pcie=1", ("0000:01:00",)),
        ("mapping=nobody", ()),
        ("01:00.0 ; 02:00", ()),  # PVE drops these two lines: the machine gets nothing
        ("00:1F.3", ()),
        ("", ()),
        ("none", ()),
        ("host=", ()),
        ("101:00.0,01:00.9", ()),
        ("x01:00", ()),
    ],
)
def test_every_form_of_a_line_names_its_places(text: str, expected: tuple[str, ...]) -> None:
    assert places(text) == expected


def test_a_snapshot_is_no_use_and_pending_is_the_next_start() -> None:
    lines = [
        "hostpci0: 01:00", "[PENDING]", "hostpci1: 02:00", "[before]", "hostpci0: 03:00",
        "[special:cloudinit]", "name: x",
    ]  # fmt: skip
    devices, snapshots = parse_vm(lines, {})
    assert [(each.places, each.is_pending) for each in devices] == [
        (("0000:01:00",), False),
        (("0000:02:00",), True),
    ]
    assert snapshots == ("before",)


def test_a_mapping_is_what_it_is_on_this_node() -> None:
    text = """gpu0
\tdescription my card
\tmap id=10de:2d04,iommugroup=12,node=pve1,path=0000:01:00,subsystem-id=10b0:205e
\tmap id=10de:2d04,node=pve2,path=0000:41:00
\tmdev 0

nic
\tmap id=8086:1520,node=pve1,path=0000:02:00.0;0000:02:00.1
"""
    lines = list(mapping_lines(text.splitlines()))
    assert "my card" not in "".join(lines)
    assert parse_mappings(lines, "pve1") == {
        "gpu0": ("0000:01:00",),
        "nic": ("0000:02:00.0", "0000:02:00.1"),
    }
    assert parse_mappings(lines, "pve2") == {"gpu0": ("0000:41:00",), "nic": ()}


@pytest.mark.parametrize(
    ("line", "nodes"),
    [
        ("dev0: /dev/dri/renderD128,gid=104", ("/dev/dri/renderD128",)),
        ("dev1: path=/dev/nvidia0,mode=0666", ("/dev/nvidia0",)),
        ("dev0: /dev/ttyUSB0", ()),
        ("lxc.mount.entry: /dev/dri dev/dri none bind,optional,create=dir", ("/dev/dri/*",)),
        ("lxc.mount.entry = /dev/nvidiactl dev/nvidiactl none bind", ("/dev/nvidia*",)),
        ("lxc.mount.entry: /dev/kfd dev/kfd none bind", ("/dev/kfd",)),
        ("lxc.mount.entry: /srv/private srv none bind", ()),
        ("lxc.cgroup2.devices.allow: c 226:128 rwm", ("/dev/dri/renderD128",)),
        ("lxc.cgroup.devices.allow: c 226:0 rwm", ("/dev/dri/card0",)),
        ("lxc.cgroup2.devices.allow: c 226:* rwm", ("/dev/dri/*",)),
        ("lxc.cgroup2.devices.allow: c 195:* rwm", ("/dev/nvidia*",)),
        ("lxc.cgroup2.devices.allow: c 195:255 rwm", ("/dev/nvidia*",)),
        ("lxc.cgroup2.devices.allow: c 195:1 rw", ("/dev/nvidia1",)),
        ("lxc.cgroup2.devices.allow: c 116:* rwm", ("/dev/snd/*",)),
        ("lxc.cgroup2.devices.allow: a", ()),
        ("lxc.cgroup2.devices.allow: c 10:200 rwm", ()),
        ("net0: name=eth0", ()),
    ],
)
def test_every_way_to_give_a_container_a_node(line: str, nodes: tuple[str, ...]) -> None:
    kept = list(container_lines([line]))
    assert kept == ([line] if nodes else [])
    assert [each.nodes for each in parse_container(kept)] == ([nodes] if nodes else [])


def test_a_snapshot_of_a_container_is_no_use() -> None:
    assert parse_container(["[before]", "dev0: /dev/dri/card0"]) == ()


LINE = st.one_of(
    st.text(max_size=60),
    st.builds(
        "{}: {}".format,
        st.sampled_from(["hostpci0", "hostpci15", "dev0", "lxc.mount.entry"]),
        st.text("0123456789abcdef:.;,=/ hostmapinge*", max_size=60),
    ),
    st.builds("[{}]".format, st.text(max_size=10)),
    st.builds("\tmap {}".format, st.text("nodepathi=,:.;0123456789abcdef ", max_size=60)),
)


@settings(deadline=None)
@given(st.lists(LINE, max_size=12))
def test_no_configuration_stops_the_reader_and_reading_twice_is_reading_once(
    lines: list[str],
) -> None:
    for keep in (vm_lines, container_lines, mapping_lines):
        once = list(keep(lines))
        assert list(keep(once)) == once
    devices, _ = parse_vm(vm_lines(lines), parse_mappings(mapping_lines(lines), "pve1"))
    assert parse_vm(lines, parse_mappings(lines, "pve1"))[0] == devices
    assert parse_container(container_lines(lines)) == parse_container(lines)
    for device in devices:
        assert all(place.count(":") == 2 for place in device.places)


@settings(deadline=None, max_examples=25)
@given(st.binary(max_size=80), st.text(max_size=40))
def test_no_file_of_pve_stops_the_program(content: bytes, other: str) -> None:
    host = RecordedHost()
    with_guest(host, 101, content.decode("utf-8", "replace"), pid=4101)
    with_guest(host, 200, other, kind="lxc", pid=1)
    host.with_file("/etc/pve/mapping/pci.cfg", other)
    host.with_file("/run/qemu-server/pci-id-reservations", other)
    run_checks(host.facts(), SLOT)


# what a check makes of it


def test_a_machine_that_runs_with_what_the_host_still_has_is_stopped_first(
    guide: RecordedHost,
) -> None:
    with_guest(guide, 101, "hostpci0: 01:00,pcie=1\n", pid=4101)
    assert blocked(guide) == [("in-use-by-guest", SLOT)]
    (found,) = findings(guide, "in-use-by-guest")
    assert (found.params["guest"], found.params["stop"]) == ("VM 101", "qm shutdown 101")
    assert found.consent == ""
    with pytest.raises(ToolError, match="claim-refused"):
        claim_step(guide.facts(), SLOT)


def test_a_machine_that_runs_with_what_left_the_host_already_is_as_it_should_be(
    guide: RecordedHost,
) -> None:
    with_guest(on_vfio(claimed(guide)), 101, "hostpci0: 01:00,pcie=1\n", pid=4101)
    guide.data["holders"]["/dev/vfio/8"] = ["kvm[4101]"]
    assert blocked(guide) == []
    assert [each.outcome for each in findings(guide, "in-use-by-guest")] == [Outcome.HOLDS]


def test_a_stopped_machine_is_told_and_hinders_nothing(guide: RecordedHost) -> None:
    with_guest(guide, 101, "hostpci0: 0000:01:00.0\n[old]\nhostpci0: 01:00\n")
    assert blocked(guide) == []
    assert [each.level for each in findings(guide, "set-for-guest")] == [Level.NOTICE]
    assert [each.evidence for each in findings(guide, "set-in-snapshot")] == [("old",)]


def test_a_pid_file_of_a_machine_that_was_killed_proves_nothing(guide: RecordedHost) -> None:
    with_guest(guide, 101, "hostpci0: 01:00\n", pid=4101)
    assert blocked(guide.with_file("/proc/4101/comm", "nginx\n")) == []
    assert blocked(guide.without("/proc/4101/comm")) == []


def test_whether_a_machine_runs_that_cannot_be_read_counts_as_running(guide: RecordedHost) -> None:
    with_guest(guide, 101, "hostpci0: 01:00\n", pid=4101).unreadable("/run/qemu-server/101.pid")
    assert blocked(guide) == [("in-use-by-guest", SLOT)]


def test_what_waits_for_the_next_start_is_not_in_use(guide: RecordedHost) -> None:
    with_guest(guide, 101, "hostpci0: 02:00\n[PENDING]\nhostpci1: 01:00\n", pid=4101)
    assert blocked(guide) == []


def test_a_reservation_says_what_a_machine_was_started_with(guide: RecordedHost) -> None:
    with_guest(guide, 101, "hostpci0: 05:00\n", pid=4101)
    text = "0000:01:00.0 101 pid:4101\n0000:02:00.0 102 pid:9\n"
    guide.with_file("/run/qemu-server/pci-id-reservations", text)
    assert blocked(guide) == [("in-use-by-guest", SLOT)]


@pytest.mark.parametrize("text", ["02:00", "0001:01:00", "00:01", "00:10", "10:00", "1:00"])
def test_an_address_that_looks_alike_is_another(guide: RecordedHost, text: str) -> None:
    """Tools that search for the text ``01:00`` find it in ``0001:00`` and in others."""
    with_guest(guide, 101, f"hostpci0: {text}\n", pid=4101)
    assert blocked(guide) == []


def test_a_machine_with_a_stranger_of_the_group_is_stopped_first(guide: RecordedHost) -> None:
    with_guest(guide.with_group("0000:00:1b.0", 8), 102, "hostpci0: 00:1b\n", pid=4102)
    assert ("in-use-by-guest", "0000:00:1b.0") in blocked(guide)


def test_one_machine_may_have_the_whole_group(guide: RecordedHost) -> None:
    on_vfio(claimed(guide.with_group("0000:00:1b.0", 8), SLOT, "0000:00:1b"))
    with_guest(guide, 101, "hostpci0: 01:00\nhostpci1: 00:1b\n", pid=4101)
    assert blocked(guide) == []


def test_a_machine_that_nobody_configured_is_seen_by_the_node_it_holds(
    guide: RecordedHost,
) -> None:
    guide.data["holders"]["/dev/vfio/8"] = ["qemu-system-x86[77]"]
    assert blocked(guide) == [("group-open", SLOT)]
    assert blocked(on_vfio(guide)) == []


def with_card_node(host: RecordedHost, node: str = "renderD129") -> RecordedHost:
    return with_class_device(host, "drm", node, f"pci0000:00/0000:00:08.0/{VGA}/drm/{node}")


def test_a_running_container_with_the_card_is_stopped_first(guide: RecordedHost) -> None:
    with_guest(with_card_node(guide), 200, "dev0: /dev/dri/renderD129\n", kind="lxc", pid=1)
    assert blocked(guide) == [("in-use-by-guest", SLOT)]
    assert findings(guide, "in-use-by-guest")[0].params["stop"] == "pct shutdown 200"


def test_a_stopped_container_is_told(guide: RecordedHost) -> None:
    with_guest(with_card_node(guide), 200, "dev0: /dev/dri/renderD129\n", kind="lxc")
    assert blocked(guide) == []
    assert [each.params["guest"] for each in findings(guide, "set-for-guest")] == ["CT 200"]


def test_a_container_with_any_card_has_this_one_only_if_there_is_no_other(
    guide: RecordedHost,
) -> None:
    config = "lxc.cgroup2.devices.allow: c 226:* rwm\n"
    with_guest(with_card_node(guide), 200, config, kind="lxc", pid=1)
    assert blocked(guide) == []  # card0 is the boot display's
    guide.data["directories"]["/sys/class/drm"] = ["renderD129"]
    assert blocked(guide) == [("in-use-by-guest", SLOT)]


def test_another_node_is_another_card(guide: RecordedHost) -> None:
    with_guest(with_card_node(guide), 200, "dev0: /dev/dri/renderD128\n", kind="lxc", pid=1)
    assert blocked(guide) == []


def test_guests_that_cannot_be_read_are_told_as_not_measured(guide: RecordedHost) -> None:
    guide.unreadable("/etc/pve/qemu-server")
    assert [each.outcome for each in findings(guide, "guest-use")] == [Outcome.NOT_MEASURED]


def test_a_capture_holds_nothing_else_of_a_guest() -> None:
    lines = ["name: secret", "cipassword: $5$x", "#note", "hostpci0: 01:00", "sshkeys: ssh-rsa%20A"]
    assert list(vm_lines(lines)) == ["hostpci0: 01:00"]
    assert list(container_lines([*lines, "mp0: /srv/x,mp=/x"])) == []
