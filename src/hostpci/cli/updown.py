"""Undo of ``up``: the machines that it has started are shut down before anything is taken back."""

from __future__ import annotations

from ..errors import EnvironmentFault, ToolError
from ..model.guests import GuestKind
from ..model.up import UpRecord
from .context import Context

_SHUTDOWN_S = 300


def started_machines(context: Context) -> tuple[UpRecord, ...]:
    """Those that still run with the slot. Machines that ran before ``up`` came are not ours."""
    if not context.is_live:
        return ()
    from ..executor.up import read_records  # loads what writes: not for a dry run of a tree

    try:
        records = [each for each in read_records(context.root()) if each.has_started]
    except ToolError as error:
        context.show_error(error)
        return ()
    if not records:
        return ()
    running = {
        guest.number
        for guest in context.facts_without_claims().guests
        if guest.kind is GuestKind.VM and guest.is_running
    }
    return tuple(each for each in records if each.wish.vmid in running)


def stop_machines(context: Context, records: tuple[UpRecord, ...]) -> None:
    """Through PVE: an orderly shutdown, by force when its time is over."""
    from ..pve.power import TaskFailedError, stop_vm

    pve = context.pve()
    for vmid in dict.fromkeys(each.wish.vmid for each in records):
        context.tell("undo.stopping-vm", vmid=vmid)
        try:
            stop_vm(pve, vmid, timeout_s=_SHUTDOWN_S, by_force=True)
        except TaskFailedError as failed:
            reason = failed.end.status
            raise EnvironmentFault("undo-vm-runs", vmid=vmid, reason=reason) from failed
