"""Command lines as text: split, added to and taken from without touching anybody else's bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

# next_arg() in lib/cmdline.c of the kernel: white space ends a word, except within double quotes
_WORD = re.compile(r"(?:\"[^\"]*(?:\"|$)|[^\s\"])+", re.ASCII)
_BLANK = " \t\r\f\v"
# What follows this word is for init (parse_args() in kernel/params.c)
_END = "--"


def split_words(line: str) -> tuple[str, ...]:
    """The words of one line, as the kernel splits it."""
    return tuple(_WORD.findall(line))


def first_line(text: str) -> str:
    """What proxmox-boot-tool reads of /etc/kernel/cmdline."""
    return text.partition("\n")[0]


def add_words(text: str, words: Iterable[str]) -> str:
    """Put words that are not there yet after the last of the first line's words for the kernel.

    White space at the end of the line and all other lines keep their bytes.
    """
    line, newline, rest = text.partition("\n")
    for word in words:
        own = list(_own_words(line))
        if word not in [match[0] for match in own]:
            at = own[-1].end() if own else 0
            follows = " " if not own and line.strip(_BLANK) else ""
            line = f"{line[:at]}{' ' if own else ''}{word}{follows}{line[at:]}"
    return f"{line}{newline}{rest}"


def take_words(text: str, words: Iterable[str]) -> str:
    """Take exact words out of the first line; of a word that stands there twice the last one.

    With a word goes the white space before it (after it, if it is the first of several).
    """
    line, newline, rest = text.partition("\n")
    for word in reversed(tuple(words)):
        spans = [match.span() for match in _own_words(line) if match[0] == word]
        if spans:
            start, end = spans[-1]
            before, after = line[:start].rstrip(_BLANK), line[end:]
            is_first_of_more = not before and after.strip(_BLANK)
            line = (before or line[:start]) + (after.lstrip(_BLANK) if is_first_of_more else after)
    return f"{line}{newline}{rest}"


def _own_words(line: str) -> Iterator[re.Match[str]]:
    for match in _WORD.finditer(line):
        if match[0] == _END:
            return
        yield match
