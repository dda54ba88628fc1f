"""Health checks: each answers by what it saw, and says when it could not see."""

from __future__ import annotations

import json

import pytest

from hostpci.facts.health import read_health
from hostpci.host.capture import CaptureRoot
from hostpci.host.network import _is_complete
from hostpci.host.runner import RefusingRunner, ReplayRunner, Runner
from hostpci.model.trial import Answer, Health

from ..hosts import RecordedHost

ROUTES = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
DEFAULT = "vmbr0\t00000000\t0202000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
LOCAL = "vmbr0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
REJECT = "vmbr0\t00000000\t00000000\t0201\t0\t0\t0\t00000000\t0\t0\t0\n"
DEFAULT_6 = (
    "0" * 32 + " 00 " + "0" * 32 + " 00 fe800000000000000000000000000001"
    " 00000400 00000001 00000000 00000003 vmbr0\n"
)
NO_ROUTE_6 = "0" * 32 + " 00 " + "0" * 32 + " 00 " + "0" * 32 + " ffffffff 1 0 00200200 lo\n"


def ask(host: RecordedHost, health: Health, runner: Runner | None = None) -> Answer:
    (answer,) = read_health(CaptureRoot(host.data), runner or RefusingRunner(), (health,))
    assert answer.health is health
    return answer


def with_routes(*lines: str, carrier: str = "1", six: str = "") -> RecordedHost:
    host = RecordedHost().with_file("/proc/net/route", ROUTES + "".join(lines))
    host.with_file("/proc/net/ipv6_route", six)
    host.with_file("/sys/class/net/vmbr0/carrier", f"{carrier}\n")
    return host.with_file("/sys/class/net/vmbr0/type", "1\n")


@pytest.mark.parametrize(
    ("host", "holds", "evidence"),
    [
        (with_routes(LOCAL, DEFAULT), True, "vmbr0 10.0.2.2"),
        (with_routes(LOCAL), False, "no default route"),
        (with_routes(REJECT), False, "no default route"),
        (with_routes(DEFAULT, carrier="0"), False, "vmbr0 10.0.2.2: no carrier"),
        (with_routes(six=DEFAULT_6), True, "vmbr0"),
        (with_routes(six=NO_ROUTE_6), False, "no default route"),
    ],
)
def test_the_default_route(host: RecordedHost, holds: bool, evidence: str) -> None:  # noqa: FBT001
    answer = ask(host, Health.DEFAULT_ROUTE)
    assert (answer.holds, answer.evidence) == (holds, evidence)


def test_a_routing_table_that_cannot_be_read_is_no_answer() -> None:
    host = RecordedHost().unreadable("/proc/net/route")
    assert ask(host, Health.DEFAULT_ROUTE).holds is None


def listening(*ports: int, state: str = "0A") -> str:
    rows = [f"   0: 00000000:{port:04X} 00000000:0000 {state} 00000000:00000000" for port in ports]
    return "\n".join(["  sl  local_address rem_address   st tx_queue", *rows, ""])


@pytest.mark.parametrize(
    ("tcp", "config", "holds"),
    [
        (listening(22), "", True),
        (listening(2222), "", False),
        (listening(2222), "Port 2222\n", True),
        (listening(22), "#Port 2222\nPermitRootLogin yes\n", True),
        (listening(22, state="01"), "", False),
    ],
)
def test_ssh(tcp: str, config: str, holds: bool) -> None:  # noqa: FBT001
    host = RecordedHost().with_file("/proc/net/tcp", tcp).with_file("/proc/net/tcp6", "sl\n")
    host.with_file("/etc/ssh/sshd_config", config)
    assert ask(host, Health.SSH).holds is holds


def test_ssh_that_listens_on_ipv6_alone_is_there_too() -> None:
    host = (
        RecordedHost().with_file("/proc/net/tcp", "sl\n").with_file("/proc/net/tcp6", listening(22))
    )
    assert ask(host, Health.SSH).holds


