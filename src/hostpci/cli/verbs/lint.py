"""``hostpci lint``: what PVE makes of a value, a configuration, a file of mappings."""

from __future__ import annotations

import re
import sys

from ...diagnose.pointers import with_faults
from ...errors import Exit, UsageError
from ...host.root import regular_only
from ...model.codec import encode
from ...model.finding import Finding, Level
from ...pve.hostpci import PVE8, PVE9, FormatError, parse_values
from ...pve.mapping import parse_mappings, write_mappings
from ...pve.vmconfig import parse_vm_config, write_vm_config
from ...render.findings import render_finding
from ..context import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ...pve.start import HostView

_LIMIT_MIB = 4
_VM_FILE = re.compile(r"(?:.*/)?([1-9][0-9]{2,8})\.conf")


def run(context: Context) -> int:
    args = context.args
    given = {"value": args.value, "config": args.config, "mapping": args.mapping}
    asked = [kind for kind, text in given.items() if text is not None]
    if len(asked) != 1:
        raise UsageError("lint-what")
    pve = _version(context)
    (kind,) = asked
    read = {"value": _value, "config": _config, "mapping": _mapping}[kind]
    document, findings = read(context, str(given[kind]), pve)
    matters = any(each.level is Level.FAIL for each in findings)
    if args.json:
        shown = [with_faults(encode(each)) for each in findings]
        context.json({"schema": f"hostpci.lint-{kind}/1", **document, "findings": shown})
    else:
        _show(context, str(given[kind]), pve, findings, matters=matters)
    return Exit.FINDINGS if matters else Exit.OK


def _show(
    context: Context, what: str, pve: int, findings: Iterable[Finding], *, matters: bool
) -> None:
    catalog = context.catalog
    context.out(catalog.text("lint.head", pve=str(pve), what=what), "HEAD")
    context.out()
    for finding in findings:
        for line, level in render_finding(finding, catalog):
            context.out(line, level)
    context.out()
    if matters:
        context.out(catalog.text("lint.matters"), "FAIL")
    else:
        context.out(catalog.text("lint.fine"), "PASS")


def _version(context: Context) -> int:
    asked = context.args.pve
    if asked is not None:
        if asked not in ("8", "9"):
            raise UsageError("lint-pve", version=asked)
        return int(asked)
    from ...errors import ToolError
    from ...facts.look import Look

    if not Look(context.root()).exists("/usr/bin/pveversion"):
        return PVE9
    try:
        said = context.runner().run(["pveversion"], timeout_s=30).stdout
    except ToolError:
        return PVE9
    return PVE8 if said.startswith("pve-manager/8") else PVE9


def _host(context: Context) -> HostView | None:
    """The host to start on: a capture, a tree, or this machine if it is a node of PVE."""
    from ...facts.look import Look
    from ...facts.pci import read_inventory
    from ...facts.pveview import read_node_name, read_pve_view

    look = Look(context.root())
    if context.is_live and read_node_name(look) is None:
        return None
    return read_pve_view(look, read_inventory(look, context.runner()))


def _value(context: Context, text: str, pve: int) -> tuple[dict[str, Any], list[Finding]]:
    from ...checks.lint import lint_value

    document: dict[str, Any] = {"valid": True, "error": None}
    try:
        document["parsed"] = parse_values(text, pve=pve)
    except FormatError as error:
        document = {"valid": False, "error": str(error), "parsed": None}
    # what PVE's log says when the value stands in a configuration; more than a line cannot
    is_line = "\n" not in text
    config = parse_vm_config(f"hostpci0: {text}\n", pve=pve) if is_line else None
    document["warnings"] = list(config.warnings) if config else []
    return document, list(lint_value(text, pve=pve, host=_host(context)))


def _config(context: Context, path: str, pve: int) -> tuple[dict[str, Any], list[Finding]]:
    from ...checks.lintvm import lint_config

    name = _VM_FILE.fullmatch(path)
    vmid = int(name[1]) if name else 100
    config = parse_vm_config(_text(path), vmid=vmid, pve=pve)
    document: dict[str, Any] = {"config": config.document(), "warnings": list(config.warnings)}
    document |= _written(lambda: write_vm_config(config, pve=pve))
    findings = lint_config(config, pve=pve, host=_host(context), vmid=vmid)
    return document, list(findings)


def _mapping(context: Context, path: str, _: int) -> tuple[dict[str, Any], list[Finding]]:
    from ...checks.lint import lint_mappings

    mappings = parse_mappings(_text(path))
    document: dict[str, Any] = {
        "ids": mappings.document(), "order": dict(mappings.order),
        "warnings": list(mappings.warnings),
    }  # fmt: skip
    document |= _written(lambda: write_mappings(mappings))
    return document, list(lint_mappings(mappings, _host(context)))


def _written(write: Callable[[], str]) -> dict[str, str | None]:
    """What PVE's next write would make of the file."""
    try:
        return {"rewritten": write(), "write_error": None}
    except FormatError as error:
        return {"rewritten": None, "write_error": str(error)}


def _text(path: str) -> str:
    limit = _LIMIT_MIB << 20
    try:
        if path == "-":
            content = sys.stdin.buffer.read(limit + 1)
        else:
            with open(path, "rb", opener=regular_only) as stream:
                content = stream.read(limit + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError("lint-unreadable", path=path, reason=reason) from error
    if len(content) > limit:
        raise UsageError("lint-too-large", path=path, limit=_LIMIT_MIB)
    return content.decode("utf-8", errors="replace")
