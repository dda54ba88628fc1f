"""Where trees are laid out by the hundred."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Memory, where there is some: the kills are real, only the waiting for a disk is left out."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path_factory.mktemp("disk")
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="hostpci-test-") as directory:
        yield Path(directory)


@pytest.fixture
def bench(disk: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=disk) as directory:
        yield Path(directory)
