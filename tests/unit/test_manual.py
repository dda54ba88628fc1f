"""The manual says what the program's tables say, and names what there is."""

from __future__ import annotations

import re

import pytest

from docs.generate import MANUALS, PARTS, filled
from hostpci.facts.claims import PATH as CLAIMS
from hostpci.facts.claims import parse_claims_file
from hostpci.facts.settings import GRUB_DROPIN
from hostpci.model.baseline import BASELINE
from hostpci.model.drifttimer import SERVICE
from hostpci.model.network import LINKS_DIRECTORY
from hostpci.model.rule import RULES_DIRECTORY

LANGUAGES = sorted(MANUALS)


def text_of(language: str) -> str:
    return MANUALS[language].read_text(encoding="utf-8")


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_made_of_tables_is_as_they_are_today(language: str) -> None:
    """If this fails: ./dev manual"""
    assert text_of(language) == filled(text_of(language), language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_part_is_there_once(language: str) -> None:
    assert re.findall("<!-- made: ([a-z-]+) -->", text_of(language)) == list(PARTS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_part_that_has_gone_stale_is_seen(language: str) -> None:
    stale = re.sub(r"(?m)^\* `--json`.*$", "* gone", text_of(language), count=1)
    assert stale != text_of(language)
    assert filled(stale, language) == text_of(language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_example_of_a_claims_file_is_one(language: str) -> None:
    lines = text_of(language).partition("    [host]")[2].partition("\n* `slot`")[0].splitlines()
    example = "\n".join(["[host]", *(line.removeprefix("    ") for line in lines)])
    claims = parse_claims_file(example)
    assert [each.slot for each in claims.claims] == ["0000:01:00"]
    assert claims.claims[0].accept == ("group-shares-audio",)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "path", [CLAIMS, GRUB_DROPIN, BASELINE, SERVICE, LINKS_DIRECTORY, RULES_DIRECTORY]
)
def test_the_files_we_write_are_named(language: str, path: str) -> None:
    assert path in text_of(language)


def test_both_languages_have_the_same_sections() -> None:
    first, second = (re.findall("(?m)^#+", text_of(each)) for each in LANGUAGES)
    assert first == second
