"""``hostpci demo``: the whole job on the recorded host, in a scratch directory."""

from __future__ import annotations

from ...demo.tour import Tour
from ...errors import Exit
from ..context import Context


def run(context: Context) -> int:
    quiet = context.args.json
    tour = Tour(context.catalog, (lambda _line, _level: None) if quiet else context.out)
    different = tour.run()
    if quiet:
        context.json(
            {"schema": "hostpci.demo/1", "next_boot": tour.next_boot, "different": different}
        )
    return Exit.FAILED if different else Exit.OK
