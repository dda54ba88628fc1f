"""Settings of virtual machines and resource mappings, changed through PVE and nothing else.

What PVE has is looked at before and after each call: whoever cut us off, a second attempt sees
how far the first one came. A change of several settings is one call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import ConflictError, EnvironmentFault
from ..model.plan import KeyChange, MappingStep, VmConfigStep
from ..pve.change import set_config
from ..pve.node import PveError
from ..pve.settings import read, read_entry
from .vmcreate import node_of
from .vmstarts import why_maybe_started

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..pve.node import Pve

    # Called just before the one call that changes something
    Begin = Callable[[], None]

_NEW_DISK = "efidisk0"
# Of the node and of whoever asks from outside
_CLOCKS_DIFFER_S = 86_400
_MAPPINGS = "/cluster/mapping/pci"


@dataclass(frozen=True)
class VmConfig:
    """What PVE has of a machine now, changes that wait for its next start included."""

    node: str
    values: dict[str, str]
    digest: str
    is_running: bool
    lock: str


class Vms:
    """The machines of one cluster, as one may read and write them."""

    def __init__(self, pve: Pve) -> None:
        self._pve = pve

    def read(self, vmid: int) -> VmConfig | None:
        """None: there is no such machine on any node."""
        node = self.node_of(vmid)
        if node is None:
            return None
        raw = self._pve.call("get", f"/nodes/{node}/qemu/{vmid}/config")
        status = self._pve.call("get", f"/nodes/{node}/qemu/{vmid}/status/current")
        values = {key: str(value) for key, value in raw.items() if isinstance(value, str | int)}
        return VmConfig(
            node=node, digest=values.pop("digest", ""), values=values,
            is_running=status.get("status") != "stopped", lock=str(values.get("lock", "")),
        )  # fmt: skip

    def node_of(self, vmid: int) -> str | None:
        """Where it is today: it may have been migrated since."""
        return node_of(self._pve, vmid) or None

    def write(
        self, vmid: int, found: VmConfig, wanted: dict[str, str | None], *, force: bool = False
    ) -> None:
        """Set what has a value, take out what has none; PVE compares the digest under its lock."""
        if found.is_running:
            raise ConflictError("vm-running", vm=f"VM {vmid}", vmid=vmid)
        params: dict[str, str | int] = {k: v for k, v in wanted.items() if v is not None}
        gone = [key for key, value in wanted.items() if value is None]
        if gone:
            params["delete"] = ",".join(gone)
        if gone and force:
            params["force"] = 1
        params["digest"] = found.digest
        set_config(self._pve, found.node, vmid, params)

    def why_maybe_used(self, vmid: int, since_s: int) -> str:
        """``since_s``: by the clock of this machine, which need not be that of a node."""
        if not self._pve.is_local_root:
            since_s -= _CLOCKS_DIFFER_S
        return why_maybe_started(self._pve, vmid, since_s, at=self._pve.node())

    def users_of_mapping(self, name: str) -> list[str]:
        """Machines of the whole cluster that name it, or that could not be asked."""
        found = []
        for each in self._pve.call("get", "/cluster/resources", {"type": "vm"}):
            if each.get("type") == "qemu":
                found += self._use_of_mapping(name, str(each["node"]), int(each["vmid"]))
        return found

    def _use_of_mapping(self, name: str, node: str, vmid: int) -> list[str]:
        try:
            raw = self._pve.call("get", f"/nodes/{node}/qemu/{vmid}/config")
        except PveError:
            # A node that is down has no answer, and its machines start again with it
            return [f"VM {vmid} on {node} could not be asked"]
        lines = [str(raw[key]) for key in raw if key.startswith("hostpci")]
        is_user = any(read("hostpci0", line).get("mapping") == name for line in lines)
        return [f"VM {vmid}"] if is_user else []

    def sees_all(self) -> bool:
        """PVE's list leaves out machines that one has no VM.Audit on."""
        if self._pve.is_local_root:
            return True
        granted = self._pve.call("get", "/access/permissions", {"path": "/vms"})
        return bool(granted.get("/vms", {}).get("VM.Audit"))


