"""Settings of a VM are changed all or not at all, which PVE alone does not see to.

PVE takes the settings of one call one after the other, in no order, and writes each into the
machine's pending changes before it checks the next [qemu-server PVE/API2/Qemu.pm update_vm_api: the
worker; check_hostpci_perm is called in it]. A call that is refused may therefore leave a part of
itself behind, which would take effect at the next start. It is taken back here.

What allots or frees a disk takes its time. PVE has two calls that do the same: PUT answers when all
is done, or not at all once a proxy has lost its patience; POST starts a task, which is followed
[there, "POST/PUT {vmid}/config implementation"]. What both check before is refused at once.
"""

from __future__ import annotations

from .node import Params, Pve, PveError
from .refusals import Answer, refusal
from .schema import split_list
from .vmoptions import DRIVES

# Refused before PVE looked at the settings, or nobody knows whether it did
_LEFT_NOTHING = {
    "pve-not-found", "pve-locked", "pve-digest", "pve-auth", "pve-unreachable", "pve-untrusted",
    "pve-untrusted-pin", "pve-unsupported", "pve-lost", "pve-no-pvesh", "pve-secret-in-words",
    "pve-task-slow",
}  # fmt: skip
_DISK_TIMEOUT_S = 3600


def set_config(pve: Pve, node: str, vmid: int, params: Params) -> None:
    """One call that changes settings; after a refusal all are as before. Raises PveError.

    ``pve-half-changed`` is the exception: then ``keys`` are still pending, and ``reason`` says why.
    """
    machine = f"/nodes/{node}/qemu/{vmid}"
    before = _pending(pve, machine)
    try:
        if _touches_disk(params):
            _in_a_task(pve, f"{machine}/config", params)
        else:
            pve.call("set", f"{machine}/config", params)
    except PveError as error:
        if error.code not in _LEFT_NOTHING:
            _take_back(pve, machine, before, vmid, error)
        raise


def _touches_disk(params: Params) -> bool:
    keys = [*params, *split_list(str(params.get("delete", "")))]
    return any(DRIVES.fullmatch(each) or each.startswith("unused") for each in keys)


def _in_a_task(pve: Pve, path: str, params: Params) -> None:
    """What the task refuses is told like what the call would have refused."""
    upid = pve.call("create", path, params)
    if upid is None:
        return
    end = pve.follow(str(upid), timeout_s=_DISK_TIMEOUT_S)
    if not end.ok:
        raise refusal(Answer(message=end.status), call=f"POST {path}", who=pve.who)


def _pending(pve: Pve, machine: str) -> dict[str, object]:
    """What waits for the next start: key -> its value, or that it goes."""
    listed = pve.call("get", f"{machine}/pending")
    return {
        str(each["key"]): each.get("pending", "delete" in each)
        for each in listed
        if "pending" in each or "delete" in each
    }


def _take_back(
    pve: Pve, machine: str, before: dict[str, object], vmid: int, refused: PveError
) -> None:
    try:
        after = _pending(pve, machine)
        left = sorted(key for key, value in after.items() if before.get(key) != value)
        # what was pending before and is no more cannot be had back by reverting: it is said
        lost = [key for key in left if key in before]
        if left and not lost:
            pve.call("set", f"{machine}/config", {"revert": ",".join(left)})
            lost = sorted(set(_pending(pve, machine)) - set(before))
    except PveError as error:
        raise _half(vmid, "?", refused, str(error.params.get("reason", error.code))) from refused
    if lost:
        raise _half(vmid, ", ".join(lost), refused, "") from refused


def _half(vmid: int, keys: str, refused: PveError, why: str) -> PveError:
    reason = str(refused.params.get("reason", refused.code))
    return PveError(
        "pve-half-changed", vmid=vmid, keys=keys, reason=f"{reason}; {why}" if why else reason
    )
