"""Network interfaces, who refers to them by name, and what keeps those names.

systemd-udevd names an interface after its place on the PCI bus (systemd.net-naming-scheme): a card
plugged in above it, or a firmware that counts buses otherwise, gives it another name, and what
refers to the old one finds nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LINKS_DIRECTORY = "/etc/systemd/network"
LINK_NAME = re.compile(r"10-hostpci-[A-Za-z0-9][A-Za-z0-9_.-]{0,14}\.link")
# What goes into the name of a file and into a line of one; IFNAMSIZ leaves 15 characters
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
# 73-usb-net-by-mac.link and the naming scheme's last resort: the address is in the name
_NAMED_BY_MAC = re.compile(r"(?:en|wl)x[0-9a-f]{12}")

# The line of a file that is there because the host's options ask for it
WAS_ASKED = "# Asked for by the option pin-nic-names."
_UNASKED = "# Written because addresses on the PCI bus had moved and a reboot was to come."
_LINK_TEXT = """\
# Keeps the name {name} wherever this interface is plugged in. Written by "hostpci apply".
{why}
[Match]
PermanentMACAddress={mac}
Type=ether

[Link]
Name={name}
AlternativeNamesPolicy=database onboard slot path mac
"""


def link_path(name: str) -> str:
    """``eno1`` -> ``/etc/systemd/network/10-hostpci-eno1.link``."""
    return f"{LINKS_DIRECTORY}/10-hostpci-{name}.link"


def link_text(name: str, mac: str, *, asked: bool) -> str:
    """The file that pins one name. Same name, same address, same bytes.

    The permanent address and not the one of the moment: a port of a bond wears the bond's. A
    VLAN or a bridge on top has the same address and no permanent one. The first file that
    matches is the only one that counts, so the alternative names are asked for again.
    """
    return _LINK_TEXT.format(name=name, mac=mac, why=WAS_ASKED if asked else _UNASKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One interface with a PCI function (``address``) behind it.

    ``mac``: the permanent one, None if it is not known to be one. ``alternatives``: further names
    that udev gave it. ``references``: ``path:line`` where the configuration names it.
    ``pinned_by``: file that gives a name to this ``mac``, empty if there is none; ``pinned_to``:
    that name.
    """

    name: str
    address: str
    mac: str | None
    alternatives: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    pinned_by: str = ""
    pinned_to: str = ""

    @property
    def can_be_pinned(self) -> bool:
        return self.mac is not None and _PLAIN_NAME.fullmatch(self.name) is not None

    @property
    def keeps_its_name(self) -> bool:
        return bool(self.pinned_by) or _NAMED_BY_MAC.fullmatch(self.name) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingPort:
    """A name that a bridge, bond or VLAN is built on, and that no interface has."""

    name: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFile:
    """One of our ``.link`` files as it lies on the root file system."""

    path: str
    text: str
    modified_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFacts:
    interfaces: tuple[Interface, ...] = ()
    missing: tuple[MissingPort, ...] = ()
    links: tuple[LinkFile, ...] = ()
