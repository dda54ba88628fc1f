"""Words of the kernel's command line, read as the kernel reads them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def has_value(words: Sequence[str], key: str, value: str) -> bool:
    """True if any word ``key=...`` has ``value`` among its comma-separated parts."""
    return any(value in found.split(",") for found in _values(words, key))


def last_value(words: Sequence[str], key: str) -> str | None:
    """What the last word ``key=...`` says: of a parameter set twice the kernel keeps the last."""
    found = None
    for value in _values(words, key):
        found = value
    return found


def same_name(one: str, other: str) -> bool:
    """``-`` and ``_`` are one character in names of parameters (parameq() in kernel/params.c)."""
    return one.replace("-", "_") == other.replace("-", "_")


def _values(words: Sequence[str], key: str) -> Iterator[str]:
    for word in words:
        # What follows is for init and not for the kernel (parse_args() in kernel/params.c)
        if word == "--":
            return
        name, equals, value = word.strip('"').partition("=")
        if equals and same_name(name, key):
            yield value.strip('"')
