"""``hostpci start VMID``: a machine started through PVE, and why, where it does not."""

from __future__ import annotations

from ...errors import Exit
from ...pve.power import PowerEnd, TaskFailedError, last_lines, start_vm
from ..context import Context
from ..whyfailed import tell_failed
from ..wishes import asked_vmid

_SCHEMA = "hostpci.start/1"


def run(context: Context) -> int:
    vmid = asked_vmid(context.args.vmid)
    try:
        done = start_vm(context.pve(), vmid)
    except TaskFailedError as failed:
        return tell_failed(context, failed, {"schema": _SCHEMA, "vmid": vmid, "running": False})
    if context.args.json:
        context.json(
            {"schema": _SCHEMA, "vmid": vmid, "running": True, "was_running": done.was_so,
             "node": done.node, "state": done.state, "error": None,
             "status": done.end.status if done.end else None, "log": list(done.log)}
        )  # fmt: skip
        return Exit.OK
    _tell(context, done)
    return Exit.OK


def _tell(context: Context, done: PowerEnd) -> None:
    code = "start.was-running" if done.was_so else "start.done"
    text = context.catalog.text(code, vmid=done.vmid, node=done.node, state=done.state)
    context.out(text, "PASS")
    if done.end is not None and done.end.has_warnings:
        context.tell("start.warnings", status=done.end.status)
        context.say(last_lines(done.end))
