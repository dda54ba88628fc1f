"""``hostpci stop VMID``: the guest is asked to end, and nothing is torn from it unless asked."""

from __future__ import annotations

from ...errors import Exit, UsageError
from ...pve.power import SHUTDOWN_S, TaskFailedError, stop_vm
from ..context import Context
from ..whyfailed import tell_failed
from ..wishes import asked_vmid

_SCHEMA = "hostpci.stop/1"
_LONGEST_S = 24 * 3600


def run(context: Context) -> int:
    vmid, timeout_s = asked_vmid(context.args.vmid), asked_seconds(context.args.timeout)
    document = {"schema": _SCHEMA, "vmid": vmid}
    try:
        done = stop_vm(
            context.pve(), vmid, timeout_s=timeout_s, by_force=bool(context.args.force)
        )  # fmt: skip
    except TaskFailedError as failed:
        return tell_failed(context, failed, {**document, "stopped": False})
    context.json(
        {**document, "stopped": True, "was_stopped": done.was_so, "node": done.node, "error": None}
    )
    if not context.args.json:
        code = "stop.was-stopped" if done.was_so else "stop.done"
        context.out(context.catalog.text(code, vmid=vmid, node=done.node), "PASS")
    return Exit.OK


def asked_seconds(text: str | None) -> int:
    if text is None:
        return SHUTDOWN_S
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _LONGEST_S):
        raise UsageError("stop-bad-timeout", text=text, most=_LONGEST_S)
    return int(text)
