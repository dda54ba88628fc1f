"""Lists of modules, one a line: /etc/modules, modules-load.d, initramfs-tools/modules."""

from __future__ import annotations

from collections.abc import Iterator

from .lines import add_last, lines_of, same_module, take_lines


def add_module(text: str | None, name: str) -> str:
    """The list with ``name`` as its last line, unless it has the module already."""
    if any(same_module(name, each) for _, _, each in _entries(text or "")):
        return text or ""
    return add_last(text, name)


def take_module(text: str, name: str) -> str:
    """The list without the lines that name this module (with options or not)."""
    found = [(start, end) for start, end, each in _entries(text) if same_module(name, each)]
    return take_lines(text, found)


def modules_in(text: str) -> tuple[str, ...]:
    """The modules of a list, as they are written there."""
    return tuple(name for _, _, name in _entries(text))


def _entries(text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, module) of each line that names one."""
    for start, end in lines_of(text):
        words = text[start:end].split()
        if words and not words[0].startswith(("#", ";")):
            yield start, end, words[0]
