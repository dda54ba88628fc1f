"""``hostpci explain``: all that is known of one fault, by its code."""

from __future__ import annotations

from ...diagnose.knowledge import load
from ...errors import Exit, UsageError
from ...render.diagnoses import explain, language_of
from ..context import Context


def run(context: Context) -> int:
    """Without a code: the list of codes."""
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
        for line, level in explain(fault, context.catalog):
            context.out(line, level)
    return Exit.OK
