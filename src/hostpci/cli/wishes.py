"""Words of the call that name a driver or a virtual machine, as values."""

from __future__ import annotations

import re

from ..errors import UsageError
from ..guest.nvidia import ANY, Wish

_WISH = re.compile(r"(?:(\d{3,4})(-server)?(?:-(open))?|(open|proprietary))")


def asked_driver(text: str) -> Wish:
    """``580``, ``580-server-open``, ``open``, ``proprietary``; nothing: the best for the card."""
    if not text:
        return ANY
    match = _WISH.fullmatch(text)
    if not match:
        raise UsageError("guest-bad-driver", text=text)
    if match[4]:
        return Wish(is_open=match[4] == "open")
    return Wish(branch=int(match[1]), is_server=bool(match[2]), is_open=True if match[3] else None)


def asked_vmid(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):  # noqa: PLR2004  (PVE's limit)
        raise UsageError("guest-bad-vmid", text=text)
    return int(text)
