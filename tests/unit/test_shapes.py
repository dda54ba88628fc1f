"""What is told by shapes is what each line tells: no sign is missed, none is invented."""

from __future__ import annotations

import random
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostpci.diagnose.blind import blind, cares_for_digits
from hostpci.diagnose.bulk import Bulk, repeats
from hostpci.diagnose.engine import judge
from hostpci.diagnose.knowledge import Sign, load
from hostpci.diagnose.lines import messages
from hostpci.diagnose.scan import Scan
from hostpci.diagnose.shapes import Shapes, shape_of
from tests.ordinary_journal import journal

SIGNS = tuple(load().signs())
_CASES = Path(__file__).parent.parent / "doctor"
# Every line of every excerpt that a case of the doctor has
LINES = tuple(
    sorted(
        {
            line
            for path in _CASES.glob("*.toml")
            for entry in tomllib.loads(path.read_text(encoding="utf-8"))["case"]
            for line in entry["log"].splitlines()
        }
    )
)
ADDED = (
    "first\\x0aNVGI",
    "one#012D3cold#0120",
    "\x1b[31mCode 43\x1b[0m",
    "D3cold \r",
    "\xe9 错误代码 43",
)
ALL = (*LINES, *ADDED)


def _slowly(text: str) -> list[Sign]:
    return [sign for sign in SIGNS if sign.regex.search(text)]


def test_a_line_has_the_signs_that_its_patterns_say() -> None:
    shapes = Shapes(SIGNS)
    for text in ALL * 2:
        assert list(shapes.signs_in(text)) == _slowly(text)


@settings(deadline=None)
@given(st.data())
def test_a_blind_pattern_matches_the_shape_of_all_that_its_pattern_matches(
    data: st.DataObject,
) -> None:
    sign = data.draw(st.sampled_from(SIGNS))
    text = data.draw(st.from_regex(sign.regex))
    assert re.search(blind(sign.pattern), shape_of(text))


@settings(deadline=None)
@given(st.data())
def test_who_does_not_care_for_digits_says_the_same_of_a_whole_shape(data: st.DataObject) -> None:
    """Each of the lines that has the sign, and the same with other digits."""
    text = data.draw(st.sampled_from(ALL))
    other = "".join(
        data.draw(st.sampled_from("0123456789")) if c in "0123456789" else c for c in text
    )
    for sign in SIGNS:
        if not cares_for_digits(sign.pattern):
            assert bool(sign.regex.search(text)) == bool(sign.regex.search(other))


@pytest.mark.parametrize(
    ("pattern", "cares"),
    [("code 43", True), ("a[0-9]b", False), ("a[1-9]b", True), ("[^0-9]x", False),
     ("x{3,6}", False), ("[^1]x", True), ("(a|b7)", True), (r"\[ ?[0-9]+\]", False)],
)  # fmt: skip
def test_which_patterns_care_for_digits(pattern: str, *, cares: bool) -> None:
    assert cares_for_digits(pattern) is cares


def test_a_class_that_leaves_a_digit_out_lets_every_other_in() -> None:
    assert re.search(blind("[^1]x"), shape_of("2x"))


def _fed(lines: list[str]) -> Scan:
    scan = Scan(load(), is_part=True)
    scan.feed(messages(lines))
    return scan


def _in_bulk(lines: list[str], *, enough: int) -> Scan:
    """In pieces; what was there often enough is left after each, as a reader of logs does it."""
    scan = Scan(load(), is_part=True)
    bulk, left = Bulk(scan, SIGNS), set[int]()
    for at in range(0, len(lines), 50):
        bulk.piece("".join(f"{line}\n" for line in lines[at : at + 50]).encode(), at + 1)
        known = [s for s in SIGNS if id(s) not in left and scan.is_enough(s, enough)]
        scan.leave(known)
        bulk.leave(known, ())
        left |= {id(sign) for sign in known}
    return scan


def _seen(scan: Scan) -> dict[tuple[str, str], tuple[int, bool]]:
    return {
        (code, each.sign.pattern): (each.count, each.is_close)
        for code, hits in scan.hits.items()
        for each in hits
    }


_NEVER = 1_000_000
_SAYING = tuple(text for text in ALL if _slowly(text))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(_SAYING), st.sampled_from([1, 1, 1, 2, 12, 150])), max_size=12
    ),
    seed=st.integers(0, 99),
    enough=st.sampled_from([1, 5, 60, _NEVER]),
)
def test_storms_in_bulk_have_the_diagnoses_of_their_lines(
    rows: list[tuple[str, int]], seed: int, enough: int
) -> None:
    """Each line in its own second, as in a journal, between lines that say nothing."""
    dice = random.Random(seed)  # noqa: S311
    lines = [
        f"Nov 25 08:{dice.randrange(60):02}:{dice.randrange(60):02} pve1 {text}"
        for text, times in rows
        for _ in range(times)
    ]
    lines += journal(2_000, seed=seed)
    whole, found = _fed(lines), _in_bulk(lines, enough=enough)
    assert _seen(found) == _seen(whole)
    if enough == _NEVER:  # lines that only have what was left are not kept for the listings
        assert [(each.code, each.severity, each.score) for each in judge(found)] == [
            (each.code, each.severity, each.score) for each in judge(whole)
        ]


def test_a_storm_repeats_and_a_journal_does_not() -> None:
    storm = "".join(f"Nov 25 08:00:{at % 60:02} pve1 kernel: the same {at}\n" for at in range(9000))
    assert repeats(storm.encode())
    assert not repeats("\n".join(journal(400_000)).encode())
    assert not repeats(b"one line")
    assert repeats(b"\n" * 5000)
