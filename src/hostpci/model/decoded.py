"""What a number in a log or a register means."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One bit, field or entry. ``name``: as a specification or a driver's source calls it, or a
    value; ``meaning``: the code of its text, empty where the name says all."""

    name: str
    meaning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """``kind``: what was decoded (``acs``, ``xid``); ``value``: as it was written."""

    kind: str
    value: str
    parts: tuple[Part, ...]
