"""Boot loaders and the kernel command line."""

from __future__ import annotations

TEXTS: dict[str, str] = {}
