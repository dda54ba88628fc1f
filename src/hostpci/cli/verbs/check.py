"""``hostpci check ADDRESS``: can this slot go to a guest, and what stands in the way?"""

from __future__ import annotations

from ...checks.registry import run_checks
from ...diagnose.pointers import with_faults
from ...errors import Exit, UsageError
from ...model.address import parse_slot
from ...model.codec import document
from ...model.finding import Level
from ...render.findings import render_findings
from ..context import Context


def run(context: Context) -> int:
    if context.args.drift:
        from ..drift import run_drift

        return run_drift(context)
    if context.args.timer:
        raise UsageError("timer-without-drift")
    if context.args.address is None:
        raise UsageError("needs-address")
    slot = parse_slot(context.args.address)
    facts = context.facts()
    findings = run_checks(facts, slot)
    if context.args.json:
        context.json(with_faults(document("hostpci.findings/1", findings)))
    else:
        context.prose(render_findings(findings, context.catalog))
        for gap in facts.unmeasured:
            context.tell("scan.unmeasured", what=gap.what, why=gap.why)
    return Exit.FINDINGS if findings.worst is Level.FAIL else Exit.OK
