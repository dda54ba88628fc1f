"""The hostpci grammar against what PVE 8.4 and 9.2 answered."""

from __future__ import annotations

from typing import Any

import pytest

from hostpci.pve.hostpci import PVE8, PVE9, FormatError, api_error, parse_values

from ..shared import WHY_SKIPPED, answers

CASES: list[dict[str, Any]] = answers("hostpci-oracle") or []
pytestmark = pytest.mark.skipif(not CASES, reason=WHY_SKIPPED)


def of(case: dict[str, Any], pve: int) -> dict[str, Any]:
    older = case["pve8"]
    return older if pve == PVE8 and older != "same" else case


@pytest.mark.parametrize("pve", [PVE8, PVE9])
@pytest.mark.parametrize("case", CASES, ids=lambda case: repr(case["value"])[:60])
def test_a_value_is_taken_or_refused_in_the_same_words(case: dict[str, Any], pve: int) -> None:
    expected = of(case, pve)
    assert api_error("hostpci0", case["value"], pve=pve) == expected["api_error"]
    if expected["valid"]:
        assert parse_values(case["value"], pve=pve) == expected["parsed"]
    else:
        with pytest.raises(FormatError) as caught:
            parse_values(case["value"], pve=pve)
        assert str(caught.value) == expected["error"]
