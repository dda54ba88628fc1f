"""Reads network interfaces, the configuration that names them, and what pins their names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..model.address import last_function_in
from ..model.network import (
    LINK_NAME,
    LINKS_DIRECTORY,
    Interface,
    LinkFile,
    MissingPort,
    NetworkFacts,
)
from .look import Look

INTERFACES = "/etc/network/interfaces"
_INTERFACES_D = "/etc/network/interfaces.d"
_CLASS = "/sys/class/net"
# The order in which systemd lets a file of one name hide another; Proxmox VE 9 pins in the last
_LINK_DIRECTORIES = (LINKS_DIRECTORY, "/usr/local/lib/systemd/network")
_PERSISTENT_RULES = "/etc/udev/rules.d/70-persistent-net.rules"
_ARPHRD_ETHER = "1"
# include/uapi/linux/netdevice.h: the address is the hardware's own
_NET_ADDR_PERM = "0"
_MAC = re.compile(r"[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}", re.IGNORECASE)
_NO_MAC = "00:00:00:00:00:00"
_RULE_MAC = re.compile(r'ATTR\{address\}=="([^"]+)"')
_RULE_NAME = re.compile(r'\bNAME="([^"]+)"')
_ALTERNATIVE = re.compile(r"E:ID_NET_NAME_(?:ONBOARD|SLOT|PATH|MAC)=(\S+)")
# Options of interfaces(5), ifupdown2 and Proxmox VE whose words are interfaces to build upon
_PORT_OPTIONS = {
    "bridge-ports", "bond-slaves", "slaves", "vlan-raw-device", "ovs-ports", "ovs-bonds",
}  # fmt: skip
_NAMING_OPTIONS = {*_PORT_OPTIONS, "bond-primary"}
_NO_NAMES = {"none", "all"}
_PATTERN_WORDS = {"regex", "glob"}
# A stanza with one of these makes its interface itself
_MAKING = {
    "bridge-ports", "bond-slaves", "slaves", "bond-mode", "vlan-raw-device", "vlan-id", "vxlan-id",
    "link-type", "tunnel-mode", "veth-peer-name", "ovs-bonds", "ovs-ports", "vrf-table",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """One mention of an interface in the configuration; ``is_port``: something is built on it."""

    name: str
    where: str
    is_port: bool = False


def read_network(look: Look) -> NetworkFacts:
    nodes = look.names(_CLASS)
    named, made = _interfaces_file(look)
    named = (*named, *_networkd(look))
    pins = dict(_pins(look))
    interfaces = tuple(_interfaces(look, nodes, named, pins))
    known = {*nodes, *made, *(name for each in interfaces for name in each.alternatives)}
    missing = [each for each in named if each.is_port and each.name not in known]
    return NetworkFacts(
        interfaces=interfaces,
        missing=tuple(MissingPort(name=each.name, where=each.where) for each in missing),
        links=read_links(look),
    )


def read_links(look: Look) -> tuple[LinkFile, ...]:
    """Our own files."""
    names = [name for name in look.names(LINKS_DIRECTORY) if LINK_NAME.fullmatch(name)]
    paths = [f"{LINKS_DIRECTORY}/{name}" for name in names]
    return tuple(
        LinkFile(path=path, text=look.raw(path) or "", modified_ns=look.modified_ns(path))
        for path in paths
    )


def _interfaces(
    look: Look, nodes: tuple[str, ...], named: tuple[_Named, ...], pins: dict[str, tuple[str, str]]
) -> Iterator[Interface]:
    for node in nodes:
        address = last_function_in(look.link(f"{_CLASS}/{node}") or "")
        if address is None or not _is_ethernet(look, node):
            continue
        mac = _permanent_mac(look, node)
        others = _alternatives(look, node)
        pinned_by, pinned_to = pins.get(mac or "", ("", ""))
        yield Interface(
            name=node, address=address, mac=mac, alternatives=others,
            # An alternative name moves with the place as the first one does: only ``node`` counts
            references=tuple(each.where for each in named if each.name == node),
            pinned_by=pinned_by, pinned_to=pinned_to,
        )  # fmt: skip


def _is_ethernet(look: Look, node: str) -> bool:
    is_ether = look.text(f"{_CLASS}/{node}/type") == _ARPHRD_ETHER
    return is_ether and not look.exists(f"{_CLASS}/{node}/phy80211")


def _permanent_mac(look: Look, node: str) -> str | None:
    """The address that the hardware brings. A port of a bond shows the bond's instead."""
    of_port = look.text(f"{_CLASS}/{node}/bonding_slave/perm_hwaddr")
    is_own = look.text(f"{_CLASS}/{node}/addr_assign_type") == _NET_ADDR_PERM
    mac = _normal(of_port or (look.text(f"{_CLASS}/{node}/address") if is_own else "") or "")
    return None if mac == _NO_MAC else mac


def _normal(text: str) -> str | None:
    return text.replace("-", ":").lower() if _MAC.fullmatch(text) else None


