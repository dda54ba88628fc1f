"""Options of claims and of the host, and what guides left."""

from __future__ import annotations

TEXTS: dict[str, str] = {}
