"""A pattern that does not see which digit it has before it: see shapes.py."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\\.|\[\^?\]?[^]]*\]|\{[0-9,]+\}|[0-9]")
_ALL_DIGITS = "0-9"


def blind(pattern: str) -> str:
    """Matches the shape of every text that ``pattern`` matches."""
    return _TOKEN.sub(lambda found: _blind(found[0]), pattern)


def _blind(token: str) -> str:
    if token[0] in "\\{":
        return token
    if token[0] != "[":
        return "0"
    if not _names_some_digits(token):
        return token
    if token.startswith("[^"):
        return "."  # leaves some digit in, so a zero must be too
    return f"[0{token[1:]}"


def cares_for_digits(pattern: str) -> bool:
    """Whether two texts of one shape could differ in whether it matches them."""
    return any(
        token.isdigit() or (token[0] == "[" and _names_some_digits(token))
        for token in _TOKEN.findall(pattern)
    )


def _names_some_digits(bracket: str) -> bool:
    return any(char.isdigit() for char in bracket.replace(_ALL_DIGITS, ""))
