"""Excerpts of real logs whose cause was found by people: the doctor must say it first."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from hostpci.diagnose.engine import diagnose
from hostpci.facts.redact import Redactor

EVIDENCE = Path(__file__).parents[3] / "shared/examples/evidence"
pytestmark = pytest.mark.skipif(
    not EVIDENCE.is_dir(), reason="the collected excerpts are not beside the checkout"
)


def _cases() -> list[tuple[str, tuple[str, ...]]]:
    if not EVIDENCE.is_dir():
        return []
    with (EVIDENCE / "index.tsv").open(encoding="utf-8") as stream:
        return [
            (f"{row['no']}-{row['slug']}.txt", tuple(row["expected"].split(", ")))
            for row in csv.DictReader(stream, delimiter="\t")
        ]


def _lines(name: str) -> list[str]:
    return (EVIDENCE / name).read_text(encoding="utf-8").partition("---\n")[2].splitlines()


@pytest.mark.parametrize(("name", "expected"), _cases())
def test_the_known_cause_comes_first(name: str, expected: tuple[str, ...]) -> None:
    assert diagnose(_lines(name))[0].code in expected


@pytest.mark.parametrize(("name", "expected"), _cases())
def test_the_same_in_a_journal_and_with_another_card(name: str, expected: tuple[str, ...]) -> None:
    lines = [re.sub(r"\b(01|04|0a|0c):00\.", "2b:00.", each) for each in _lines(name)]
    journal = [re.sub(r"^\[ *[0-9.]+\] ", "Nov 25 08:00:01 node7 kernel: ", each) for each in lines]
    assert diagnose(journal)[0].code in expected


@pytest.mark.parametrize(("name", "expected"), _cases())
def test_the_same_after_redaction(name: str, expected: tuple[str, ...]) -> None:
    redactor = Redactor()
    found = diagnose(redactor.text(line) for line in _lines(name))
    assert [each.code for each in found] == [each.code for each in diagnose(_lines(name))]
    assert found[0].code in expected
