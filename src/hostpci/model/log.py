"""What a host's logs say, as lines under the name of where they stand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """``source``: the command or the file that the lines are from, as a person would type it."""

    source: str
    lines: tuple[str, ...]
