"""GRUB's settings under /etc/default: shell text that grub-mkconfig sources, read and edited.

A word of the kernel's command line can stand in several files, in any quoting, and behind what
an earlier file set. An edit touches the word and the white space beside it, nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ...errors import EditError
from ...model.facts import ConfigFile
from ...model.words import split_words
from .shell import Assignment, Unit, parse_shell

DEFAULT = "GRUB_CMDLINE_LINUX_DEFAULT"
NAMES = ("GRUB_CMDLINE_LINUX", DEFAULT)
_HEADER = '# Written by "hostpci apply", taken back by "hostpci undo": words for the kernel.\n'
_DROP_IN = re.compile(rf'(?:#[^\n]*\n)*{DEFAULT}="\${DEFAULT} ([^"`$\\\n]+)"\n')
# Nothing that means something to a shell can be among our words
_SAFE_WORD = re.compile(r"[A-Za-z0-9._,:=@/+-]+")
# Commands that may set anything, or end the reading of the file
_OPAQUE = {".", "source", "eval", "exit", "return", "exec"}


@dataclass(frozen=True, slots=True, kw_only=True)
class GrubWord:
    """A word of a command line as it stands in a file: in which variable, on which line."""

    name: str
    word: str
    line: int


def drop_in(words: Sequence[str]) -> str:
    """The text of our own file in grub.d: it appends ``words`` to whatever was set before it.

    Raises EditError for a word that the shell would not read as it is.
    """
    for word in words:
        _require_safe(word)
    return f'{_HEADER}{DEFAULT}="${DEFAULT} {" ".join(words)}"\n'


def drop_in_words(text: str | None) -> tuple[str, ...] | None:
    """The words of a file that ``drop_in`` wrote; None if it is of any other form."""
    match = _DROP_IN.fullmatch(text or "")
    return tuple(match[1].split()) if match else None


def _require_safe(word: str) -> None:
    if not _SAFE_WORD.fullmatch(word):
        raise EditError("edit-unsafe-word", word=word)


def words_in(file: ConfigFile, names: Sequence[str] = NAMES) -> tuple[GrubWord, ...]:
    """Every literal word of these variables in one file, in its order."""
    return tuple(
        GrubWord(name=each.name, word=text, line=each.line)
        for each in _assignments(file, names)
        for token in _tokens(each)
        if (text := _literal(token)) is not None
    )


def take_word(file: ConfigFile, word: str, names: Sequence[str] = NAMES) -> str:
    """The text without any occurrence of exactly ``word`` in these variables.

    Raises EditError if a command of the file mentions one of them: nobody can tell what it
    would put there.
    """
    text = file.text
    for each in reversed(_assignments(file, names)):
        for token in reversed(_tokens(each)):
            if _literal(token) == word:
                text = _without(text, _units_to_take(each, token), each)
    return text


def add_word(file: ConfigFile, word: str, name: str = DEFAULT) -> str:
    """The text with ``word`` at the end of the file's last assignment of ``name``.

    Nothing changes if that has it already. Raises EditError if the file does not set ``name``,
    or sets it under a condition.
    """
    _require_safe(word)
    found = _assignments(file, (name,))
    if not found or found[-1].is_conditional:
        raise EditError("edit-grub-computed", path=file.path, line=found[-1].line if found else 1)
    last = found[-1]
    tokens = _tokens(last)
    if word in [_literal(token) for token in tokens]:
        return file.text
    at, inserted = _place_to_add(last, tokens, word, file.text)
    return file.text[:at] + inserted + file.text[at:]


def effective(files: Iterable[ConfigFile], name: str) -> str:
    """The value of ``name`` once a shell has sourced all files in this order.

    Raises EditError that names file and line where only a shell could tell.
    """
    values: dict[str, str | None] = {}
    culprit = ("", 0)
    for file in files:
        for each in _assignments(file, (name,), every=True):
            value = None if each.is_conditional else _value(each, values)
            if each.operator == "+=":
                # dash takes it for a command, bash appends
                value = None
            values[each.name] = value
            culprit = (file.path, each.line) if value is None and each.name == name else culprit
    found = values.get(name, "")
    if found is None:
        raise EditError("edit-grub-computed", path=culprit[0], line=culprit[1])
    return found


def effective_words(files: Sequence[ConfigFile]) -> tuple[str, ...]:
    """The words that 10_linux gives its entries, in its order; raises as ``effective``."""
    return tuple(word for name in NAMES for word in split_words(effective(files, name)))


def _value(assignment: Assignment, values: dict[str, str | None]) -> str | None:
    """None if computed. What GRUB's files have not set is empty, and what else a shell may have
    in its environment is nobody's guess."""
    parts: list[str] = []
    for unit in assignment.units:
        default = "" if unit.text.startswith("GRUB_") else None
        part = values.get(unit.text, default) if unit.is_expansion else unit.text
        if part is None:
            return None
        parts.append(part)
    return "".join(parts)


