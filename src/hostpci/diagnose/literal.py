"""The longest text that a pattern cannot match without: what a line is asked for first."""

from __future__ import annotations

from functools import cache

_QUANTIFIERS = "?*{"
_ENDS_RUN = ".^$"


@cache
def literal_of(pattern: str) -> str:
    """The longest run of plain characters outside groups, classes and what may be absent.

    Patterns keep to what POSIX extended expressions and Python's have in common (a test holds
    them to that), so only ``\\`` before punctuation, classes, groups and quantifiers are there.
    """
    runs: list[str] = []
    run, at = "", 0
    while at < len(pattern):
        char, after = _element(pattern, at)
        if char is None or (pattern[after : after + 1] in _QUANTIFIERS and after < len(pattern)):
            runs, run = [*runs, run], ""
        elif pattern[after : after + 1] == "+":
            runs, run = [*runs, run + char], ""
        else:
            run += char
        at = _behind_quantifier(pattern, after)
    return max([*runs, run], key=len)


def _element(pattern: str, at: int) -> tuple[str | None, int]:
    """The plain character at this place (None: something else) and where the next one begins."""
    char = pattern[at]
    if char == "\\":
        following = pattern[at + 1]
        return (None if following.isalnum() else following), at + 2
    if char == "[":
        return None, pattern.index("]", at + 2) + 1
    if char == "(":
        return None, _behind_group(pattern, at)
    return (None if char in _ENDS_RUN else char), at + 1


def _behind_group(pattern: str, at: int) -> int:
    depth = 0
    while True:
        char = pattern[at]
        if char == "\\":
            at += 1
        elif char == "[":
            at = pattern.index("]", at + 2)
        elif char in "()":
            depth += 1 if char == "(" else -1
        at += 1
        if depth == 0:
            return at


def _behind_quantifier(pattern: str, at: int) -> int:
    char = pattern[at : at + 1]
    if char == "{":
        return pattern.index("}", at) + 1
    return at + 1 if char and char in "?*+" else at


@cache
def alternatives(pattern: str) -> tuple[str, ...]:
    """What stands between the ``|`` outside all groups: each is looked for by its own literal."""
    parts, start, at = [], 0, 0
    while at < len(pattern):
        if pattern[at] == "|":
            parts.append(pattern[start:at])
            start = at + 1
        _, at = _element(pattern, at)
    return (*parts, pattern[start:])
