"""What PVE means when it says no: a code, what is missing, and the command that mends it.

Pure. PVE has few error codes; it has words, and they are the same through pvesh and through HTTPS,
so words are what is looked at. Each row names where PVE says it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from .node import PveError
from .privileges import Missing, remedy, unnamed

_MAX_REASON_CHARS = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back instead of data. ``status`` 0: from pvesh, which has none.

    ``is_change``: the call was to change something.
    """

    message: str
    status: int = 0
    is_change: bool = False
    errors: Mapping[str, str] = field(default_factory=dict)


# code, what PVE says; named groups become parameters of the error
_WORDS: tuple[tuple[str, str], ...] = (
    ("pve-root-only", r"user != root@pam"),
    # pve-common PVE/Exception.pm raise_perm_exc; pve-access-control PVE/RPCEnvironment.pm
    ("pve-denied", r"Permission check failed(?: \((?P<path>/[^,)]*), (?P<privilege>[^)]+)\))?"),
    # qemu-server PVE/API2/Qemu.pm check_vm_create/modify_config_perm, check_hostpci_perm
    ("pve-root-only", r"[Oo]nly root(?:@pam)? (?:can|may|is allowed to) [^\n]+"),
    # pve-cluster PVE/Cluster.pm: without a quorum there are no locks either
    ("pve-no-quorum", r"cluster not ready - no quorum\??|: no quorum!"),
    ("pve-unreachable", r"pve cluster filesystem not online"),
    # pve-guest-common PVE/AbstractConfig.pm check_lock, lock_config_full; pve-common PVE/Tools.pm
    ("pve-locked", r"(?:VM|CT) is locked(?: \((?P<lock>[^)]*)\))?"),
    ("pve-locked", r"can't lock file '(?P<lock>[^']+)' - [^\n]+"),
    ("pve-locked", r"(?:cfs-lock|got lock request timeout|can't acquire lock) ?(?P<lock>'[^']+')?"),
    # pve-common PVE/Tools.pm assert_if_modified; PVE/SectionConfig.pm
    ("pve-digest", r"checksum mis+match|detected modified configuration"),
    # pve-cluster PVE/Cluster.pm; pve-guest-common PVE/Mapping/PCI.pm; qemu-server
    ("pve-not-found", r"Configuration file '(?P<what>[^']+)' does not exist"),
    ("pve-not-found", r"mapping '(?P<what>[^']+)' not found"),
    ("pve-not-found", r"(?:pci|usb|dir) ID '(?P<what>[^']+)' does not exist"),
    ("pve-not-found", r"hostname lookup '(?P<what>[^']+)' failed"),
    ("pve-not-found", r"storage '(?P<what>[^']+)' does not exist"),
    ("pve-not-found", r"no such (?:cluster )?(?:node|VM|user|storage) \(?'(?P<what>[^']+)'"),
    ("pve-exists", r"pci ID '(?P<what>[^']+)' already defined|(?P<vm>VM \d+) already exists"),
    # qemu-server PVE/QemuServer.pm vm_start, PVE/API2/Qemu.pm
    ("pve-template", r"you can't start a vm if it's a template|is a template"),
    ("pve-vm-running", r"VM (?P<vmid>\d+) (?:is |already )running|unable to \w+ a running VM"),
    ("pve-vm-stopped", r"VM (?P<vmid>\d+) (?:is )?not running"),
    # pve-http-server; pve-manager PVE/CLI/pvesh.pm
    ("pve-unsupported", r"Method '[^']+' not implemented|[Nn]o '\w+' handler (?:defined )?for"),
    # pve-access-control PVE/AccessControl.pm; pve-manager PVE/HTTPServer.pm
    ("pve-auth", r"No ticket|[Aa]uthentication fail(?:ed|ure)|no such token|invalid token"),
    ("pve-auth", r"invalid (?:PVE )?ticket|invalid csrf token|access expired|account expired"),
    # pve-common PVE/RESTEnvironment.pm setup_default_cli_env
    ("pve-not-root", r"please run as root"),
    # libpve-cluster-perl, when pmxcfs is not there or has no quorum
    ("pve-unreachable", r"ipcc_send_rec\[\d+\] failed: [^\n]+"),
    # pmxcfs is read-only without a quorum
    ("pve-no-quorum", r"unable to open file '/etc/pve/[^']+' - Permission denied"),
)  # fmt: skip
_PATTERNS = tuple((code, re.compile(words)) for code, words in _WORDS)
_HTTP_DENIED, _HTTP_UNAUTHORIZED = 403, 401
# What AnyEvent::HTTP, pveproxy's own client, reports of pvedaemon or of the node behind it: no
# connection (595); one that broke or took more than 30 s after that (596, 597, 599)
_HTTP_NOT_REACHED = {595, 503}
_HTTP_BROKEN = {502, 504, *range(596, 600)}


