"""Lines that fit a terminal: broken at words, the rest below the beginning of the text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

# What stands before the text of a line: a level, a number, a sign
_LEAD = re.compile(r" *(?:(?:\||\+|-|->|=|[0-9]{1,2}\.|[A-Z]{4,6}:) )?")
_LOG = re.compile(r" *\| ")
# No row begins with these, and none ends with those
_CLOSING = "，。：；、）”’》！？"
_OPENING = ("（", "“", "‘", "《")
_LOG_ROWS = 4
_LEAST = 20


def fold(line: str, width: int) -> list[str]:
    """The rows of one line. A line of a log is cut off after the fourth: its number says where.

    A word that is longer than a row stays whole, for whoever copies it.
    """
    lead = _LEAD.match(line)
    hang = len(lead[0]) if lead else 0
    if columns(line) <= width or width - hang < _LEAST:
        return [line]
    rows = _filled(line[hang:], width - hang)
    if _LOG.match(line) and len(rows) > _LOG_ROWS:
        rows = [*rows[: _LOG_ROWS - 1], f"{rows[_LOG_ROWS - 1]} …"]
    return [line[:hang] + rows[0], *(" " * hang + row for row in rows[1:])]


def columns(text: str) -> int:
    """How many columns of a terminal it takes: a Chinese character takes two."""
    return len(text) + sum(map(_is_wide, text))


def _is_wide(char: str) -> bool:
    return not char.isascii() and unicodedata.east_asian_width(char) in "WF"


def _filled(text: str, width: int) -> list[str]:
    rows: list[str] = []
    row = ""
    for piece in _pieces(text):
        if row and columns(row + piece.rstrip()) > width:
            rows, row = [*rows, row.rstrip()], ""
        row += piece if row else piece.lstrip()
    return [*rows, row.rstrip()]


def _pieces(text: str) -> Iterator[str]:
    """What is never broken: a word with the space before it, or one wide character."""
    piece = ""
    for char in text:
        begins = char == " " or _is_wide(char) or (piece and _is_wide(piece[-1]))
        stays = char in _CLOSING or piece.endswith(_OPENING)
        if piece.strip() and begins and not stays:
            yield piece
            piece = ""
        piece += char
    if piece:
        yield piece
