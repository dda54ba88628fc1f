"""Health checks: does the host do what it is there for? Read, never guessed.

Each answers with its evidence; what could not be measured is no "yes".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence

from ..errors import EnvironmentFault
from ..host.network import answers_arp
from ..host.root import Root
from ..host.runner import Runner
from ..model.trial import Answer, Health
from .look import Look

# include/uapi/linux/route.h: RTF_UP | RTF_GATEWAY; include/net/tcp_states.h: TCP_LISTEN
_UP_AND_GATEWAY = 0x3
_RTF_REJECT = 0x200
_LISTENING = "0A"
_ETHERNET = "1"  # ARPHRD_ETHER in /sys/class/net/*/type
_SSH_PORT = re.compile(r"\s*Port\s+(\d+)\s*$", re.IGNORECASE)
_PVEPROXY_PORT = 8006
_STATUS_TIMEOUT_S = 60
_NOT_MOUNTED = {"swap", "none"}


def read_health(root: Root, runner: Runner, wanted: Sequence[Health]) -> tuple[Answer, ...]:
    """One answer for each check that was asked for."""
    return tuple(_READERS[each](Look(root), runner) for each in wanted)


def _answer(health: Health, holds: bool | None, evidence: str) -> Answer:  # noqa: FBT001
    return Answer(health=health, holds=holds, evidence=evidence)


def _default_route(look: Look, _runner: Runner) -> Answer:
    """A default route over an interface with a carrier, and a gateway that answers ARP."""
    health = Health.DEFAULT_ROUTE
    table = look.raw("/proc/net/route")
    if table is None:
        return _answer(health, None, "/proc/net/route")
    routes = list(_default_routes(table)) or list(_default_routes_6(look))
    if not routes:
        return _answer(health, False, "no default route")  # noqa: FBT003
    interface, gateway = routes[0]
    evidence = f"{interface} {gateway}".strip()
    if look.text(f"/sys/class/net/{interface}/carrier") != "1":
        return _answer(health, False, f"{evidence}: no carrier")  # noqa: FBT003
    if not gateway or look.text(f"/sys/class/net/{interface}/type") != _ETHERNET:
        return _answer(health, True, evidence)  # noqa: FBT003
    if look.root.is_live and not answers_arp(gateway, lambda: look.raw("/proc/net/arp") or ""):
        return _answer(health, False, f"{evidence}: no answer to ARP")  # noqa: FBT003
    return _answer(health, True, evidence)  # noqa: FBT003


def _default_routes(table: str) -> Iterator[tuple[str, str]]:
    """(interface, gateway) of /proc/net/route; addresses there are in host byte order."""
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) > 7 and words[1] == words[7] == "00000000":  # noqa: PLR2004
            flags = int(words[3], 16)
            if flags & 1 and not flags & _RTF_REJECT:
                octets = bytes.fromhex(words[2])[::-1]
                has_gateway = flags & _UP_AND_GATEWAY == _UP_AND_GATEWAY
                yield words[0], ".".join(map(str, octets)) if has_gateway else ""


def _default_routes_6(look: Look) -> Iterator[tuple[str, str]]:
    for line in (look.raw("/proc/net/ipv6_route") or "").splitlines():
        words = line.split()
        is_default = len(words) > 9 and words[0] == "0" * 32 and words[1] == "00"  # noqa: PLR2004
        if is_default and words[9] != "lo" and not int(words[8], 16) & _RTF_REJECT:
            yield words[9], ""


def _listening_ports(look: Look) -> set[int] | None:
    tables = [look.raw("/proc/net/tcp"), look.raw("/proc/net/tcp6")]
    if tables[0] is None:
        return None
    rows = [line.split() for table in tables for line in (table or "").splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3:4] == [_LISTENING]}


def _listens(look: Look, health: Health, ports: set[int]) -> Answer:
    open_ports = _listening_ports(look)
    if open_ports is None:
        return _answer(health, None, "/proc/net/tcp")
    found = sorted(ports & open_ports)
    evidence = ", ".join(f"port {port}" for port in found or sorted(ports))
    return _answer(health, bool(found), evidence)


def _ssh(look: Look, _runner: Runner) -> Answer:
    """Somebody listens where sshd is told to; 22 where nothing is said."""
    names = [
        f"/etc/ssh/sshd_config.d/{name}"
        for name in look.names("/etc/ssh/sshd_config.d")
        if name.endswith(".conf")
    ]
    ports = {
        int(match[1])
        for path in ("/etc/ssh/sshd_config", *names)
        for line in (look.raw(path) or "").splitlines()
        if (match := _SSH_PORT.match(line))
    }
    return _listens(look, Health.SSH, ports or {22})


def _pveproxy(look: Look, _runner: Runner) -> Answer:
    return _listens(look, Health.PVEPROXY, {_PVEPROXY_PORT})


def _storage(look: Look, runner: Runner) -> Answer:
    """Everything of /etc/fstab that boots with the host is mounted; on PVE every storage active."""
    missing = sorted(_wanted_mounts(look) - _mounted(look))
    if missing:
        return _answer(Health.STORAGE, False, f"not mounted: {', '.join(missing)}")  # noqa: FBT003
    if not look.exists("/usr/sbin/pvesm"):
        return _answer(Health.STORAGE, True, "/etc/fstab")  # noqa: FBT003
    try:
        table = runner.run(["pvesm", "status"], timeout_s=_STATUS_TIMEOUT_S).stdout
    except EnvironmentFault as error:
        return _answer(Health.STORAGE, None, f"pvesm status: {error}")
    # Name Type Status ...: a storage that somebody has switched off says "disabled"
    rows = [line.split() for line in table.splitlines()[1:]]
    idle = [row[0] for row in rows if row[2:3] not in (["active"], ["disabled"])]
    return _answer(Health.STORAGE, not idle, f"pvesm status: {', '.join(idle) or 'active'}")


def _wanted_mounts(look: Look) -> set[str]:
    rows = [line.split("#")[0].split() for line in (look.raw("/etc/fstab") or "").splitlines()]
    return {
        row[1]
        for row in rows
        if len(row) > 3  # noqa: PLR2004
        and row[2] not in _NOT_MOUNTED
        and not {"noauto", "x-systemd.automount"} & set(row[3].split(","))
    }


def _mounted(look: Look) -> set[str]:
    rows = [line.split() for line in (look.raw("/proc/self/mounts") or "").splitlines()]
    return {row[1] for row in rows if len(row) > 1}


def _quorum(look: Look, _runner: Runner) -> Answer:
    """pmxcfs says it in a file of its own; a node without a cluster has no quorum to lose."""
    text = look.raw("/etc/pve/.members")
    try:
        cluster = json.loads(text or "").get("cluster")
    except (ValueError, AttributeError):
        cluster = None
    if not isinstance(cluster, dict):
        return _answer(Health.QUORUM, None, "/etc/pve/.members: no cluster")
    is_quorate = cluster.get("quorate") == 1
    return _answer(Health.QUORUM, is_quorate, "/etc/pve/.members: quorate")


_READERS: dict[Health, Callable[[Look, Runner], Answer]] = {
    Health.DEFAULT_ROUTE: _default_route,
    Health.SSH: _ssh,
    Health.STORAGE: _storage,
    Health.PVEPROXY: _pveproxy,
    Health.QUORUM: _quorum,
}