def change_vm(pve: Pve, step: VmConfigStep, *, is_again: bool, begin: Begin) -> dict[str, str]:
    """Carry out the step; returns what PVE made of each setting.

    ``begin`` is called just before the call that changes something. The first attempt demands
    that nothing at all has changed since the plan; a later one looks at each setting.
    """
    vms, name = Vms(pve), f"VM {step.vmid}"
    found = vms.read(step.vmid)
    if found is None:
        raise ConflictError("vm-gone", vm=name)
    done = [each for each in step.changes if is_after(each, found.values.get(each.key))]
    left = [each for each in step.changes if not is_again or each not in done]
    is_before = all(found.values.get(each.key) == each.before for each in left)
    if not is_before or (not is_again and found.digest != step.digest):
        raise ConflictError("vm-changed", vm=name)
    if not left:
        return made(step, found)
    begin()
    vms.write(step.vmid, found, {each.key: each.after for each in left})
    after = vms.read(step.vmid)
    wrong = [
        each.key
        for each in step.changes
        if after is None or not is_after(each, after.values.get(each.key))
    ]
    if after is None or wrong:
        raise EnvironmentFault("vm-not-written", vm=name, keys=", ".join(wrong))
    return made(step, after)


def made(step: VmConfigStep, found: VmConfig) -> dict[str, str]:
    return {each.key: found.values[each.key] for each in step.changes if each.key in found.values}


def is_after(change: KeyChange, found: str | None) -> bool:
    """What is there is what we asked for; a new disk got its name and its size from PVE."""
    if change.after is None or found is None:
        return found == change.after
    if change.key != _NEW_DISK:
        return found == change.after
    asked, there = read(change.key, change.after), read(change.key, found)
    storage = asked.pop("file").partition(":")[0]
    is_ours = there.get("file", "").startswith(f"{storage}:")
    return is_ours and all(there.get(key) == value for key, value in asked.items())


# taking back


@dataclass(frozen=True)
class VmUndo:
    """``wanted``: settings to write. ``in_the_way``: those that somebody changed since."""

    wanted: dict[str, str | None]
    in_the_way: tuple[str, ...]


def vm_undo(step: VmConfigStep, written: dict[str, str], values: dict[str, str | None]) -> VmUndo:
    """What taking back means for the settings that are there now."""
    wanted: dict[str, str | None] = {}
    changed = []
    for each in step.changes:
        found = values.get(each.key)
        is_ours = found == written[each.key] if each.key in written else is_after(each, found)
        if found == each.before:
            continue
        if is_ours:
            wanted[each.key] = each.before
        else:
            changed.append(each.key)
    return VmUndo(wanted=wanted, in_the_way=tuple(changed))


def take_back_vm(
    pve: Pve, step: VmConfigStep, written: dict[str, str], *, since_s: int, begin: Begin
) -> tuple[str, ...]:
    """Set back what is still ours. Returns what was left as it is."""
    vms, name = Vms(pve), f"VM {step.vmid}"
    found = vms.read(step.vmid)
    if found is None:
        return ()
    undo = vm_undo(step, written, dict(found.values))
    kept = tuple(f"{name} {key}" for key in undo.in_the_way)
    if not undo.wanted:
        return kept
    if found.is_running or found.lock:
        return (*kept, *(f"{name} {key}" for key in undo.wanted))
    loses_disk = undo.wanted.get(_NEW_DISK, "") is None
    why_kept = vms.why_maybe_used(step.vmid, since_s) if loses_disk else ""
    begin()
    vms.write(step.vmid, found, undo.wanted, force=loses_disk and not why_kept)
    disk = f"{name} {_NEW_DISK}: {written.get(_NEW_DISK, '')} ({why_kept})"
    return (*kept, disk) if why_kept else kept


# resource mappings


