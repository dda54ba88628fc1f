"""What an owner may lose on purpose. A closed set: nothing else can be accepted, and never all.

What would take the host's own disks, its network or its way in has no name here.
"""

from __future__ import annotations

from enum import StrEnum


class Risk(StrEnum):
    """Names for ``hostpci claim --accept``; ``consent.NAME`` in the texts says what is lost."""

    GROUP_SHARES_USB = "group-shares-usb"
    GROUP_SHARES_NIC = "group-shares-nic"
    GROUP_SHARES_STORAGE = "group-shares-storage"
    GROUP_SHARES_AUDIO = "group-shares-audio"
    GROUP_SHARES_DISPLAY = "group-shares-display"
    GROUP_SHARES_OTHER = "group-shares-other"
    LAST_USB_INPUT = "last-usb-input"
    BOOT_VGA_ONLY = "boot-vga-only"
    IN_USE_BY_HOST = "in-use-by-host"
    ACS_ASSERTED = "acs-asserted"


NAMES = tuple(str(each) for each in Risk)
_USB, _ANY_AUDIO = 0x0C03, (0x0401, 0x0403)
_STORAGE, _NETWORK, _DISPLAY = 0x01, 0x02, 0x03


def risk_of_sharing(class_code: int) -> Risk:
    """What it is to lose a function of this class with the group."""
    kind = class_code >> 8
    if kind == _USB:
        return Risk.GROUP_SHARES_USB
    if kind in _ANY_AUDIO:
        return Risk.GROUP_SHARES_AUDIO
    by_base = {
        _STORAGE: Risk.GROUP_SHARES_STORAGE,
        _NETWORK: Risk.GROUP_SHARES_NIC,
        _DISPLAY: Risk.GROUP_SHARES_DISPLAY,
    }
    return by_base.get(kind >> 8, Risk.GROUP_SHARES_OTHER)
