"""Was a machine started since? Each node of a cluster knows only of the starts on itself.

A machine that was migrated has left its starts behind in the list of the node that it came from.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..pve.node import Pve, PveError

# How far the clocks of two nodes of a cluster may be apart
_NODES_DIFFER_S = 300


def why_maybe_started(pve: Pve, vmid: int, since_s: int, *, at: str) -> str:
    """Empty if no node has started it since.

    ``at``: the node whose clock ``since_s`` is of. PVE lists tasks of others only for who has
    Sys.Audit on the node [pve-manager PVE/API2/Tasks.pm].
    """
    unasked = []
    for name, is_up in _nodes(pve, at):
        answer = _was_started(pve, vmid, name, since_s, at) if is_up else None
        if answer:
            return "started since"
        if answer is None:
            unasked.append(name)
    if unasked:
        return f"whether it was started cannot be seen on {', '.join(unasked)}"
    return ""


def _nodes(pve: Pve, at: str) -> Iterator[tuple[str, bool]]:
    """The node itself first; those that PVE knows to be down need not be waited for."""
    yield at, True
    for each in pve.call("get", "/nodes"):
        if each["node"] != at:
            yield str(each["node"]), each.get("status") != "offline"


def _was_started(pve: Pve, vmid: int, node: str, since_s: int, at: str) -> bool | None:
    """None: the node did not say."""
    since = since_s if node == at else since_s - _NODES_DIFFER_S
    words: dict[str, str | int] = {
        "vmid": vmid,
        "since": since,
        "typefilter": "qmstart",
        "source": "all",
    }
    try:
        if not sees_all_tasks(pve, node):
            return None
        return bool(pve.call("get", f"/nodes/{node}/tasks", words))
    except PveError:
        return None


def sees_all_tasks(pve: Pve, node: str) -> bool:
    if pve.is_local_root:
        return True
    path = f"/nodes/{node}"
    granted = pve.call("get", "/access/permissions", {"path": path})
    # of each privilege it says whether it passes on; what is not held is not there
    return "Sys.Audit" in granted.get(path, {})
