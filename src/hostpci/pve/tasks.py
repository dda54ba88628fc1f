"""Tasks of PVE, followed to their end: what they are called, how far they are, what they said."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from .node import Pve, PveError, TaskEnd, unwired

# pve-common PVE/UPID.pm decode; its start may have nine digits after 497 days
_UPID = re.compile(
    r"UPID:(?P<node>[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?):(?P<pid>[0-9A-Fa-f]{8}):"
    r"(?P<pstart>[0-9A-Fa-f]{8,9}):(?P<start>[0-9A-Fa-f]{8}):(?P<type>[^:\s/]+):"
    r"(?P<id>[^:\s/]*):(?P<user>[^:\s/]+):"
)
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 2.0
_MAX_UNANSWERED = 10
_PAGE_LINES = 500
# A task that has written without end must not fill our memory; its last lines say what went wrong.
# The longest of them holds QEMU's whole command line
_MAX_LINES = 5000
_MAX_PAGES = 200
_MAX_LINE_CHARS = 16_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Upid:
    """The name of a task, taken apart."""

    node: str
    type: str
    id: str
    user: str
    start_s: int


def parse_upid(text: object) -> Upid | None:
    match = _UPID.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    return Upid(
        node=match["node"], type=match["type"], id=match["id"], user=match["user"],
        start_s=int(match["start"], 16),
    )  # fmt: skip


def is_good(status: str) -> bool:
    """Warnings are no failure [pve-common PVE/UPID.pm status_is_error]."""
    return status == "OK" or re.fullmatch(r"WARNINGS: \d+", status) is not None


def follow(
    pve: Pve,
    upid: str,
    *,
    timeout_s: float,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> TaskEnd:
    task = parse_upid(upid)
    if task is None:
        raise PveError("pve-garbled", call="UPID", reason=str(upid)[:80])
    path = f"/nodes/{task.node}/tasks/{upid}"
    begin, pause_s, unanswered = now(), _FIRST_PAUSE_S, 0
    while True:
        try:
            status = _end_of(pve, path)
            log = () if status is None else read_log(pve, path)
            unanswered = 0
        except PveError as error:
            # pveproxy restarts when its certificate is renewed, and a node may be busy
            unanswered += 1
            if error.code != "pve-unreachable" or unanswered > _MAX_UNANSWERED:
                raise
            status, log = None, ()
        if status is not None:
            return TaskEnd(upid=upid, ok=is_good(status), status=status, log=log)
        elapsed_s = now() - begin
        if elapsed_s > timeout_s:
            raise PveError(
                "pve-task-slow", task=task.type, id=task.id, seconds=round(timeout_s), upid=upid
            )
        if pve.tick is not None:
            pve.tick(f"{task.type} {task.id}", elapsed_s)
        sleep(pause_s)
        pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)


def _end_of(pve: Pve, path: str) -> str | None:
    """How the task ended; None while it runs."""
    state = pve.call("get", f"{path}/status")
    if not isinstance(state, dict) or state.get("status") not in {"running", "stopped"}:
        raise PveError("pve-garbled", call=f"GET {path}/status", reason=str(state)[:80])
    if state["status"] == "running":
        return None
    return _clean(str(state.get("exitstatus") or "unknown"))


def read_log(pve: Pve, path: str) -> tuple[str, ...]:
    """The last lines, read page by page. PVE answers an empty log with a line that says so."""
    from collections import deque

    lines: deque[str] = deque(maxlen=_MAX_LINES)
    for number in range(_MAX_PAGES):
        params = {"start": number * _PAGE_LINES, "limit": _PAGE_LINES}
        page = pve.call("get", f"{path}/log", params)
        if not isinstance(page, list):
            raise PveError("pve-garbled", call=f"GET {path}/log", reason=str(page)[:80])
        fresh = [_line(each) for each in page if isinstance(each, dict)]
        lines.extend([] if lines and fresh == ["no content"] else fresh)
        if len(page) < _PAGE_LINES:
            break
    return tuple(lines)


def _line(entry: dict[str, object]) -> str:
    return _clean(str(entry.get("t", "")))


def _clean(text: str) -> str:
    text = unwired(text[:_MAX_LINE_CHARS])
    return "".join(each if each.isprintable() or each == "\t" else "�" for each in text)
