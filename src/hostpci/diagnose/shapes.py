"""Lines that differ in numbers only are asked once: a log says the same thing again and again.

The shape of a line is the line with a zero for each digit. A pattern that is made blind for
digits matches the shape of every line that it matches itself, so a shape tells which signs its
lines can have; and of a pattern that never cared for a digit it tells which they do have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from operator import itemgetter

from .knowledge import Sign

DIGITS = "123456789"
_TO_ZERO = str.maketrans(dict.fromkeys(DIGITS, "0"))
# A hash is another shape every time: whether a line can have any sign is asked with these gone too
_ROUGH = str.maketrans(dict.fromkeys(f"{DIGITS}abcdefABCDEF", "0"))
_KEY_CHARS = 4
_REMEMBERED = 20_000
_LONGEST = 600


def shape_of(text: str) -> str:
    return text.translate(_TO_ZERO)


class Asked:
    """A sign as shapes are asked for it. ``is_sure``: a shape tells it of all its lines."""

    def __init__(self, sign: Sign) -> None:
        self.sign = sign
        self.is_sure = not sign.cares_for_digits

    @cached_property
    def rough_literal(self) -> str:
        return self.sign.literal.translate(_ROUGH)

    def is_in(self, text: str) -> bool:
        """``text`` has a shape that can have the sign."""
        return self.is_sure or self.sign.regex.search(text) is not None


class Shapes:
    """Which signs a line can have. What was asked is remembered, up to a bound."""

    def __init__(self, signs: Iterable[Sign]) -> None:
        self._index = _Index([Asked(sign) for sign in signs])
        self._known: dict[str, tuple[Asked, ...]] = {}
        self._rough: dict[str, tuple[Asked, ...]] = {}

    def signs_in(self, text: str) -> tuple[Sign, ...]:
        """In the order of the knowledge base."""
        possible = self.possible(shape_of(text))
        return tuple(each.sign for each in possible if each.is_in(text))

    def possible(self, shape: str) -> tuple[Asked, ...]:
        found = self._known.get(shape)
        if found is None:
            found = tuple(
                each for each in self._roughly(shape) if each.sign.blind_regex.search(shape)
            )
            _remember(self._known, shape, found)
        return found

    def _roughly(self, shape: str) -> tuple[Asked, ...]:
        rough = shape.translate(_ROUGH)
        found = self._rough.get(rough)
        if found is None:
            found = tuple(self._index.candidates(rough))
            _remember(self._rough, rough, found)
        return found


def _remember(known: dict[str, tuple[Asked, ...]], shape: str, found: tuple[Asked, ...]) -> None:
    if len(known) >= _REMEMBERED:
        known.clear()
    if len(shape) <= _LONGEST:
        known[shape] = found


class _Index:
    """Whose literal a line has: asking for every literal of hundreds takes longer.

    A literal can only be in a line that has a certain four characters of it, its key.
    """

    def __init__(self, signs: Iterable[Asked]) -> None:
        self._by_key: dict[str, list[tuple[int, Asked]]] = {}
        self._without_key: list[tuple[int, Asked]] = []
        for place, sign in enumerate(signs):
            key = _key(sign.rough_literal)
            room = self._by_key.setdefault(key, []) if key else self._without_key
            room.append((place, sign))

    def candidates(self, rough: str) -> Iterator[Asked]:
        """In the order of the knowledge base."""
        here = {rough[at : at + _KEY_CHARS] for at in range(len(rough) - _KEY_CHARS + 1)}
        found = list(self._without_key)
        for key in here & self._by_key.keys():
            found += self._by_key[key]
        ordered = sorted(found, key=itemgetter(0))
        return (sign for _, sign in ordered if sign.rough_literal in rough)


def _key(literal: str) -> str:
    """Its last four characters: beginnings ("Failed to", "vfio-pci") are more often the same."""
    return literal[-_KEY_CHARS:] if len(literal) >= _KEY_CHARS else ""
