"""A machine made by PVE, and taken away again as long as nobody has made it their own.

PVE makes it whole or not at all: a creation that fails removes its disks and its configuration
[qemu-server PVE/API2/Qemu.pm create_vm, createfn]. One that we do not see to its end goes on
without us; so a second attempt looks for the machine first, and knows it by its UUID.
"""

from __future__ import annotations

import re

from ..errors import BusyError, ConflictError, EnvironmentFault
from ..host.files import HostFiles
from ..model.journal import FileImage, Run, StepUndone, UndoIntent
from ..model.plan import VmCreateStep
from ..pve.node import Pve, PveError, TaskEnd
from .journal import Journal
from .vmstarts import why_maybe_started

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .apply import Machine

# An image of some GiB, on a slow storage
_CREATE_TIMEOUT_S = 4 * 3600
_TASK_TIMEOUT_S = 900
_SHOWN_LINES = 8
_CREATING = "create"
# What PVE makes of these differs from what was asked for by design
_MADE_BY_PVE = re.compile(r"(?:scsi|ide|efidisk|net)\d+")
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_GIB = 1 << 30


class Found:
    """A machine as PVE has it. ``is_ours``: it is the one that the step has made."""

    def __init__(self, pve: Pve, step: VmCreateStep) -> None:
        self.node = node_of(pve, step.vmid)
        self.values: dict[str, str] = {}
        self.is_running = False
        if self.node:
            path = f"/nodes/{self.node}/qemu/{step.vmid}"
            raw = pve.call("get", f"{path}/config")
            self.values = {key: str(raw[key]) for key in sorted(raw) if key != "digest"}
            self.is_running = pve.call("get", f"{path}/status/current")["status"] == "running"
        self.lock = self.values.get("lock", "")
        self.is_ours = step.uuid in self.values.get("smbios1", "")


def create_vm(
    pve: Pve, files: HostFiles, step: VmCreateStep, *, temporary: str,
    leftover: tuple[str, ...], begin: Callable[[], None],
) -> dict[str, str]:  # fmt: skip
    """Returns the settings that PVE made of ours. ``leftover``: temporaries of earlier attempts."""
    found = Found(pve, step)
    if found.node and not (found.is_ours and leftover):
        raise ConflictError("vm-id-taken", vmid=step.vmid)
    if found.lock == _CREATING:
        raise BusyError("vm-being-created", vmid=step.vmid)
    _refuse_other_snippet(files, step, is_again=bool(leftover))
    begin()
    if not found.node:
        _write_snippet(files, step, temporary, leftover)
        path = f"/nodes/{step.node}/qemu"
        said = pve.call("create", path, {"vmid": step.vmid, **step.settings})
        _followed(pve, said, step, _CREATE_TIMEOUT_S)
    _enlarge(pve, step)
    return _verified(pve, step)


def _refuse_other_snippet(files: HostFiles, step: VmCreateStep, *, is_again: bool) -> None:
    if not step.snippet:
        return
    content = files.read(step.snippet)
    if content is not None and not (is_again and content == step.snippet_text.encode()):
        raise ConflictError("file-changed", path=step.snippet)


def _write_snippet(
    files: HostFiles, step: VmCreateStep, temporary: str, leftover: tuple[str, ...]
) -> None:
    if not step.snippet:
        return
    folder = step.snippet.rpartition("/")[0]
    for name in leftover:
        files.remove(f"{folder}/{name}")
    files.make_directories(folder)
    like = FileImage(path=step.snippet, sha256=None)
    content = (step.snippet_text.encode(),)
    files.replace(step.snippet, content, temporary=temporary, like=like)


def _enlarge(pve: Pve, step: VmCreateStep) -> None:
    """An imported disk is as large as the image; cloud-init grows the file system into the rest."""
    if _disk_bytes(Found(pve, step).values.get("scsi0", "")) >= step.disk_gib * _GIB:
        return
    path = f"/nodes/{step.node}/qemu/{step.vmid}/resize"
    said = pve.call("set", path, {"disk": "scsi0", "size": f"{step.disk_gib}G"})
    _followed(pve, said, step, _TASK_TIMEOUT_S)


def _followed(pve: Pve, said: object, step: VmCreateStep, timeout_s: float) -> None:
    """Older versions answer a change of size with nothing: then it is done already."""
    if not isinstance(said, str) or not said.startswith("UPID:"):
        return
    end = pve.follow(said, timeout_s=timeout_s)
    if not end.ok:
        raise EnvironmentFault(
            "vm-not-created", vmid=step.vmid, status=end.status, log=_last(end)
        )  # fmt: skip


def _last(end: TaskEnd) -> str:
    return "\n".join(line for line in end.log[-_SHOWN_LINES:] if line.strip())


