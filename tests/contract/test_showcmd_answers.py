"""QEMU's arguments against those that PVE 8.4 and 9.2 made."""

from __future__ import annotations

from typing import Any

import pytest

from hostpci.pve.hostpci import PVE8, PVE9
from hostpci.pve.showcmd import FormatError, StartError, arguments
from hostpci.pve.vmconfig import parse_vm_config

from ..pvefacts import view
from ..shared import WHY_SKIPPED, answers, of_version

ANSWERS: dict[str, Any] = answers("showcmd-oracle") or {"cases": []}
FAKE: dict[str, Any] = answers("oracle-fake-host") or {"host": {"devices": []}, "pci_cfg": ""}
HOST = view(FAKE["host"]["devices"], FAKE["pci_cfg"])
pytestmark = pytest.mark.skipif(not ANSWERS["cases"], reason=WHY_SKIPPED)


@pytest.mark.parametrize("pve", [PVE8, PVE9])
@pytest.mark.parametrize("case", ANSWERS["cases"], ids=lambda case: case["name"])
def test_the_arguments_are_the_same(case: dict[str, Any], pve: int) -> None:
    expected = of_version(case, pve)
    text = "".join(f"{key}: {value}\n" for key, value in case["config"].items())
    config = parse_vm_config(text, pve=pve)
    qemu = ANSWERS["qemu_version"][f"pve{pve}"]
    answer: dict[str, Any] = {"warnings": list(config.warnings), "error": None, "args": None}
    try:
        made = arguments(config.main, HOST, vmid=case["vmid"], pve=pve, qemu=qemu)
        answer["args"] = [list(each) for each in made]
    except (StartError, FormatError) as error:
        answer["error"] = str(error)
    assert answer == {key: expected[key] for key in answer}
