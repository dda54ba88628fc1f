"""Which signs are in which lines. Storms are counted, not kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .knowledge import Knowledge, Sign
from .lines import Line
from .shapes import Shapes

KEPT_HITS = 40
_CLOSE_LINES = 300
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
        self._shapes = Shapes(self._signs)
        self._of_sign: dict[int, Hits] = {}

    def is_enough(self, sign: Sign, lines: int) -> bool:
        """So many lines have it, close enough to count: more of them only make a larger number."""
        hits = self._of_sign.get(id(sign))
        return hits is not None and hits.count >= lines and hits.is_close

    def leave(self, signs: Iterable[Sign]) -> None:
        """Look for these no longer; a caller who has faster means counts their lines."""
        left = {id(sign) for sign in signs}
        self._signs = tuple(sign for sign in self._signs if id(sign) not in left)
        self._shapes = Shapes(self._signs)

    def count(self, sign: Sign, lines: int) -> None:
        """So many more lines have a sign that was left."""
        self._hits_of(sign).count += lines

    def feed(self, lines: Iterable[Line]) -> None:
        for line in lines:
            self.total += 1
            self._keep(line)
            for sign in self._shapes.signs_in(line.text):
                self._hits_of(sign).add(line, self.total)

    def _keep(self, line: Line) -> None:
        if self._room > len(line.text) and len(self.lines) < _KEPT_LINES:
            self._room -= len(line.text)
            self.lines.append(line)

    def _hits_of(self, sign: Sign) -> Hits:
        hits = self._of_sign.get(id(sign))
        if hits is None:
            hits = self._of_sign[id(sign)] = Hits(sign=sign)
            self.hits.setdefault(sign.code, []).append(hits)
        return hits
