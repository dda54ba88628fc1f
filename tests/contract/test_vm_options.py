"""The distilled options of a VM are those of the published schemas."""

from __future__ import annotations

import pytest

from tools.vm_options import TARGET, distilled

from ..hosts import shared_data
from ..shared import WHY_SKIPPED

DATA = shared_data()


@pytest.mark.skipif(DATA is None, reason=WHY_SKIPPED)
def test_the_file_is_what_the_schemas_give() -> None:
    assert DATA is not None
    schemas = [str(DATA / "data" / f"pve-{each}-apidata.json") for each in ("8.4", "9.1")]
    assert TARGET.read_text(encoding="utf-8") == distilled(*schemas)
