"""Runs in the guest: hostpci with a pause around everything that touches the disk.

A power cut at a random moment of an ordinary apply hits reading and thinking; the writing is a
few hundredths of a second. Pauses make each state of the disk last long enough to be hit.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

_PAUSE_S = 0.25


def _slowed(call: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  (stands for any os call)
        time.sleep(_PAUSE_S)
        result = call(*args, **kwargs)
        time.sleep(_PAUSE_S)
        return result

    return wrapped


if __name__ == "__main__":
    for _name in ("fsync", "rename", "unlink", "mkdir", "ftruncate"):
        setattr(os, _name, _slowed(getattr(os, _name)))
    sys.path.insert(0, "/run/hostpci/src")
    from hostpci.cli.main import main

    sys.exit(main(sys.argv[1:]))