def read_mapping(pve: Pve, name: str) -> tuple[tuple[str, ...] | None, str]:
    """Its entries (None: no such mapping), and the digest of all mappings."""
    listed: list[dict[str, Any]] = pve.call("get", _MAPPINGS)
    digest = next((str(each["digest"]) for each in listed if each.get("digest")), "")
    for each in listed:
        if each.get("id") == name:
            return tuple(str(entry) for entry in each.get("map", ())), digest
    _demand_sight(pve, name)
    return None, digest


def _demand_sight(pve: Pve, name: str) -> None:
    """What one may not see is not listed either; asked for by name, PVE says which it is."""
    if pve.is_local_root:
        return
    try:
        pve.call("get", f"{_MAPPINGS}/{name}")
    except PveError as error:
        if error.code != "pve-not-found":
            raise


def change_mapping(pve: Pve, step: MappingStep, *, is_again: bool, begin: Begin) -> None:
    found, digest = read_mapping(pve, step.name)
    if is_again and same_entries(found, step.after):
        return
    is_stale = not is_again and step.digest and step.digest != digest
    if is_stale or not same_entries(found, step.before):
        raise ConflictError("mapping-changed", name=step.name)
    begin()
    write_mapping(pve, step.name, found, step.after, digest)
    if not same_entries(read_mapping(pve, step.name)[0], step.after):
        raise EnvironmentFault("mapping-not-written", name=step.name)


def write_mapping(
    pve: Pve, name: str, found: tuple[str, ...] | None, after: tuple[str, ...] | None, digest: str
) -> None:
    """PVE keeps what is not named here: description, mdev, other mappings."""
    if after is None:
        pve.call("delete", f"{_MAPPINGS}/{name}")
    elif found is None:
        pve.call("create", _MAPPINGS, {"id": name, "map": after})
    else:
        pve.call("set", f"{_MAPPINGS}/{name}", {"map": after, "digest": digest})


def same_entries(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> bool:
    if one is None or other is None:
        return one is other
    return list(map(_compared, one)) == list(map(_compared, other))


def _compared(entry: str) -> dict[str, str]:
    """PVE reads this file as bytes, and some of its versions write it as text: then what is not
    ASCII in a description comes back longer after every change of any mapping.
    """
    try:
        found = read_entry(entry)
    except EnvironmentFault:
        return {"": entry}  # no entry of anybody's: its text is all there is to compare
    if not found.get("description", "").isascii():
        found["description"] = "�"
    return found


@dataclass(frozen=True)
class MappingUndo:
    """``entries``: what it holds once the step is taken back; ``is_ours``: it was not changed."""

    entries: tuple[str, ...] | None
    is_merged: bool = False


def mapping_undo(step: MappingStep, found: tuple[str, ...] | None) -> MappingUndo | None:
    """None: our entry is not there as we wrote it, so somebody changed it.

    Entries that others added or changed since, for other nodes, stay.
    """
    if found is None or same_entries(found, step.before):
        return MappingUndo(entries=found)
    if same_entries(found, step.after):
        return MappingUndo(entries=step.before)
    before, after = step.before or (), step.after or ()
    ours = [each for each in after if each not in before]
    theirs = [each for each in before if each not in after]
    if not all(each in found for each in ours):
        return None
    at = min((found.index(each) for each in ours), default=len(found))
    left = [each for each in found if each not in ours]
    left[at:at] = theirs
    return MappingUndo(entries=tuple(left), is_merged=True)


def take_back_mapping(
    pve: Pve, step: MappingStep, *, begin: Begin
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns what was left as it is, and what was taken out of a change of somebody's."""
    name = f"mapping {step.name}"
    found, digest = read_mapping(pve, step.name)
    undo = mapping_undo(step, found)
    if undo is None:
        return (name,), ()
    if same_entries(undo.entries, found):
        return (), ()
    if undo.entries is None:
        vms = Vms(pve)
        users = vms.users_of_mapping(step.name)
        if users or not vms.sees_all():
            return (f"{name} ({', '.join(users) or 'who uses it cannot be seen'})",), ()
    begin()
    write_mapping(pve, step.name, found, undo.entries, digest)
    return (), (name,) if undo.is_merged else ()
