"""Judges the guest's kernel log: what is not explained by a table fails a scenario."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

_TABLE = Path(__file__).with_name("kernel_messages.toml")
# `dmesg --raw`: <facility and level>[seconds] text; the level is the low three bits, and facility
# 0 is the kernel itself: others are programs that write into its log early in the boot.
_LINE = re.compile(r"<(\d+)>(?:\[\s*[\d.]+\] ?)?(.*)")
_WARNING_PRIORITY = 4
# Where a kernel says that something is wrong in itself, whatever the level.
_ALARM = re.compile(
    r"BUG:|WARNING: |Oops|Call Trace:|kernel panic|general protection fault", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """A kernel message that is expected, and why."""

    pattern: str
    reason: str


def allowed_messages(path: Path = _TABLE) -> tuple[Allowed, ...]:
    """The table of expected messages."""
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["allowed"]
    return tuple(Allowed(pattern=row["message"], reason=row["reason"]) for row in rows)


def unexpected(raw_log: str, allowed: tuple[Allowed, ...]) -> list[str]:
    """The messages of level warning and worse, and alarms, that no row explains."""
    found = []
    for line in raw_log.splitlines():
        match = _LINE.fullmatch(line)
        priority, text = (int(match[1]), match[2]) if match else (7, line)
        if priority <= _WARNING_PRIORITY or _ALARM.search(text):
            found.append(text)
    return unexplained(found, allowed)


def unexplained(messages: list[str], allowed: tuple[Allowed, ...]) -> list[str]:
    """The messages that no row of the table explains."""
    return [text for text in messages if not any(re.search(row.pattern, text) for row in allowed)]


def alarms(console: str) -> list[str]:
    """Alarms on the serial console: what came too late for the kernel log to be fetched."""
    return [line for line in console.splitlines() if _ALARM.search(line)]
