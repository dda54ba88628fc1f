"""Proxmox VE as a program may speak with it: one interface, whoever carries the words.

``pve.shell`` asks with ``pvesh`` on the node itself, ``pve.https`` with an API token from anywhere.
Both raise the same errors, so what is built on this need not know which one it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import Exit, ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Params = Mapping[str, str | int | Sequence[str]]
Tick = Callable[[str, float], None]

# The words of pvesh, and the methods of HTTP that they stand for [pve-manager PVE/CLI/pvesh.pm]
METHODS = {"get": "GET", "create": "POST", "set": "PUT", "delete": "DELETE"}

_EXITS = {
    "pve-denied": Exit.NOT_PERMITTED,
    "pve-denied-unnamed": Exit.NOT_PERMITTED,
    "pve-root-only": Exit.NOT_PERMITTED,
    "pve-auth": Exit.NOT_PERMITTED,
    "pve-not-root": Exit.NOT_PERMITTED,
    "pve-locked": Exit.BUSY,
    "pve-digest": Exit.CONFLICT,
    "pve-exists": Exit.CONFLICT,
    "pve-parameter": Exit.USAGE,
}


class PveError(ToolError):
    """What PVE refused, or why it could not be asked. Nothing was changed by the call, but for:
    ``pve-lost``, where the answer is missing and only a look tells what was done; and settings of
    a VM, of which PVE may leave some pending (use ``pve.change``).

    ``pve-not-found``    no such VM, mapping, node or storage
    ``pve-exists``       there is such a VM or mapping already
    ``pve-denied``       a privilege is missing: ``privilege``, ``path``, ``remedy``
    ``pve-root-only``    only the user root@pam may do this; no token can
    ``pve-auth``         the token or ticket is not accepted: wrong, unknown, expired, disabled
    ``pve-locked``       the VM is locked, by ``lock`` or by another call
    ``pve-digest``       the configuration has changed since it was read
    ``pve-parameter``    a value is not accepted: ``field``, ``reason``
    ``pve-vm-running``, ``pve-vm-stopped``, ``pve-template``   the VM is not in the right state
    ``pve-unreachable``  nobody answers, or a node behind the one that was asked
    ``pve-untrusted``, ``pve-untrusted-pin``   the other side is not who it should be; nothing was
                         sent to it
    ``pve-lost``         the connection broke after the call had been sent
    ``pve-garbled``      the answer is not one of PVE's: no JSON, too large, cut off
    ``pve-unsupported``  this version of PVE has no such call
    ``pve-failed``       anything else, in PVE's own words: ``reason``

    ``reason`` is always what PVE said, without control characters.
    """

    def __init__(self, code: str, **params: object) -> None:
        super().__init__(code, **params)
        self.exit = _EXITS.get(code, Exit.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEnd:
    """How a task of PVE ended. ``status`` is ``OK``, ``WARNINGS: 2``, or PVE's error."""

    upid: str
    ok: bool
    status: str
    log: tuple[str, ...]

    @property
    def has_warnings(self) -> bool:
        return self.ok and self.status != "OK"


class Pve:
    """The interface.

    ``is_local_root``: root@pam itself asks, on the node: raw devices may be set only then
    [qemu-server PVE/API2/Qemu.pm check_hostpci_perm: a token of root is not root].
    ``who``: the user or token that asks, never its secret.
    """

    is_local_root: bool = False
    who: str = ""
    tick: Tick | None = None

    def call(self, method: str, path: str, params: Params = {}) -> Any:  # noqa: ANN401, B006  (JSON; a Mapping is not written to)
        """What PVE answers, decoded. ``method`` is a word of pvesh: get, create, set, delete.

        A value that is a sequence is given once for each item. Raises PveError.
        """
        raise NotImplementedError

    def node(self) -> str:
        """The name of the node that the card is in."""
        raise NotImplementedError

    def version(self) -> tuple[int, int]:
        """Such as ``(8, 4)``."""
        said = self.call("get", "/version")
        text = str(said.get("version", "")) if isinstance(said, dict) else ""
        major, _, rest = text.partition(".")
        minor = rest.partition(".")[0].partition("-")[0]
        if not (major.isdecimal() and minor.isdecimal()):
            raise PveError("pve-garbled", call="GET /version", reason=text[:80])
        return int(major), int(minor)

    def node_of(self, vmid: int) -> str:
        """Where a VM is today. Raises PveError: there is none, or this one may not see it."""
        for each in self.call("get", "/cluster/resources", {"type": "vm"}):
            if each.get("vmid") == vmid and each.get("type") == "qemu":
                return str(each["node"])
        # PVE leaves out of its lists what one may not see; asked for by name it says so
        node = self.node()
        self.call("get", f"/nodes/{node}/qemu/{vmid}/config")
        return node

    def follow(self, upid: str, *, timeout_s: float) -> TaskEnd:
        """Wait for the end of a task, with progress. Raises PveError, also when time is over."""
        from .tasks import follow

        return follow(self, upid, timeout_s=timeout_s)


def wire(value: str | int) -> str:
    """A parameter as PVE reads it: booleans are 1 and 0."""
    return str(int(value)) if isinstance(value, bool) else str(value)


def unwired(text: str) -> str:
    """What PVE took from a file or a guest, as text.

    It reads bytes, and its JSON makes a character of each: UTF-8 comes out doubled. What is no
    UTF-8 then is left as it is; it may be text already.
    """
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text