def refusal(answer: Answer, *, call: str, who: str) -> PveError:
    """The error that says it."""
    message = said(answer)
    if answer.errors:
        return _parameter(answer.errors, call=call, who=who)
    found = _by_words(message)
    if found is None:
        code = _by_status(answer)
        return PveError(code, call=call, reason=message, who=who)
    code, words = found
    return _explained(code, words, call=call, who=who, reason=message)


def said(answer: Answer) -> str:
    """PVE's words without what a terminal would act upon, cut to a size."""
    text = answer.message.strip() or f"status {answer.status}"
    kept = "".join(each if each.isprintable() or each == "\n" else "�" for each in text)
    return kept[:_MAX_REASON_CHARS]


def _by_words(message: str) -> tuple[str, dict[str, str]] | None:
    for code, pattern in _PATTERNS:
        match = pattern.search(message)
        if match is not None:
            return code, {key: value or "" for key, value in match.groupdict().items()}
    return None


def _by_status(answer: Answer) -> str:
    if answer.status in _HTTP_BROKEN and answer.is_change:
        return "pve-lost"
    if answer.status in _HTTP_NOT_REACHED | _HTTP_BROKEN:
        return "pve-unreachable"
    by = {_HTTP_DENIED: "pve-denied-unnamed", _HTTP_UNAUTHORIZED: "pve-auth"}
    return by.get(answer.status, "pve-failed")


def _explained(code: str, words: dict[str, str], *, call: str, who: str, reason: str) -> PveError:
    if code == "pve-denied":
        missing = unnamed(call)
        if words["privilege"]:
            missing = Missing(path=words["path"], privileges=tuple(words["privilege"].split("|")))
        if missing is None:
            return PveError("pve-denied-unnamed", call=call, reason=reason, who=who)
        words["path"], words["privilege"] = missing.path, " | ".join(missing.privileges)
        words["remedy"] = remedy(missing, who)
    if code == "pve-not-found":
        words["what"] = _named(words["what"])
    if code == "pve-exists":
        words["what"] = words.pop("vm") or words["what"]
    if code == "pve-locked":
        words["lock"] = words.get("lock", "").strip("'") or "?"
    return PveError(code, call=call, reason=reason, who=who, **words)


def _named(what: str) -> str:
    """A machine by its number, not by the file that PVE did not find."""
    match = re.search(r"(?:nodes/([^/]+)/)?(qemu-server|lxc)/(\d+)\.conf", what)
    if match is None:
        return what
    kind = "VM" if match[2] == "qemu-server" else "CT"
    return f"{kind} {match[3]}" + (f" ({match[1]})" if match[1] else "")


def _parameter(errors: Mapping[str, str], *, call: str, who: str) -> PveError:
    """Parameters that PVE did not take; a privilege may hide among them."""
    lines = tuple(f"{key}: {' '.join(errors[key].split())}" for key in sorted(errors))
    reason = said(Answer(message="\n".join(lines)))
    found = _by_words(reason)
    if found is not None and found[0] in {"pve-root-only", "pve-denied"}:
        return _explained(found[0], found[1], call=call, who=who, reason=reason)
    field_ = ", ".join(sorted(errors))[:200]
    return PveError("pve-parameter", call=call, field=field_, reason=reason, who=who)
