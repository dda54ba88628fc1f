"""``hostpci attach SLOT --vm N``: the whole slot for a machine, from its next start on."""

from __future__ import annotations

from ...diagnose.pointers import with_faults
from ...errors import Exit, UsageError
from ...model.address import parse_slot
from ...model.codec import document
from ...model.plan import Plan
from ...model.vm import Wanted
from ...planner.attach import plan_attach
from ..context import Context
from ..pvechange import carry_out, read
from ..wishes import asked_vmid

SCHEMA = "hostpci.attachment/1"


def run(context: Context) -> int:
    slot, vmid = asked(context)
    wanted = Wanted(
        slot=slot, mapping=context.args.mapping or "", is_primary=bool(context.args.primary),
        fixes=tuple(dict.fromkeys(context.args.fix)),
    )  # fmt: skip
    changed = False

    def shown() -> Plan:
        nonlocal changed
        plan = _shown(context, vmid, wanted)
        changed = bool(plan.steps)
        return plan

    code = carry_out(context, "attach", shown)
    if code == Exit.OK and changed:
        context.tell("attach.done", vmid=vmid, slot=slot)
    return code


def asked(context: Context) -> tuple[str, int]:
    if not context.args.vm:
        raise UsageError("attach-needs-vm")
    return parse_slot(context.args.address), asked_vmid(context.args.vm)


def _shown(context: Context, vmid: int, wanted: Wanted) -> Plan:
    attachment = plan_attach(read(context, vmid, wanted))
    if context.args.json:
        context.json(with_faults(document(SCHEMA, attachment)))
        return attachment.plan
    from ...render.attach import render_check_list
    from ...render.findings import render_finding
    from ...render.plan import render_steps

    for line, level in render_check_list(attachment, context.catalog):
        context.out(line, level)
    if attachment.plan.refusals:
        context.out(context.catalog.text("plan.refused"), "FAIL")
        for each in attachment.plan.refusals:
            headline, level = next(render_finding(each, context.catalog))
            context.out(f"   {headline}", level)
    elif not attachment.plan.steps:
        nothing = context.catalog.text("attach.nothing", vmid=vmid, slot=wanted.slot)
        context.out(nothing, "PASS")
    else:
        for line, level in render_steps(attachment.plan, context.catalog):
            context.out(line, level)
    return attachment.plan