def _alternatives(look: Look, node: str) -> tuple[str, ...]:
    index = look.text(f"{_CLASS}/{node}/ifindex") or ""
    lines = (look.raw(f"/run/udev/data/n{index}") or "").splitlines() if index.isdecimal() else []
    found = [match[1] for line in lines if (match := _ALTERNATIVE.fullmatch(line))]
    return tuple(name for name in dict.fromkeys(found) if name != node)


# the configuration


def _interfaces_file(look: Look) -> tuple[tuple[_Named, ...], set[str]]:
    """Every mention, and the names of interfaces that the configuration itself makes."""
    named: list[_Named] = []
    made: set[str] = set()
    for path in (INTERFACES, *(f"{_INTERFACES_D}/{name}" for name in look.names(_INTERFACES_D))):
        stanza = ""
        for number, words in _statements(look.raw(path) or ""):
            option = words[0].replace("_", "-")
            stanza = words[1] if option == "iface" and len(words) > 1 else stanza
            named += _mentions(option, words[1:], f"{path}:{number}")
            if option in _MAKING or words[-1] == "OVSIntPort":
                made.add(stanza)
            if option in {"pre-up", "up"} and {"add", "addbr"} & set(words):
                made |= set(words[1:])  # ``ip link add``: what it makes is among the words
    return tuple(named), made


def _statements(text: str) -> Iterator[tuple[int, list[str]]]:
    """(line, words); a backslash joins lines, a comment is a line of its own (interfaces(5))."""
    first, whole = 0, ""
    for number, line in enumerate(text.splitlines(), start=1):
        first = first or number
        whole += line.removesuffix("\\")
        if line.endswith("\\"):
            continue
        if whole.strip() and not whole.lstrip().startswith("#"):
            yield first, whole.split()
        first, whole = 0, ""


def _mentions(option: str, words: list[str], where: str) -> Iterator[_Named]:
    if option == "auto" or option.startswith("allow-"):
        names = words
    elif option == "iface":
        names = words[:1]
    elif option in _NAMING_OPTIONS:
        names = _without_patterns(words)
    else:
        return
    for name in names:
        # eno1.5 is a VLAN on eno1, eno1:0 an address of it
        base = name.partition(":")[0]
        base = base.partition(".")[0] if base.rpartition(".")[2].isdecimal() else base
        if base and base not in _NO_NAMES:
            yield _Named(name=base, where=where, is_port=option in _PORT_OPTIONS)


def _without_patterns(words: list[str]) -> list[str]:
    """``bridge_ports regex eth.*`` names nothing in particular."""
    pairs = zip(["", *words], words, strict=False)
    return [
        word
        for before, word in pairs
        if before not in _PATTERN_WORDS and word not in _PATTERN_WORDS and "*" not in word
    ]


def _networkd(look: Look) -> Iterator[_Named]:
    for name in look.names(LINKS_DIRECTORY):
        if name.endswith(".network"):
            path = f"{LINKS_DIRECTORY}/{name}"
            for number, section, key, value in _settings(look.raw(path) or ""):
                if (section, key) == ("Match", "Name"):
                    plain = [each for each in value.split() if not set(each) & set("*?[!")]
                    yield from (_Named(name=each, where=f"{path}:{number}") for each in plain)


# what pins names


def _settings(text: str) -> Iterator[tuple[int, str, str, str]]:
    """(line, section, key, value) of a file in systemd's format."""
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        clean = line.strip()
        if clean.startswith("[") and clean.endswith("]"):
            section = clean[1:-1]
        elif "=" in clean and clean[0] not in "#;":
            key, _, value = clean.partition("=")
            yield number, section, key.strip(), value.strip()


def _pins(look: Look) -> Iterator[tuple[str, tuple[str, str]]]:
    """(address, (file, name)). Of two files the earlier name wins, so it comes last here."""
    for number, line in enumerate((look.raw(_PERSISTENT_RULES) or "").splitlines(), start=1):
        mac, named = _RULE_MAC.search(line), _RULE_NAME.search(line)
        if mac and named and not line.lstrip().startswith("#"):
            yield _normal(mac[1]) or "", (f"{_PERSISTENT_RULES}:{number}", named[1])
    files: dict[str, str] = {}
    for directory in _LINK_DIRECTORIES:
        for name in look.names(directory):
            if name.endswith(".link"):
                files.setdefault(name, f"{directory}/{name}")
    for _, path in sorted(files.items(), reverse=True):
        yield from _link_pins(path, look.raw(path) or "")


def _link_pins(path: str, text: str) -> Iterator[tuple[str, tuple[str, str]]]:
    found = [((section, key), value) for _, section, key, value in _settings(text)]
    names = [value for where, value in found if where == ("Link", "Name")]
    for (section, key), value in found:
        if section == "Match" and key in {"MACAddress", "PermanentMACAddress"} and names:
            for word in value.split():
                yield _normal(word) or "", (path, names[-1])
