"""PCI addresses as people write them: ``01:00``, ``0000:01:00``, ``01:00.1``."""

from __future__ import annotations

import re

from ..errors import UsageError

_ADDRESS = re.compile(
    r"(?:(?P<domain>[0-9a-f]{4,8}):)?(?P<bus>[0-9a-f]{2}):(?P<device>[0-9a-f]{2})"
    r"(?:\.(?P<function>[0-7]))?"
)
_LAST_DEVICE = 0x1F
_FUNCTION_IN_PATH = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")


def parse_slot(text: str) -> str:
    """Return the slot ``dddd:bb:dd`` of an address, with or without its function.

    A claim is always for a whole slot: the functions of one slot share its reset and are handed
    to the guest as one multifunction device. Raises UsageError for anything else.
    """
    match = _ADDRESS.fullmatch(text.strip().lower())
    if match is None or int(match["device"], 16) > _LAST_DEVICE:
        raise UsageError("bad-address", address=text)
    return f"{match['domain'] or '0000'}:{match['bus']}:{match['device']}"


def is_function(text: str) -> bool:
    """True for a full function address ``dddd:bb:dd.f``."""
    return _FUNCTION_IN_PATH.fullmatch(text) is not None


def slot_of(function: str) -> str:
    """``0000:01:00.1`` -> ``0000:01:00``."""
    return function.rpartition(".")[0]


def is_in_slot(place: str, slot: str) -> bool:
    """``place``: a function, or a whole slot."""
    return slot in (place, slot_of(place))


def last_function_in(path: str) -> str | None:
    """Return the PCI function that a sysfs path runs through last, i.e. who provides the node."""
    found = _FUNCTION_IN_PATH.findall(path)
    return found[-1] if found else None
