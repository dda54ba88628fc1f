"""The hostpci grammar against what PVE 8.4 and 9.2 answered."""

from __future__ import annotations

from typing import Any

import pytest

from hostpci.pve.hostpci import PVE8, PVE9, FormatError, api_error, parse_values
from hostpci.pve.start import StartError, resolve
from hostpci.pve.vmconfig import parse_vm_config

from ..pvefacts import view
from ..shared import WHY_SKIPPED, answers, of_version

CASES: list[dict[str, Any]] = answers("hostpci-oracle") or []
FAKE: dict[str, Any] = answers("oracle-fake-host") or {"host": {"devices": []}, "pci_cfg": ""}
HOST = view(FAKE["host"]["devices"], FAKE["pci_cfg"])
pytestmark = pytest.mark.skipif(not CASES, reason=WHY_SKIPPED)
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: repr(case["value"])[:60])
each_pve = pytest.mark.parametrize("pve", [PVE8, PVE9])


@each_pve
@each_case
def test_a_value_is_taken_or_refused_in_the_same_words(case: dict[str, Any], pve: int) -> None:
    expected = of_version(case, pve)
    assert api_error("hostpci0", case["value"], pve=pve) == expected["api_error"]
    if expected["valid"]:
        assert parse_values(case["value"], pve=pve) == expected["parsed"]
    else:
        with pytest.raises(FormatError) as caught:
            parse_values(case["value"], pve=pve)
        assert str(caught.value) == expected["error"]


@each_pve
@each_case
def test_a_line_of_a_file_is_kept_or_dropped_in_the_same_words(
    case: dict[str, Any], pve: int
) -> None:
    line = of_version(case, pve)["conf_line"]
    if line is None:
        pytest.skip("the value is of more than one line")
    config = parse_vm_config(f"hostpci0: {case['value']}\n", pve=pve)
    assert config.main.get("hostpci0") == line["kept"]
    assert list(config.warnings) == line["warnings"]


@each_pve
@each_case
def test_a_start_finds_the_same_functions_or_fails_in_the_same_words(
    case: dict[str, Any], pve: int
) -> None:
    expected = of_version(case, pve)["start"]
    try:
        answer = {"error": None, **resolve(case["value"], HOST, pve=pve).document()}
    except (StartError, FormatError) as error:
        answer = {"error": str(error)}
    assert answer == expected
