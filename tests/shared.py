"""Answers of real PVE code, kept beside the checkout; tests that need them skip without."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[2] / "shared" / "data"


@cache
def answers(name: str) -> Any:
    """The document ``name``.json, or None where there is none."""
    path = DATA / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


WHY_SKIPPED = "the recorded answers of real PVE are not beside this checkout (../shared/data)"
