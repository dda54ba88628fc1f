"""What makes a disk or a network interface one that the host cannot lose, layer by layer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostpci.facts.look import Look
from hostpci.facts.routes import Routes
from hostpci.host.capture import CaptureRoot
from hostpci.model.pci import Use, UseKind

from ..hosts import VGA, RecordedHost
from .support import with_block, with_class_device, with_mounts

SATA, VIRTIO_DISK = "0000:00:1f.2", "0000:00:03.0"
SDA = f"pci0000:00/{SATA}/ata1/host0/target0:0:0/0:0:0:0/block/sda"
SDB = SDA.replace("sda", "sdb").replace("ata1", "ata2")
HEAD = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
NO_WHERE = "0" * 32


def uses(host: RecordedHost, address: str, kind: UseKind) -> list[Use]:
    found = host.facts().inventory.function(address)
    assert found is not None
    return [use for use in found.uses if use.kind is kind]


def with_disks(host: RecordedHost) -> RecordedHost:
    for node, path in (("sda", SDA), ("sda3", f"{SDA}/sda3"), ("sdb", SDB)):
        with_block(host, node, path)
    return host


# disks


def with_pool(host: RecordedHost, *lines: str) -> RecordedHost:
    text = "".join(f"{line}\n" for line in lines)
    host.data["commands"].append({"argv": ["zpool", "list", "-vHPL"], "stdout": text})
    host.data["exists"]["/proc/spl/kstat/zfs"] = True
    host.data["errors"].pop("/proc/spl/kstat/zfs", None)
    host.data["directories"]["/proc/spl/kstat/zfs"] = ["arcstats", "tank"]
    return host


def test_members_of_a_pool_are_those_that_zpool_names(guide: RecordedHost) -> None:
    """Also of a pool of which nothing is mounted, as for volumes of virtual machines."""
    with_pool(with_disks(guide), "tank\t464G\tONLINE", "\tmirror-0\t464G", "\t/dev/sda3\t464G")
    by_name = {use.name: use for use in uses(guide, SATA, UseKind.DISK)}
    assert (by_name["sda"].detail, by_name["sda"].critical) == ("ZFS tank", True)
    assert not by_name["sdb"].critical


def test_what_stands_between_the_devices_of_a_pool_is_no_pool(guide: RecordedHost) -> None:
    """zpool_main.c print_list_stats: the heading of a class begins where a pool's name does."""
    lines = [
        "tank\t464G\tONLINE",
        "\t/dev/sda3\t464G",
        "logs      -      -      -",
        "\t/dev/sdb\t1G",
    ]
    with_pool(with_disks(guide), *lines)
    by_name = {use.name: use.detail for use in uses(guide, SATA, UseKind.DISK)}
    assert (by_name["sda"], by_name["sdb"]) == ("ZFS tank", "ZFS tank")


def test_where_zpool_cannot_be_asked_any_disk_may_be_a_member(guide: RecordedHost) -> None:
    with_pool(with_disks(guide)).data["commands"].pop()
    assert all(use.critical for use in uses(guide, SATA, UseKind.DISK))
    assert uses(guide, SATA, UseKind.DISK)[0].detail == "ZFS arcstats?"


def test_a_disk_that_a_process_holds_open_is_in_use(guide: RecordedHost) -> None:
    """A whole disk given to a virtual machine by its path is mounted nowhere."""
    with_disks(guide).data["holders"] = {"/dev/sdb": ["kvm[4101]"]}
    by_name = {use.name: use for use in uses(guide, SATA, UseKind.DISK)}
    assert (by_name["sdb"].detail, by_name["sdb"].critical) == ("open in kvm[4101]", True)
    assert not by_name["sda"].critical


def test_udev_looking_into_a_disk_does_not_use_it(guide: RecordedHost) -> None:
    names = ["(udev-worker)[7]", "systemd-udevd[8]"]
    with_disks(guide).data["holders"] = {"/dev/sdb": names}
    assert not any(use.critical for use in uses(guide, SATA, UseKind.DISK))


def test_the_caching_device_of_bcache_is_in_use(guide: RecordedHost) -> None:
    with_block(with_disks(guide), "bcache0", "virtual/block/bcache0", slaves=("sda3",))
    with_mounts(guide, "/dev/bcache0 / ext4 rw 0 0")
    guide.data["exists"]["/sys/class/block/sdb/bcache"] = True
    assert all(use.critical for use in uses(guide, SATA, UseKind.DISK))


def test_a_share_named_like_a_disk_is_no_disk(guide: RecordedHost) -> None:
    with_mounts(with_disks(guide), "10.0.0.9:/sda /mnt/a nfs4 rw,addr=10.0.0.9 0 0")
    assert not any(use.critical for use in uses(guide, SATA, UseKind.DISK))


# networks


def with_nic(host: RecordedHost, node: str = "eth7", state: str = "down") -> RecordedHost:
    with_class_device(host, "net", node, f"pci0000:00/0000:00:08.0/{VGA}/net/{node}")
    host.with_file(f"/sys/class/net/{node}/operstate", f"{state}\n")
    host.without(f"/sys/class/net/{node}/master")
    return host


def with_routes(host: RecordedHost, *rows: tuple[str, str, str]) -> RecordedHost:
    """(interface, destination, mask) as the kernel prints them."""
    lines = [f"{name}\t{to}\t00000000\t0001\t0\t0\t0\t{mask}\n" for name, to, mask in rows]
    return host.with_file("/proc/net/route", HEAD + "".join(lines))


def nic(host: RecordedHost, address: str = VGA) -> Use:
    (found,) = uses(host, address, UseKind.NETWORK)
    return found


