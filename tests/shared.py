"""Answers of real PVE code, kept beside the checkout; tests that need them skip without."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from hostpci.pve.hostpci import PVE8

from .hosts import shared_data


@cache
def answers(name: str) -> Any:
    """The document ``name``.json, or None where there is none."""
    data = shared_data()
    path = data / "data" / f"{name}.json" if data else None
    return json.loads(path.read_text(encoding="utf-8")) if path and path.is_file() else None


WHY_SKIPPED = "the recorded answers of real PVE are not beside this checkout (../shared/data)"


def of_version(case: dict[str, Any], pve: int) -> dict[str, Any]:
    """The answer of one version: that of 8.4 is only there where it differs."""
    older = case["pve8"]
    return older if pve == PVE8 and older != "same" else case
