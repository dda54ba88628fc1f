"""What has changed since, and names that move."""

from __future__ import annotations

TEXTS: dict[str, str] = {}
