"""``hostpci scan``: every PCI function, who goes with it, and what the host uses it for."""

from __future__ import annotations

from ...errors import Exit
from ...facts.look import Look
from ...facts.pci import read_inventory
from ...render.scan import render_inventory
from ..context import Context


def run(context: Context) -> int:
    inventory = read_inventory(Look(context.root()), context.runner())
    if context.args.json:
        from ...model.codec import document

        context.json(document("hostpci.inventory/1", inventory))
        return Exit.OK
    for line, level in render_inventory(inventory, context.catalog, full=context.args.full):
        context.out(line, level)
    for gap in inventory.unmeasured:
        context.tell("scan.unmeasured", what=gap.what, why=gap.why)
    return Exit.OK
