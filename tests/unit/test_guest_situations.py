"""Every described guest: what is decided equals the golden, and what must be true of it is true.

The goldens (``tests/guests/NAME.expected.json``) hold the decision and the messages in both
languages; ``./dev goldens`` writes them anew, and the difference is reviewed like code. The
expectations in the descriptions were written from what NVIDIA, AMD, Intel and the distributions
say, not from what the program says: nothing rewrites them.
"""

from __future__ import annotations

import json
import os
from functools import cache
from typing import Any

import pytest

from .. import guest_situations as guests

REGENERATES = os.environ.get("HOSTPCI_GOLDENS") == "write"
NAMES = guests.names()


@cache
def _answer(name: str) -> dict[str, Any]:
    return guests.answer(name)


def test_there_are_enough_of_them() -> None:
    assert len(NAMES) >= 60


@pytest.mark.parametrize("name", NAMES)
def test_each_says_what_it_is_and_what_must_come_out(name: str) -> None:
    data = guests.situation(name)
    assert len(data["about"]) > 12
    assert data["expect"]


@pytest.mark.parametrize("name", NAMES)
def test_what_must_be_true_is_true(name: str) -> None:
    expect, found = guests.situation(name)["expect"], _answer(name)
    assert found.get("error") == expect.get("error")
    for key in ("verdict", "steps", "packages"):
        if key in expect:
            assert found[key] == expect[key], key
    if "driver" in expect:
        assert set(found["drivers"].values()) == {expect["driver"]}
    for finding in expect.get("findings", ()):
        assert finding in found["findings"]


@pytest.mark.parametrize("name", NAMES)
def test_a_blocked_guest_has_no_steps_and_says_what_blocks(name: str) -> None:
    found = _answer(name)
    if found.get("verdict") in ("blocked", "person"):
        assert found["steps"] == []
        assert any(each.endswith(" FAIL") for each in found["findings"])
    if found.get("verdict") in ("install", "reboot"):
        assert found["steps"]


@pytest.mark.parametrize("name", NAMES)
def test_golden(name: str) -> None:
    path = guests.HERE / f"{name}.expected.json"
    text = json.dumps(_answer(name), indent=1, ensure_ascii=False) + "\n"
    if REGENERATES:
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text
