"""Resource mappings against what PVE 8.4 and 9.2 made of them."""

from __future__ import annotations

from typing import Any

import pytest

from hostpci.pve.formats import FORMATS
from hostpci.pve.mapping import (
    ENTRY,
    Mappings,
    Section,
    api_errors,
    parse_mappings,
    why_invalid,
    write_mappings,
)
from hostpci.pve.schema import FormatError, parse_property_string
from hostpci.pve.start import StartError, resolve

from ..pvefacts import view
from ..shared import WHY_SKIPPED, answers

ANSWERS: dict[str, Any] = answers("pci-mapping-oracle") or {
    "file_cases": [],
    "api_create_cases": [],
}
DEVICES: list[dict[str, Any]] = (answers("oracle-fake-host") or {"host": {"devices": []}})["host"][
    "devices"
]
pytestmark = pytest.mark.skipif(not ANSWERS["file_cases"], reason=WHY_SKIPPED)


def rewritten(mappings: Mappings) -> dict[str, str | None]:
    try:
        return {"rewritten": write_mappings(mappings), "write_error": None}
    except FormatError as error:
        return {"rewritten": None, "write_error": str(error)}


def on_this_node(mappings: Mappings, name: str, section: Section | None) -> dict[str, Any]:
    host = view(DEVICES, mappings)
    try:
        start: dict[str, Any] = {
            "alternatives": resolve(f"mapping={name}", host).document()["alternatives"]
        }
    except StartError as error:
        start = {"error": str(error)}
    answer: dict[str, Any] = {"hostpci_start": start, "warnings": [], "entries": None}
    if section is not None:
        entries = section.entries("localhost")
        wrong = [why_invalid(name, section, each, host.devices) for each in entries]
        parsed = [parse_property_string(ENTRY, each, formats=FORMATS) for each in section.maps]
        answer["entries"] = [each for each in parsed if each["node"] == "localhost"]
        answer["assert_valid"] = [each or "ok" for each in wrong]
    return answer


@pytest.mark.parametrize("case", ANSWERS["file_cases"], ids=lambda case: case["name"])
def test_a_file_is_read_written_and_found_true_the_same(case: dict[str, Any]) -> None:
    assert case["pve8"] == "same"
    mappings = parse_mappings(case["text"])
    assert mappings.document() == case["ids"]
    assert list(mappings.warnings) == case["warnings"]
    assert mappings.order == case["order"]
    assert rewritten(mappings).items() <= case.items()
    found = {name: on_this_node(mappings, name, each) for name, each in mappings.sections.items()}
    assert (found or None) == case["node_mapping"]


@pytest.mark.parametrize("case", ANSWERS["api_create_cases"], ids=lambda case: case["name"])
def test_a_mapping_is_created_or_refused_the_same(case: dict[str, Any]) -> None:
    assert case["pve8"] == "same"
    given = case["param"]
    assert api_errors(given) == case.get("errors", {})
    if "file" in case:
        section = Section(
            maps=tuple(given["map"]), mdev=given.get("mdev"), description=given.get("description")
        )
        assert write_mappings(Mappings(sections={given["id"]: section})) == case["file"]