def _assignments(
    file: ConfigFile, names: Sequence[str], *, every: bool = False
) -> tuple[Assignment, ...]:
    script = parse_shell(file.text, file.path)
    for command in script.commands:
        mentions = any(re.search(rf"{name}(?![A-Za-z0-9_])", command.text) for name in names)
        if mentions or command.name in _OPAQUE:
            raise EditError("edit-grub-computed", path=file.path, line=command.line)
    return tuple(each for each in script.assignments if every or each.name in names)


def _tokens(assignment: Assignment) -> tuple[tuple[Unit, ...], ...]:
    """The value split at white space, as the kernel's words; quotes of the kernel hold."""
    tokens: list[list[Unit]] = [[]]
    is_quoted = False
    for unit in assignment.units:
        is_quoted ^= not unit.is_expansion and unit.text == '"'
        if unit.is_blank and not is_quoted:
            tokens.append([])
        else:
            tokens[-1].append(unit)
    return tuple(tuple(token) for token in tokens if token)


def _literal(token: tuple[Unit, ...]) -> str | None:
    """The text of a token, None if part of it is known to a shell alone."""
    if any(unit.is_expansion for unit in token):
        return None
    return "".join(unit.text for unit in token)


def _units_to_take(assignment: Assignment, token: tuple[Unit, ...]) -> tuple[Unit, ...]:
    """The token with the white space before it (after it, if it is the first of several)."""
    units = assignment.units
    first, after = units.index(token[0]), units.index(token[-1]) + 1
    before = first
    while before and units[before - 1].is_blank:
        before -= 1
    if before:
        return units[before:after]
    further = after
    while further < len(units) and units[further].is_blank:
        further += 1
    return units[first : further if further < len(units) else after]


def _without(text: str, taken: tuple[Unit, ...], assignment: Assignment) -> str:
    """The text without these characters, and without quotes that would enclose nothing beside
    the rest of the value."""
    start, end, mark = taken[0].start, taken[-1].end, taken[0].quote
    is_one_piece = all(
        one.end == other.start and other.quote == mark for one, other in pairwise(taken)
    )
    is_enclosed = taken[0].is_blank and text[start - 1] == mark and text[end : end + 1] == mark
    if is_one_piece and is_enclosed and len(assignment.units) > len(taken):
        return text[: start - 1] + text[end + 1 :]
    for unit in reversed(taken):
        text = text[: unit.start] + text[unit.end :]
    return text


def _place_to_add(
    assignment: Assignment, tokens: tuple[tuple[Unit, ...], ...], word: str, text: str
) -> tuple[int, str]:
    if tokens:
        last = tokens[-1][-1]
        return last.end, f" {word}" if last.quote else f'" {word}"'
    if assignment.start == assignment.end:
        return assignment.start, word
    if text[assignment.start] in "\"'":
        return assignment.start + 1, word
    raise EditError("edit-unsafe-word", word=word)
