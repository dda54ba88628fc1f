"""Which PCI function each network interface hangs on, and what the host needs it for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..model.address import last_function_in
from ..model.pci import Use, UseKind
from .disks import NETWORK_DISKS, mounts
from .look import Look
from .routes import Routes

COROSYNC = "/etc/pve/corosync.conf"
SOCKETS = ("/proc/net/tcp", "/proc/net/tcp6")
_MAX_STACK_DEPTH = 8
# ssh, and the web interface with its shell (/usr/share/perl5/PVE/Service/pveproxy.pm)
_WAYS_IN = {0x16: "ssh", 0x1F46: "pveproxy"}
_ESTABLISHED = "01"  # include/net/tcp_states.h
_RING = re.compile(r"\s*ring\d+_addr:\s*(\S+)\s*")
_SERVER = re.compile(r"(?:^|,)(?:addr|mon_addr)=([0-9A-Fa-f.:]+)")
_MAPPED = 0xFFFF << 32  # ::ffff:0:0, an IPv4 address in an IPv6 socket
_IDLE = {"", "down", "notpresent", "lowerlayerdown", "unknown"}


def read_networks(look: Look) -> Iterator[tuple[str, Use]]:
    """(function, interface with what hangs on it). An interface that is up is in use."""
    routes = Routes(look)
    needed = _needed(look, routes)
    above = _Stack(look)
    for node in above.nodes:
        address = last_function_in(above.nodes[node])
        if address is None:
            continue
        stack = above.of(node)
        state = look.text(f"/sys/class/net/{node}/operstate") or ""
        reasons = [why for name in stack for why in needed.get(name, ())]
        masters = [f"port of {name}" for name in stack[1:2]]
        detail = ", ".join(dict.fromkeys(filter(None, (state, *masters, *reasons))))
        critical = bool(masters or reasons) or state not in _IDLE
        yield address, Use(kind=UseKind.NETWORK, name=node, detail=detail, critical=critical)


class _Stack:
    """Interfaces, and the bridges, bonds and VLANs that are made of them."""

    def __init__(self, look: Look) -> None:
        self._look = look
        names = look.names("/sys/class/net")
        self.nodes = {node: look.link(f"/sys/class/net/{node}") or "" for node in names}
        self._vlans: dict[str, list[str]] = {}
        for line in (look.text("/proc/net/vlan/config") or "").splitlines():
            words = [word.strip() for word in line.split("|")]
            if len(words) == 3:  # noqa: PLR2004  (name, number, parent)
                self._vlans.setdefault(words[2], []).append(words[0])

    def of(self, node: str) -> list[str]:
        """The interface itself, then everything above it."""
        found, todo = [node], [node]
        for _ in range(_MAX_STACK_DEPTH):
            todo = [each for name in todo for each in self._directly(name) if each not in found]
            found += dict.fromkeys(todo)
        return found

    def _directly(self, node: str) -> list[str]:
        known = node in self.nodes
        master = self._look.link_name(f"/sys/class/net/{node}/master") if known else None
        return [*([master] if master else []), *self._vlans.get(node, ())]


def _needed(look: Look, routes: Routes) -> dict[str, list[str]]:
    """Interface -> what would be lost with it."""
    found: dict[str, list[str]] = {name: ["default route"] for name in sorted(routes.default)}
    for why, number, bits in peers(look):
        interface = routes.interface_to(number, bits)
        if interface and why not in found.setdefault(interface, []):
            found[interface].append(why)
    return found


def peers(look: Look) -> Iterator[tuple[str, int, int]]:
    """(why, address as a number, its bits) of all that the host has to reach."""
    yield from _sessions(look)
    yield from _rings(look)
    yield from _servers(look)


def _sessions(look: Look) -> Iterator[tuple[str, int, int]]:
    """Both ends of every open session: the way back to the person, and the address asked for."""
    for path in SOCKETS:
        for line in look.lines(path, _ways_in) or ():
            local, _, port = line.split()[1].partition(":")
            remote = line.split()[2].partition(":")[0]
            for text in (remote, local):
                number, bits = address_in(text)
                yield f"{_WAYS_IN[int(port, 16)]} session", number, bits


def _ways_in(lines: Iterable[str]) -> Iterator[str]:
    """Of the kernel's tables of sockets, the sessions of whoever administers this host."""
    end = "(?:[0-9A-F]{8}|[0-9A-F]{32}):[0-9A-F]{4}"
    row = re.compile(rf"\s*(\d+:) ({end}) ({end}) {_ESTABLISHED}\b.*")
    for line in lines:
        match = row.fullmatch(line)
        if match and int(match[2].partition(":")[2], 16) in _WAYS_IN:
            yield f"{match[1]} {match[2]} {match[3]} {_ESTABLISHED}"


def address_in(text: str) -> tuple[int, int]:
    """net/ipv4/tcp_ipv4.c, net/ipv6/tcp_ipv6.c: words of 32 bits, each as it lies in memory."""
    words = [int.from_bytes(bytes.fromhex(text[at : at + 8]), "little") for at in (0, 8, 16, 24)]
    if len(text) <= 8:  # noqa: PLR2004
        return words[0], 32
    number = words[0] << 96 | words[1] << 64 | words[2] << 32 | words[3]
    return (number & 0xFFFFFFFF, 32) if number >> 32 << 32 == _MAPPED else (number, 128)


def _rings(look: Look) -> Iterator[tuple[str, int, int]]:
    """Addresses of all nodes: one's own and those of the others are in the same networks."""

    def rings(lines: Iterable[str]) -> Iterator[str]:
        return (line for line in lines if _RING.fullmatch(line))

    for line in look.lines(COROSYNC, rings) or ():
        match = _RING.fullmatch(line)
        yield from _parsed("corosync", match[1] if match else "")


def _servers(look: Look) -> Iterator[tuple[str, int, int]]:
    """Servers of what is mounted over the network, and of iSCSI disks."""
    for _, _, kind, options in mounts(look):
        match = _SERVER.search(options) if kind in NETWORK_DISKS else None
        yield from _parsed(kind, match[1] if match else "")
    for name in look.names("/sys/class/iscsi_connection"):
        text = look.text(f"/sys/class/iscsi_connection/{name}/persistent_address")
        yield from _parsed("iSCSI", text or "")


def _parsed(why: str, text: str) -> Iterator[tuple[str, int, int]]:
    """Nothing for a name: who that is only the network knows."""
    if not text:
        return
    import ipaddress

    try:
        address = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return
    yield why, int(address), address.max_prefixlen
