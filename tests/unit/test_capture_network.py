"""A capture says which interface is needed for what, and in nobody's own addresses."""

from __future__ import annotations

import json

import pytest

from hostpci.facts.capture import make_capture
from hostpci.facts.collect import collect
from hostpci.host.capture import CaptureRoot
from hostpci.host.runner import ReplayRunner
from hostpci.model.journal import History

from ..hosts import VGA, RecordedHost
from .support import with_class_device, with_mounts

HEAD = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
# 192.168.2.10 to 192.168.2.100, through 192.168.2.0/24 on eth7
SSH = "   0: 0A02A8C0:0016 6402A8C0:D431 01 00000000:00000000 02:000A 00 0 0 20 4 ffff 20\n"
V6_LOCAL, V6_REMOTE = "0120FD200000000000000000AA000000", "0120FD200000000000000000BB000000"


@pytest.fixture
def needed(guide: RecordedHost) -> RecordedHost:
    with_class_device(guide, "net", "eth7", f"pci0000:00/0000:00:08.0/{VGA}/net/eth7")
    guide.with_file("/sys/class/net/eth7/operstate", "up\n")
    guide.without("/sys/class/net/eth7/master")
    rows = "enp0s4\t00000000\t0102000A\t0003\t0\t0\t0\t00000000\n"
    rows += "eth7\t0002A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n"
    guide.with_file("/proc/net/route", HEAD + rows).with_file("/proc/net/tcp", SSH)
    guide.with_file("/etc/pve/corosync.conf", "  ring0_addr: 192.168.2.11\n")
    return with_mounts(guide, "nas:/a /mnt/a nfs4 rw,addr=192.168.2.9 0 0")


def replayed(host: RecordedHost) -> tuple[str, RecordedHost]:
    capture = make_capture(CaptureRoot(host.data), host.runner(), History(runs=()))
    host.data = capture
    return json.dumps(capture), host


def details(host: RecordedHost) -> dict[str, tuple[str, bool]]:
    facts = collect(CaptureRoot(host.data), ReplayRunner(host.data["commands"]))
    return {
        use.name: (use.detail, use.critical)
        for each in facts.inventory.functions
        for use in each.uses
        if use.kind == "network"
    }


def test_the_same_interfaces_are_needed_for_the_same_reasons(needed: RecordedHost) -> None:
    before = details(needed)
    assert before["eth7"] == ("up, ssh session, corosync, nfs4", True)
    _, again = replayed(needed)
    assert details(again) == before


def test_no_address_of_the_host_is_in_it(needed: RecordedHost) -> None:
    text, _ = replayed(needed)
    for secret in ("192.168.2", "A8C0", "0102000A", ":D431"):
        assert secret not in text, secret


def test_addresses_of_ipv6_are_hidden_too(needed: RecordedHost) -> None:
    line = f"   0: {V6_LOCAL}:0016 {V6_REMOTE}:D431 01 0:0 0:0 0 0 0 1 1\n"
    prefix = "20fd2001" + "0" * 24
    routes = f"{prefix} 40 {'0' * 32} 00 {'0' * 32} 100 1 0 1 eth7\n"
    routes += f"{'0' * 32} 00 {'0' * 32} 00 fe8{'0' * 28}1 400 1 0 3 eth7\n"
    needed.with_file("/proc/net/tcp", "").with_file("/proc/net/tcp6", line)
    before = details(needed.with_file("/proc/net/ipv6_route", routes))
    assert before["eth7"][0] == "up, default route, ssh session, corosync, nfs4"
    text, again = replayed(needed)
    assert details(again) == before
    assert "20fd2001" not in text
    assert "0120FD20" not in text
