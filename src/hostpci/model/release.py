"""Kernel release strings (``uname -r``), compared as the numbers they are made of.

Proxmox appends its own package revision: ``6.8.12-29-pve`` is build 29 of 6.8.12, and a backport
to the previous Debian is ``6.14.8-2-bpo12-pve``. Debian 12 and Ubuntu put an ABI number there
(``6.1.0-56-amd64``) and leave the stable level out, so of those nothing can be said; since
Debian 13 the level is in the name (``6.12.48+deb13-amd64``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_PVE = re.compile(r"(\d{1,4})\.(\d{1,4})\.(\d{1,4})-(\d{1,6})(?:-bpo\d+)?-pve")
_UPSTREAM = re.compile(
    r"(\d{1,4})\.(\d{1,4})\.(\d{1,4})(?:\+(?:deb\d+(?:u\d+)?|bpo(?:\d+)?))?(?:-(?:cloud-|rt-)?amd64)?"
)


class Maker(StrEnum):
    PVE = "pve"
    UPSTREAM = "upstream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """``version``: of PVE major, minor, patch and package revision; else the first three."""

    maker: Maker
    version: tuple[int, ...]


def parse_release(text: str) -> Release | None:
    """None for a name that does not say which code it stands for."""
    for maker, pattern in ((Maker.PVE, _PVE), (Maker.UPSTREAM, _UPSTREAM)):
        match = pattern.fullmatch(text)
        if match is not None:
            return Release(maker=maker, version=tuple(int(each) for each in match.groups()))
    return None
