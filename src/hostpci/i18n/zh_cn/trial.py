"""Trial boots, confirmation and what goes on after a reboot."""

from __future__ import annotations

TEXTS: dict[str, str] = {}
