"""VM configuration files against what PVE 8.4 and 9.2 made of them."""

from __future__ import annotations

from typing import Any

import pytest

from hostpci.pve.hostpci import PVE8, PVE9
from hostpci.pve.schema import FormatError
from hostpci.pve.vmconfig import VmConfig, parse_vm_config, write_vm_config

from ..shared import WHY_SKIPPED, answers, of_version

CASES: list[dict[str, Any]] = answers("vmconf-oracle") or []
pytestmark = pytest.mark.skipif(not CASES, reason=WHY_SKIPPED)


def rewritten(config: VmConfig, pve: int) -> dict[str, str | None]:
    try:
        return {"rewritten": write_vm_config(config, pve=pve), "write_error": None}
    except FormatError as error:
        return {"rewritten": None, "write_error": str(error)}


@pytest.mark.parametrize("pve", [PVE8, PVE9])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_file_is_read_and_written_the_same(case: dict[str, Any], pve: int) -> None:
    expected = of_version(case, pve)
    config = parse_vm_config(case["text"], pve=pve)
    assert config.document() == expected["config"]
    assert list(config.warnings) == expected["warnings"]
    assert (config.warnings or (None,))[0] == expected["strict_error"]
    assert rewritten(config, pve).items() <= expected.items()
