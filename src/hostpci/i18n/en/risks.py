"""What the host would lose, and consent to it."""

from __future__ import annotations

TEXTS: dict[str, str] = {}
