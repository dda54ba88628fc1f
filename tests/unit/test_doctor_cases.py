"""What people post, one family a file of ``tests/doctor``: each excerpt has its cause first.

The excerpts are made from the messages of the sources, in the shapes in which they are posted;
``near`` ones say something similar and must raise nothing.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hostpci.diagnose.engine import diagnose
from hostpci.diagnose.knowledge import load
from hostpci.model.diagnosis import Severity

FAMILIES = sorted((Path(__file__).parents[1] / "doctor").glob("*.toml"))


def _entries(kind: str) -> Iterator[Any]:
    for family in FAMILIES:
        found = tomllib.loads(family.read_text(encoding="utf-8")).get(kind, [])
        for number, entry in enumerate(found):
            codes = entry.get("code", entry.get("not"))
            yield pytest.param(entry, id=f"{family.stem}-{number}-{codes[0]}")


def _lines(entry: dict[str, Any]) -> list[str]:
    return str(entry["log"]).strip("\n").splitlines()


@pytest.mark.parametrize("entry", [*_entries("case")])
def test_the_cause_comes_first(entry: dict[str, Any]) -> None:
    found = diagnose(_lines(entry))
    codes = [each.code for each in found]
    assert set(codes[:1]) & set(entry["code"]), codes
    if entry.get("harmless"):
        assert {each.severity for each in found} == {Severity.INFO}


@pytest.mark.parametrize("entry", [*_entries("near")])
def test_what_only_looks_like_it_raises_nothing(entry: dict[str, Any]) -> None:
    raised = {each.code for each in diagnose(_lines(entry)) if each.severity is not Severity.INFO}
    assert not raised
    assert set(entry["not"]) <= set(load().faults)


def test_every_code_has_an_excerpt() -> None:
    tried = {code for entry in _entries("case") for code in entry.values[0]["code"]}
    assert tried == set(load().faults)