def _verified(pve: Pve, step: VmCreateStep) -> dict[str, str]:
    found = Found(pve, step)
    wrong = [
        key
        for key, value in step.settings.items()
        if (key not in found.values if _MADE_BY_PVE.fullmatch(key) else _differs(found, key, value))
    ]
    if _disk_bytes(found.values.get("scsi0", "")) < step.disk_gib * _GIB:
        wrong.append("scsi0")
    if wrong or not found.is_ours:
        raise EnvironmentFault("vm-not-as-asked", vmid=step.vmid, keys=", ".join(wrong) or "-")
    return found.values


def _differs(found: Found, key: str, value: str) -> bool:
    """PVE answers with the text of the file; a trailing line end of keys may be gone."""
    there = found.values.get(key)
    return there is None or there.removesuffix("%0A") != value.removesuffix("%0A")


def _disk_bytes(value: str) -> int:
    match = re.search(r"(?:^|,)size=(\d+)([KMGT]?)", value)
    return int(match[1]) * _UNITS.get(match[2], 1) if match else 0


def node_of(pve: Pve, vmid: int) -> str:
    """Where it is, empty if nowhere. Raises ConflictError: it is there, and one may not see it.

    PVE leaves out of this list what one has no VM.Audit on [pve-manager PVE/API2/Cluster.pm
    resources], and tells everybody whether a number is taken [nextid, there].
    """
    taken = False
    for each in pve.call("get", "/cluster/resources", {"type": "vm"}):
        if each.get("vmid") == vmid:
            if each.get("type") == "qemu":
                return str(each["node"])
            taken = True  # by a container since, which is none of ours
    if not taken and not pve.is_local_root and _is_taken(pve, vmid):
        raise ConflictError("vm-unseen", vmid=vmid, who=pve.who)
    return ""


def _is_taken(pve: Pve, vmid: int) -> bool:
    try:
        pve.call("get", "/cluster/nextid", {"vmid": vmid})
    except PveError as error:
        if error.code in {"pve-parameter", "pve-exists"}:
            return True
        raise
    return False


class VmCreateUndo:
    """Takes machines away that were made here, and are still as they were made."""

    def __init__(self, machine: Machine, journal: Journal) -> None:
        self._machine = machine
        self._journal = journal

    def in_the_way(
        self, run: Run, index: int, step: VmCreateStep, values: dict[str, str]
    ) -> tuple[str, ...]:
        """``values``: its settings once newer steps are taken back. Reads only."""
        why = self._in_the_way(self._machine.node(), run, index, step, values)
        return tuple(f"VM {step.vmid} ({each})" for each in why)

    def undo(self, run: Run, index: int, step: VmCreateStep) -> Run:
        """A machine that is in the way stays, and so does the file that it cannot start without."""
        pve = self._machine.node()
        found, why = Found(pve, step), self._in_the_way(pve, run, index, step)
        if why:
            kept = tuple(f"VM {step.vmid} ({each})" for each in why)
            return self._journal.add(run, StepUndone(step=index, kept=kept))
        run = self._journal.add(run, UndoIntent(step=index))
        if found.is_ours:
            path = f"/nodes/{found.node}/qemu/{step.vmid}"
            _followed(pve, pve.call("delete", path), step, _TASK_TIMEOUT_S)
        kept = self._without_snippet(run, index, step)
        return self._journal.add(run, StepUndone(step=index, kept=kept))

    def _without_snippet(self, run: Run, index: int, step: VmCreateStep) -> tuple[str, ...]:
        """Returns what was left: a file that somebody changed since."""
        if not step.snippet:
            return ()
        files, folder = self._machine.files, step.snippet.rpartition("/")[0]
        for each in run.intents(index):
            files.remove(f"{folder}/{each.temporary}")
        content = files.read(step.snippet)
        if content is not None and content != step.snippet_text.encode():
            return (step.snippet,)
        files.remove(step.snippet)
        return ()

    def _in_the_way(
        self, pve: Pve, run: Run, index: int, step: VmCreateStep,
        later: dict[str, str] | None = None,
    ) -> tuple[str, ...]:  # fmt: skip
        """Reasons why it may not be destroyed. One of somebody else's is not looked at further."""
        found = Found(pve, step)
        found.values = found.values if later is None else later
        if not found.is_ours:
            return ()
        if found.lock:
            return (f"lock: {found.lock}",)
        if found.is_running:
            return ("running",)
        used = _why_maybe_used(pve, step, found)
        if used:
            return (used,)
        done = run.done(index)
        made = (done.values or {}) if done else found.values
        changed = [
            key for key in {**made, **found.values} if made.get(key) != found.values.get(key)
        ]  # fmt: skip
        return (f"changed: {', '.join(sorted(changed))}",) if changed else ()


def _why_maybe_used(pve: Pve, step: VmCreateStep, found: Found) -> str:
    """Why its disk may hold something by now, empty if it cannot: nobody has ever started it.

    The time is that of the node that made it, not that of whoever asks.
    """
    made = re.search(r"ctime=(\d+)", found.values.get("meta", ""))
    if made is None:
        return "when it was made cannot be seen"
    return why_maybe_started(pve, step.vmid, int(made[1]), at=step.node)
