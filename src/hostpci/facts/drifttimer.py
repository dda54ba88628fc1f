"""Reads our own drift units as they lie on the root."""

from __future__ import annotations

from ..model.drifttimer import SERVICE, TIMER, TIMER_START
from .look import Look


def read_timer(look: Look) -> dict[str, str]:
    """Path -> text of those that are there. Raises CorruptError if one is no text."""
    found = {path: look.own_text(path) for path in (SERVICE, TIMER, TIMER_START)}
    return {path: text for path, text in found.items() if text is not None}
