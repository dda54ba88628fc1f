"""Files of /etc/modprobe.d: one command a line, which a backslash continues (modprobe.d(5))."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ...errors import EditError
from .lines import add_last, lines_of, same_module, take_lines

_WORD = re.compile(r"\S+")


def add_line(text: str | None, line: str) -> str:
    """The file with ``line`` as its last, unless a line of the same words is there already.

    Raises EditError for a file whose last command goes on with whatever follows.
    """
    if text is not None and text.removesuffix("\n").endswith("\\"):
        raise EditError("edit-continued", text=text.splitlines()[-1])
    if text is not None and any(each.split() == line.split() for _, _, each in _commands(text)):
        return text
    return add_last(text, line)


def take_line(text: str, line: str) -> str:
    """The file without the lines that have exactly the words of ``line``."""
    words = line.split()
    found = [(start, end) for start, end, each in _commands(text) if each.split() == words]
    return take_lines(text, found)


def take_option(text: str, module: str, option: str) -> str:
    """The file without ``option`` (``name`` or ``name=value``) in the options of ``module``.

    A line that sets nothing any more goes as a whole.
    """
    return _edit_options(text, module, lambda word: None if _is(word, option) else word)


def take_id(text: str, device: str, module: str = "vfio-pci") -> str:
    """The file without one ``vendor:device`` (or longer) entry of the module's ``ids=``.

    Entries of other devices stay, in their order; with the last of them goes the option.
    """

    def without(word: str) -> str | None:
        if not _is(word, "ids"):
            return word
        name, _, value = word.partition("=")
        mark = '"' if value.startswith('"') else ""
        ids = value.strip('"').split(",")
        left = [each for each in ids if each and each.lower() != device.lower()]
        if len(left) == len([each for each in ids if each]):
            return word
        return f"{name}={mark}{','.join(left)}{mark}" if left else None

    return _edit_options(text, module, without)


def _edit_options(text: str, module: str, edit: Callable[[str], str | None]) -> str:
    """Put each option of ``module`` through ``edit``; None takes it out.

    Raises EditError for a value with white space in it: the kernel's quotes hold it together
    (lib/cmdline.c next_arg), and half of it would be left.
    """
    for start, end, whole in reversed(list(_commands(text))):
        words = whole.split()
        if words[:1] == ["options"] and len(words) > 2 and same_module(words[1], module):  # noqa: PLR2004
            for word in words:
                if word.count('"') % 2:
                    raise EditError("edit-says-more", word=word)
            edited = _edited(text[start:end], edit)
            left = _unfolded(edited).split()
            if len(left) <= 2:  # noqa: PLR2004  (options MODULE)
                text = take_lines(text, [(start, end)])
            else:
                text = text[:start] + edited + text[end:]
    return text


def _edited(line: str, edit: Callable[[str], str | None]) -> str:
    """One command as it stands in the file, its options edited in place, the last first."""
    options = [match for match in _WORD.finditer(line) if match[0] != "\\"][2:]
    for match in reversed(options):
        bare = match[0].removesuffix("\\")
        after = edit(bare)
        if after is None:
            before = line[: match.start()].rstrip(" \t")
            line = before + line[match.start() + len(bare) :]
        elif after != bare:
            line = line[: match.start()] + after + line[match.start() + len(bare) :]
    return line


def _is(word: str, option: str) -> bool:
    """True if the word sets ``option``; with a value, if it sets exactly that."""
    name, equals, value = word.partition("=")
    wanted, wanted_equals, wanted_value = option.partition("=")
    if not same_module(name, wanted):
        return False
    return not wanted_equals or (bool(equals), value) == (True, wanted_value)


def _commands(text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, unfolded text) of every line that is no comment and not empty."""
    for start, end in lines_of(text, continued=True):
        whole = _unfolded(text[start:end])
        if whole.strip() and not whole.lstrip().startswith("#"):
            yield start, end, whole


def _unfolded(line: str) -> str:
    return line.replace("\\\n", " ")
