"""Which signs are in which lines. Storms are counted, not kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from operator import itemgetter

from .knowledge import Knowledge, Sign
from .lines import Line

KEPT_HITS = 40
_CLOSE_LINES = 300
_KEY_CHARS = 4
_KEPT_CHARS = 6_000_000
_KEPT_LINES = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    sign: Sign
    line: Line
    order: int


@dataclass(slots=True, kw_only=True)
class Hits:
    """Those of one sign: the first ones, how many there were, and whether they came close.

    ``is_close``: as many as the sign asks for within a few lines, once; one a day is no storm.
    """

    sign: Sign
    kept: list[Hit] = field(default_factory=list)
    count: int = 0
    is_close: bool = False
    _latest: list[int] = field(default_factory=list)

    def add(self, line: Line, order: int) -> None:
        self.count += 1
        if not self.is_close:
            self._latest = [*self._latest, line.number][-self.sign.at_least :]
            enough = len(self._latest) == self.sign.at_least
            self.is_close = enough and line.number - self._latest[0] < _CLOSE_LINES
        if len(self.kept) < KEPT_HITS:
            self.kept.append(Hit(sign=self.sign, line=line, order=order))


class Scan:
    """Takes lines one after the other, in memory that does not grow with the log.

    ``lines`` are kept for the readers of listings, up to a bound; ``is_part``: of a large log the
    caller passes only lines in which something may be.
    """

    def __init__(self, knowledge: Knowledge, *, is_part: bool = False) -> None:
        self.is_part = is_part
        self.hits: dict[str, list[Hits]] = {}
        self.lines: list[Line] = []
        self.total = 0
        self._room = _KEPT_CHARS
        self._signs = tuple(knowledge.signs())
        self._index = _Index(self._signs)
        self._of_sign: dict[int, Hits] = {}
        self._latest: tuple[Sign, ...] = ()

    def lines_with(self, sign: Sign) -> int:
        hits = self._of_sign.get(id(sign))
        return hits.count if hits else 0

    def leave(self, signs: Iterable[Sign]) -> None:
        """Look for these no longer; a caller who has faster means counts their lines."""
        left = {id(sign) for sign in signs}
        self._signs = tuple(sign for sign in self._signs if id(sign) not in left)
        self._index = _Index(self._signs)
        self._latest = ()

    def count(self, sign: Sign, lines: int) -> None:
        """So many more lines have a sign that was left."""
        self._hits_of(sign).count += lines

    def feed(self, lines: Iterable[Line]) -> None:
        for line in lines:
            self.total += 1
            self._keep(line)
            signs = self._signs_in(line.text)
            for sign in signs:
                self._hits_of(sign).add(line, self.total)

    def _keep(self, line: Line) -> None:
        if self._room > len(line.text) and len(self.lines) < _KEPT_LINES:
            self._room -= len(line.text)
            self.lines.append(line)

    def _signs_in(self, text: str) -> tuple[Sign, ...]:
        """In a storm the same line comes again and again: its signs are tried first, alone."""
        latest = self._latest
        is_storm = latest and self._of_sign[id(latest[0])].count > KEPT_HITS
        if is_storm and all(sign.regex.search(text) for sign in latest):
            return latest
        found = tuple(sign for sign in self._index.candidates(text) if sign.regex.search(text))
        if found:
            self._latest = found
        return found

    def _hits_of(self, sign: Sign) -> Hits:
        hits = self._of_sign.get(id(sign))
        if hits is None:
            hits = self._of_sign[id(sign)] = Hits(sign=sign)
            self.hits.setdefault(sign.code, []).append(hits)
        return hits


class _Index:
    """Which signs a line can have at all: asking for every literal of hundreds takes longer.

    A literal can only be in a line that has a certain four characters of it, its key.
    """

    def __init__(self, signs: tuple[Sign, ...]) -> None:
        self._by_key: dict[str, list[tuple[int, Sign]]] = {}
        self._without_key: list[tuple[int, Sign]] = []
        for place, sign in enumerate(signs):
            key = _key(sign.literal)
            room = self._by_key.setdefault(key, []) if key else self._without_key
            room.append((place, sign))

    def candidates(self, text: str) -> Iterator[Sign]:
        """In the order of the knowledge base."""
        here = {text[at : at + _KEY_CHARS] for at in range(len(text) - _KEY_CHARS + 1)}
        found = list(self._without_key)
        for key in here & self._by_key.keys():
            found += self._by_key[key]
        return (sign for _, sign in sorted(found, key=itemgetter(0)) if sign.literal in text)


def _key(literal: str) -> str:
    """Its last four characters: beginnings ("Failed to", "vfio-pci") are more often the same."""
    return literal[-_KEY_CHARS:] if len(literal) >= _KEY_CHARS else ""
