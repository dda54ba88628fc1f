"""``hostpci explain``: all that is known of one fault, by its code."""

from __future__ import annotations

from ...diagnose.decode import KINDS, NotDecodableError, decode
from ...diagnose.knowledge import load
from ...diagnose.lines import shown
from ...diagnose.tables import MAX_BYTES, decode_table
from ...errors import Exit, UsageError
from ...model.codec import encode
from ...render.diagnoses import explain, language_of, render_decoded
from ..context import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...model.decoded import Decoded

_TABLES = ("dmar", "ivrs")


def run(context: Context) -> int:
    """Without a code: the list of codes."""
    if context.args.decode is not None:
        return _decode(context, context.args.decode, context.args.code)
    faults = load().faults
    code = context.args.code
    language = language_of(context.catalog)
    if code is None:
        context.json({"schema": "hostpci.faults/1", "codes": sorted(faults)})
        if not context.args.json:
            for name in sorted(faults):
                context.out(f"{name:<34} {faults[name].texts[language].title}")
        return Exit.OK
    fault = faults.get(code)
    if fault is None:
        raise UsageError("no-such-fault", name=code)
    texts = fault.texts[language]
    context.json(
        {
            "schema": "hostpci.fault/1", "code": code, "family": fault.family,
            "severity": fault.severity, "title": texts.title, "cause": texts.cause,
            "fix": list(texts.fix), "cost": texts.cost, "risk": fault.risk,
            "where": list(fault.where), "sources": list(fault.sources),
            "patterns": [sign.pattern for sign in fault.signs],
        }
    )  # fmt: skip
    if not context.args.json:
        context.prose(explain(fault, context.catalog))
    return Exit.OK


def _decode(context: Context, kind: str, value: str | None) -> int:
    if value is None:
        raise UsageError("decode-empty")
    if kind not in (*KINDS, *_TABLES):
        raise UsageError("decode-kind", name=kind, kinds=", ".join((*KINDS, *_TABLES)))
    try:
        found = _table(kind, value) if kind in _TABLES else decode(kind, value)
    except NotDecodableError as error:
        raise UsageError("decode-value", kind=kind, value=shown(value)) from error
    context.json({"schema": "hostpci.decoded/1", **encode(found)})
    if not context.args.json:
        context.prose(render_decoded(found, context.catalog))
    return Exit.OK


def _table(kind: str, path: str) -> Decoded:
    try:
        with open(path, "rb") as stream:
            found = decode_table(stream.read(MAX_BYTES + 1))
    except OSError as error:
        raise UsageError("decode-file", path=path, reason=error.strerror) from error
    if found.kind != kind:
        raise NotDecodableError(path)
    return found
