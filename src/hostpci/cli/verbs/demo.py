"""``hostpci demo``: the whole job on the recorded host, in a scratch directory."""

from __future__ import annotations

from ...demo.tour import Tour
from ...errors import Exit
from ..context import Context


def run(context: Context) -> int:
    tour = Tour(context)
    same = tour.run()
    return Exit.OK if same else Exit.FAILED
