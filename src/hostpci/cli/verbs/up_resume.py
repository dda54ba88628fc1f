"""Called by our unit in the boot after a reboot: goes on with what ``up`` has left for it."""

from __future__ import annotations

from ...errors import Exit
from ..context import Context
from ..upboot import drop_copy, leave_message, wait_for_trial, withdraw
from ..upway import Way
from .up import go

# What the verbs of the stages ask of their words, and our unit does not say
_WORDS = {
    "yes": True, "now": False, "reboot": False, "confirm_within": None, "healthy": None,
    "root": None, "host": None,
}  # fmt: skip


def run(context: Context) -> int:
    """Consent was given before the reboot, to all that was still to come."""
    machine = context.machine()
    waiting = withdraw(context, machine)
    if not waiting:
        context.tell("up.nothing-waits")
        return Exit.OK
    wait_for_trial(context)
    codes = []
    for record in waiting:
        ours = Way(context, record.wish).child(**_WORDS)
        codes.append(go(Way(ours, record.wish, is_resumed=True)))
        end = "up.all-done" if codes[-1] == Exit.OK else "up.stopped-after-boot"
        text = context.catalog.text(
            end, slot=record.wish.slot, vmid=record.wish.vmid, stage=record.wish.until
        )
        leave_message(context, machine, text)
    drop_copy(machine)
    return max(codes)
