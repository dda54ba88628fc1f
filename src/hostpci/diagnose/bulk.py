"""Large pieces of a log without a search program: every shape of a line is asked once a piece.

What a log says all day are some thousand shapes. Telling them apart is work that the interpreter
does in C: a translation, a split, a count. Lines are looked at one by one only where their shape
can have a sign of which more must be known than how often it was there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from .knowledge import Sign
from .lines import MAX_CHARS, Line, split
from .scan import Scan
from .shapes import DIGITS, Asked, Shapes

LONGEST_BYTES = MAX_CHARS * 4
_BLOCK_BYTES = 1 << 21
_SAMPLE_BYTES = 1 << 15
_FEW = 16
_TO_ZERO = bytes.maketrans(DIGITS.encode(), b"0" * len(DIGITS))
# What lines.split makes several lines of, or takes out; shapes have no other digit
_SPLIT = (b"\\x0a", b"#000", b"\\nNVRM", b"\x1b")


class Bulk:
    """Feeds a scan with the lines of pieces in which something may be.

    Signs that were ``left`` are looked for by nobody else: they are counted here.
    """

    def __init__(self, scan: Scan, signs: Sequence[Sign]) -> None:
        self._scan = scan
        self._signs = signs
        self._left: set[int] = set()
        self._shapes = Shapes(signs)

    def leave(self, counted: Sequence[Sign], dropped: Sequence[Sign]) -> None:
        """The scan looks for neither any more; only the first are to be counted from now on."""
        self._left |= {id(sign) for sign in counted}
        gone = {id(sign) for sign in dropped}
        if gone:
            self._signs = [sign for sign in self._signs if id(sign) not in gone]
            self._shapes = Shapes(self._signs)

    def piece(self, piece: bytes, first: int) -> None:
        for block in _blocks(piece):
            first += self._block(block, first)

    def _block(self, block: bytes, first: int) -> int:
        """Returns how many lines it ends."""
        shapes = block.translate(_TO_ZERO).split(b"\n")
        wanted = {}
        for shape, lines in Counter(shapes).items():
            possible = self._possible(shape)
            if possible is None or not all(self._is_counted(each) for each in possible):
                wanted[shape] = possible
            else:
                for each in possible:
                    self._scan.count(each.sign, lines)
        if wanted:
            rows = block.split(b"\n")
            for at in [at for at, shape in enumerate(shapes) if shape in wanted]:
                self._row(first + at, rows[at], wanted[shapes[at]])
        return len(shapes) - 1

    def _possible(self, shape: bytes) -> tuple[Asked, ...] | None:
        """None: the line is not the message, so its shape tells nothing."""
        is_plain = shape.isascii() and not shape.startswith(b">")
        if not is_plain or len(shape) > MAX_CHARS or any(each in shape for each in _SPLIT):
            return None
        return self._shapes.possible(shape.decode("utf-8", "replace").rstrip())

    def _is_counted(self, asked: Asked) -> bool:
        return asked.is_sure and id(asked.sign) in self._left

    def _row(self, number: int, row: bytes, possible: tuple[Asked, ...] | None) -> None:
        text = row[:LONGEST_BYTES].decode("utf-8", "replace")
        if possible is None:
            for line in split(number, text):
                self._found(line, self._shapes.signs_in(line.text))
            return
        line = Line(number=number, text=text.rstrip())
        self._found(line, [each.sign for each in possible if each.is_in(line.text)])

    def _found(self, line: Line, signs: Sequence[Sign]) -> None:
        left = [sign for sign in signs if id(sign) in self._left]
        for sign in left:
            self._scan.count(sign, 1)
        if len(left) < len(signs):
            self._scan.feed((line,))


def repeats(piece: bytes) -> bool:
    """Whether it says a few things all the time: then this is faster than any search program."""
    third = len(piece) // 3
    rows = [
        row
        for at in range(0, len(piece), third or 1)
        for row in piece[at : at + _SAMPLE_BYTES].translate(_TO_ZERO).split(b"\n")
    ]
    return len(set(rows)) * _FEW <= len(rows)


def _blocks(piece: bytes) -> Iterator[bytes]:
    """Whole lines, so few that the list of them does not fill the memory."""
    at = 0
    while at < len(piece):
        end = piece.find(b"\n", at + _BLOCK_BYTES) + 1 or len(piece)
        yield piece[at:end]
        at = end
