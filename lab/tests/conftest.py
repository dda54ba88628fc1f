"""Fixtures of the lab's own tests, none of which starts QEMU."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def lab_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the lab's own."""
    monkeypatch.setenv("HOSTPCI_LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
