"""Assignments in a shell file, found without running it.

Only what every shell agrees about is understood: assignments of literal and quoted text, of
``$NAME`` and ``${NAME}``. Whatever else a value is made of is *computed*, and what stands in a
branch, behind ``&&`` or in a function is *conditional*; both are known by place, not by value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ...errors import EditError

_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?=)")
_VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")
_BLANK = " \t"
_ENDS_WORD = f"{_BLANK}\n;&|()<>"
_ESCAPED_IN_DOUBLE = '$`"\\\n'
_OPENERS = {"if": "fi", "case": "esac", "for": "done", "while": "done", "until": "done", "{": "}"}
_PREFIXES = {"then", "else", "elif", "do", "!", "time"}
_EXPORTS = {"export", "readonly"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One character of a value with its place in the text; ``variable``: an expansion instead.

    ``text``: the character, or the variable's name, empty for what a shell would have to run.
    ``quote``: the quotation mark that it stands in.
    """

    text: str
    start: int
    end: int
    quote: str = ""
    is_expansion: bool = False

    @property
    def is_blank(self) -> bool:
        """White space to the kernel, which is more than to a shell: files with CR LF have it."""
        return not self.is_expansion and self.text in " \t\n\r\f\v"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """``NAME=value`` or ``NAME+=value``; ``start`` and ``end`` are the value's place."""

    name: str
    operator: str
    line: int
    start: int
    end: int
    units: tuple[Unit, ...]
    is_conditional: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Anything that is not an assignment alone: ``name`` and its whole text."""

    name: str
    text: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    assignments: tuple[Assignment, ...]
    commands: tuple[Command, ...]


def parse_shell(text: str, path: str) -> Script:
    """Every assignment and every other command. Raises EditError where quotes do not close."""
    return _Parser(text, path).parse()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Word:
    start: int
    end: int
    units: tuple[Unit, ...]


class _Parser:
    """Walks over the text once; ``_open`` holds what closes the blocks that are open."""

    def __init__(self, text: str, path: str) -> None:
        self._text = text
        self._path = path
        self._at = 0
        self._open: list[str] = []
        self._after = ""
        self._words: list[_Word] = []
        self._assignments: list[Assignment] = []
        self._commands: list[Command] = []

    def parse(self) -> Script:
        while self._at < len(self._text):
            self._step()
        self._end_command("\n")
        return Script(assignments=tuple(self._assignments), commands=tuple(self._commands))

    def _step(self) -> None:
        char = self._text[self._at]
        if char in _BLANK or self._text.startswith("\\\n", self._at):
            self._at += 1 if char in _BLANK else 2
        elif char == "#":
            end = self._text.find("\n", self._at)
            self._at = len(self._text) if end < 0 else end
        elif char in "\n;&|()":
            self._operator(char)
        elif char in "<>":
            self._redirection()
        else:
            self._words.append(self._word())

    def _operator(self, char: str) -> None:
        doubled = char in "&|;" and self._text.startswith(char * 2, self._at)
        self._at += 2 if doubled else 1
        self._end_command(char * 2 if doubled else char)
        if char == "(":
            self._open.append(")")
        elif char == ")" and self._open[-1:] == [")"]:
            self._open.pop()
        elif char == ")" and self._open[-1:] != ["esac"]:
            self._fail(self._at)

    def _redirection(self) -> None:
        """Where a command reads or writes; a here-document's text could be anything."""
        if self._text.startswith("<<", self._at):
            self._fail(self._at)
        self._at += 1

    def _fail(self, at: int) -> None:
        raise EditError("edit-shell", path=self._path, line=self._line(at))

    def _line(self, at: int) -> int:
        return self._text.count("\n", 0, at) + 1

    # commands

    def _end_command(self, operator: str) -> None:
        words, self._words = self._words, []
        if words:
            is_apart = self._after in ("&&", "||", "|") or operator in ("|", "&")
            self._command(words, is_apart=is_apart)
        if words or operator != "\n":
            self._after = operator

    def _command(self, words: list[_Word], *, is_apart: bool) -> None:
        words = self._without_keywords(words)
        if not words:
            return
        name = self._source(words[0])
        is_export = name in _EXPORTS
        found = [self._assignment(each, is_apart=is_apart) for each in words[is_export:]]
        if all(found) or is_export:
            self._assignments += [each for each in found if each]
        else:
            whole = self._text[words[0].start : words[-1].end]
            self._commands.append(Command(name=name, text=whole, line=self._line(words[0].start)))

    def _without_keywords(self, words: list[_Word]) -> list[_Word]:
        """What is left of a command after the words that open, close and divide blocks."""
        for index, word in enumerate(words):
            name = self._source(word)
            if name in _OPENERS:
                self._open.append(_OPENERS[name])
                if name in ("case", "for"):
                    return []
            elif self._open and name == self._open[-1]:
                self._open.pop()
            elif name not in _PREFIXES:
                return words[index:]
        return []

    def _source(self, word: _Word) -> str:
        return self._text[word.start : word.end]

    def _assignment(self, word: _Word, *, is_apart: bool) -> Assignment | None:
        match = _NAME.match(self._text, word.start, word.end)
        if match is None:
            return None
        return Assignment(
            name=match[1],
            operator=match[2],
            line=self._line(word.start),
            start=match.end(),
            end=word.end,
            units=tuple(unit for unit in word.units if unit.start >= match.end()),
            is_conditional=is_apart or bool(self._open),
        )

    # words

    def _word(self) -> _Word:
        start, units = self._at, list[Unit]()
        while self._at < len(self._text) and self._text[self._at] not in _ENDS_WORD:
            char = self._text[self._at]
            if char == "'":
                units += self._single_quoted()
            elif char == '"':
                units += self._double_quoted()
            else:
                units += self._one(quote="")
        return _Word(start=start, end=self._at, units=tuple(units))

    def _single_quoted(self) -> Iterator[Unit]:
        first = self._at + 1
        end = self._text.find("'", first)
        if end < 0:
            self._fail(self._at)
        self._at = end + 1
        for place in range(first, end):
            yield Unit(text=self._text[place], start=place, end=place + 1, quote="'")

    def _double_quoted(self) -> Iterator[Unit]:
        opened = self._at
        self._at += 1
        while self._at < len(self._text) and self._text[self._at] != '"':
            yield from self._one(quote='"')
        if self._at >= len(self._text):
            self._fail(opened)
        self._at += 1

    def _one(self, *, quote: str) -> Iterator[Unit]:
        """One character, escaped character or expansion; a continued line is none."""
        start, char = self._at, self._text[self._at]
        following = self._text[start + 1 : start + 2]
        if char == "\\" and following and (not quote or following in _ESCAPED_IN_DOUBLE):
            self._at += 2
            if following != "\n":
                yield Unit(text=following, start=start, end=self._at, quote=quote)
            return
        if char in "$`":
            self._at, name = self._expansion(start)
            yield Unit(text=name, start=start, end=self._at, quote=quote, is_expansion=True)
            return
        self._at += 1
        yield Unit(text=char, start=start, end=self._at, quote=quote)

    def _expansion(self, start: int) -> tuple[int, str]:
        """Where an expansion ends, and the name of a variable that is all there is to it."""
        match = _VARIABLE.match(self._text, start)
        if match:
            return match.end(), match[1] or match[2]
        pairs = {"$(": ")", "${": "}", "`": "`"}
        opener = "`" if self._text[start] == "`" else self._text[start : start + 2]
        if opener not in pairs:
            return min(start + 2, len(self._text)) if opener[1:] not in (
                '"',
                "'",
            ) else start + 1, ""
        return self._closing(start, opener, pairs[opener]), ""

    def _closing(self, start: int, opener: str, closer: str) -> int:
        """Where ``$(...)``, ``${...}`` or a command in backquotes ends, quotes inside it heeded."""
        self._at, depth = start + len(opener), 1
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == "\\":
                self._at += 1
            elif closer == ")" and char in "\"'":
                list(self._double_quoted() if char == '"' else self._single_quoted())
                continue
            elif char == closer:
                depth -= 1
            elif char == opener[-1]:
                depth += 1
            self._at += 1
            if not depth:
                return self._at
        self._fail(start)
        return start