def test_a_default_route_of_ipv6_alone_is_one(guide: RecordedHost) -> None:
    with_routes(with_nic(guide))
    line = f"{NO_WHERE} 00 {NO_WHERE} 00 fe80000000000000{'0' * 16} 400 1 0 3 eth7\n"
    guide.with_file("/proc/net/ipv6_route", line)
    assert (nic(guide).detail, nic(guide).critical) == ("down, default route", True)


def test_the_unreachable_default_route_of_lo_is_none(guide: RecordedHost) -> None:
    line = f"{NO_WHERE} 00 {NO_WHERE} 00 {NO_WHERE} ffffffff 1 0 200200 lo\n"
    guide.with_file("/proc/net/ipv6_route", line)
    assert "lo" not in Routes(Look(CaptureRoot(guide.data))).default


def test_the_default_route_on_a_vlan_of_a_bond_needs_the_card(guide: RecordedHost) -> None:
    with_routes(with_nic(guide), ("bond0.10", "00000000", "00000000"))
    guide.with_link("/sys/class/net/eth7/master", "../../../virtual/net/bond0")
    config = "VLAN Dev name\t | VLAN ID\nName-Type: x\nbond0.10       | 10  | bond0\n"
    guide.with_file("/proc/net/vlan/config", config).without("/proc/net/tcp")
    assert nic(guide).detail == "down, port of bond0, default route"


SSH_V4 = "   0: 0A02A8C0:0016 6402A8C0:D431 01 00000000:00000000 02:000A 00 0 0 20 4 ffff 20\n"
SSH_V6 = (
    "   0: 0000000000000000FFFF00000A02A8C0:1F46 0000000000000000FFFF00006402A8C0:D431 01 "
    "00000000:00000000 02:000A 00000000 0 0 20 4 ffff 20\n"
)


@pytest.mark.parametrize(
    ("path", "line", "why"),
    [
        ("/proc/net/tcp", SSH_V4, "ssh session"),
        ("/proc/net/tcp6", SSH_V6, "pveproxy session"),
    ],
)
def test_the_session_one_works_through_needs_its_interface(
    guide: RecordedHost, path: str, line: str, why: str
) -> None:
    with_routes(
        with_nic(guide),
        ("enp0s4", "00000000", "00000000"),
        ("eth7", "0002A8C0", "00FFFFFF"),
    )
    guide.with_file(path, line)
    assert nic(guide).detail == f"down, {why}"
    assert nic(guide).critical


def test_other_sessions_do_not_count(guide: RecordedHost) -> None:
    with_routes(with_nic(guide), ("eth7", "0002A8C0", "00FFFFFF"))
    for line in (
        SSH_V4.replace(":0016", ":0050"), SSH_V4.replace(" 01 ", " 06 "), "  sl  local_address\n",
        SSH_V4.replace("0A02A8C0", "0A0BA8C0").replace("6402A8C0", "640BA8C0"),
        SSH_V4.replace("0A02A8C0", "0A02A8C"), SSH_V6.replace("FFFF0000", "FFFF000"),
    ):  # fmt: skip
        assert not nic(guide.with_file("/proc/net/tcp", line)).critical


def test_the_longest_prefix_says_which_way_a_session_goes(guide: RecordedHost) -> None:
    with_routes(
        with_nic(guide),
        ("eth7", "0000A8C0", "0000FFFF"),
        ("enp0s4", "0002A8C0", "00FFFFFF"),
    )
    assert not nic(guide.with_file("/proc/net/tcp", SSH_V4)).critical


@pytest.mark.parametrize("path", ["/etc/pve/corosync.conf"])
def test_a_ring_of_corosync_needs_its_interface(guide: RecordedHost, path: str) -> None:
    with_routes(with_nic(guide), ("eth7", "0002A8C0", "00FFFFFF"))
    text = "nodelist {\n  node {\n    name: pve1\n    ring0_addr: 192.168.2.11\n"
    guide.with_file(path, f"{text}    ring1_addr: pve1-b\n  }}\n}}\n")
    assert nic(guide).detail == "down, corosync"


def test_what_is_mounted_over_the_network_needs_the_interface(guide: RecordedHost) -> None:
    with_routes(with_nic(guide), ("eth7", "0002A8C0", "00FFFFFF"))
    with_mounts(guide, "nas:/a /mnt/pve/a nfs4 rw,vers=4.2,addr=192.168.2.9 0 0")
    assert nic(guide).detail == "down, nfs4"


def test_an_iscsi_disk_needs_the_interface_to_its_portal(guide: RecordedHost) -> None:
    with_routes(with_nic(guide), ("eth7", "0002A8C0", "00FFFFFF"))
    guide.data["errors"].pop("/sys/class/iscsi_connection")
    guide.data["directories"]["/sys/class/iscsi_connection"] = ["connection1:0"]
    guide.with_file("/sys/class/iscsi_connection/connection1:0/persistent_address", "192.168.2.9\n")
    assert nic(guide).detail == "down, iSCSI"


@settings(deadline=None)
@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=200))
def test_tables_that_say_anything_never_stop_a_reader(v4: str, v6: str, tcp: str) -> None:
    host = RecordedHost()
    host.data["files"]["/proc/net/route"] = v4
    host.data["files"]["/proc/net/ipv6_route"] = v6
    host.data["files"]["/proc/net/tcp"] = tcp
    host.data["files"]["/etc/pve/corosync.conf"] = tcp
    host.data["files"]["/proc/net/vlan/config"] = v6
    Routes(Look(CaptureRoot(host.data))).interface_to(1, 32)
    assert nic(host, "0000:00:04.0").name == "enp0s4"
