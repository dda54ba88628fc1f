"""What the edits of line-wise files share."""

from __future__ import annotations

from collections.abc import Iterator


def lines_of(text: str, *, continued: bool = False) -> Iterator[tuple[int, int]]:
    """(start, end) of every line without its end; ``continued``: a backslash joins two."""
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        while continued and end > start and text[end - 1] == "\\":
            end = text.find("\n", end + 1)
        end = len(text) if end < 0 else end
        yield start, end
        start = end + 1


def add_last(text: str | None, line: str) -> str:
    """The text with one more line at its end. A last line without an end gets no other one."""
    if not text:
        return f"{line}\n"
    return f"{text}{line}\n" if text.endswith("\n") else f"{text}\n{line}"


def take_lines(text: str, spans: list[tuple[int, int]]) -> str:
    """The text without these lines and their ends.

    With a last line that has no end goes the end of the one before it.
    """
    for start, end in reversed(spans):
        text = text[:start] + text[end + 1 :] if end < len(text) else text[: max(start - 1, 0)]
    return text


def same_module(one: str, other: str) -> bool:
    """``-`` and ``_`` are one character in names of modules and of their options (modprobe(8))."""
    return one.replace("-", "_") == other.replace("-", "_")