def test_a_port_of_a_drop_in_counts() -> None:
    host = RecordedHost().with_file("/proc/net/tcp", listening(2022))
    host.with_file("/etc/ssh/sshd_config.d/port.conf", "port 2022\n")
    assert ask(host, Health.SSH).holds


def test_pveproxy() -> None:
    assert ask(RecordedHost().with_file("/proc/net/tcp", listening(8006)), Health.PVEPROXY).holds
    assert (
        ask(RecordedHost().with_file("/proc/net/tcp", listening(22)), Health.PVEPROXY).holds
        is False
    )
    assert ask(RecordedHost().unreadable("/proc/net/tcp"), Health.PVEPROXY).holds is None


FSTAB = """\
# a comment
UUID=1 / ext4 errors=remount-ro 0 1
UUID=2 none swap sw 0 0
/dev/sdb1 /data xfs defaults 0 2
/dev/cdrom /media/cdrom udf,iso9660 user,noauto 0 0
"""


def with_mounts(*points: str) -> RecordedHost:
    lines = "".join(f"/dev/x {point} ext4 rw 0 0\n" for point in points)
    host = RecordedHost().with_file("/etc/fstab", FSTAB)
    return host.with_file("/proc/self/mounts", lines)


def test_storage_off_pve_is_what_fstab_mounts() -> None:
    assert ask(with_mounts("/", "/data"), Health.STORAGE).holds
    answer = ask(with_mounts("/"), Health.STORAGE)
    assert (answer.holds, answer.evidence) == (False, "not mounted: /data")


PVESM = """\
Name             Type     Status           Total            Used       Available        %
local             dir     {local}        98497780         9438300        84009932    9.58%
local-lvm     lvmthin     active       832868352       218044134       614824217   26.18%
old               nfs   disabled               0               0               0      N/A
"""


@pytest.mark.parametrize(("state", "holds"), [("active", True), ("inactive", False)])
def test_storage_on_pve_is_what_pvesm_says(state: str, holds: bool) -> None:  # noqa: FBT001
    host = with_mounts("/", "/data").with_file("/usr/sbin/pvesm", "")
    runner = ReplayRunner([{"argv": ["pvesm", "status"], "stdout": PVESM.format(local=state)}])
    answer = ask(host, Health.STORAGE, runner)
    assert answer.holds is holds
    assert ("local" in answer.evidence) is not holds


def test_storage_that_pvesm_does_not_tell_is_no_answer() -> None:
    host = with_mounts("/", "/data").with_file("/usr/sbin/pvesm", "")
    assert ask(host, Health.STORAGE).holds is None


@pytest.mark.parametrize(
    ("members", "holds"),
    [
        ({"nodename": "a", "cluster": {"name": "c", "quorate": 1}}, True),
        ({"nodename": "a", "cluster": {"name": "c", "quorate": 0}}, False),
        ({"nodename": "a", "version": 3}, None),
    ],
)
def test_quorum(members: dict[str, object], holds: bool | None) -> None:  # noqa: FBT001
    host = RecordedHost().with_file("/etc/pve/.members", json.dumps(members))
    assert ask(host, Health.QUORUM).holds is holds


def test_quorum_of_a_host_without_pve_is_no_answer() -> None:
    assert ask(RecordedHost(), Health.QUORUM).holds is None


ARP = """\
IP address       HW type     Flags       HW address            Mask     Device
10.0.2.2         0x1         0x2         52:55:0a:00:02:02     *        vmbr0
10.0.2.3         0x1         0x0         00:00:00:00:00:00     *        vmbr0
"""


def test_a_neighbour_that_never_answered_is_not_complete() -> None:
    assert _is_complete("10.0.2.2", ARP)
    assert not _is_complete("10.0.2.3", ARP)
    assert not _is_complete("10.0.2.4", ARP)
