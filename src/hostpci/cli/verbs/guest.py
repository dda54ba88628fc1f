"""``hostpci guest VMID``: the right driver into the guest, and proof that its card works."""

from __future__ import annotations

from dataclasses import replace

from ...diagnose.inguest import diagnose_guest, guest_lines
from ...diagnose.pointers import with_faults
from ...errors import Exit
from ...guest.agent import AgentShell
from ...guest.course import Course, Result
from ...guest.decide import decide, unasked
from ...guest.power import Power, PvePower, ShellPower
from ...guest.shell import GuestShell
from ...guest.ssh import SshShell
from ...guest.steps import shown
from ...guest.tables import Tables, load_tables
from ...model.codec import encode
from ...model.guest import Decision, GuestFacts, GuestProof, GuestStep, Verdict
from ...pve.power import TaskFailedError
from ...render.guest import render_decision, render_guest_proof, step_line
from ..context import Context
from ..whyfailed import show_causes, tell_failed
from ..wishes import asked_driver, asked_vmid

_SCHEMA = "hostpci.guest/1"
_EXIT = {
    Verdict.WORKING: Exit.OK, Verdict.INSTALL: Exit.CHANGES_PENDING, Verdict.WAIT: Exit.BUSY,
    Verdict.REBOOT: Exit.REBOOT_NEEDED, Verdict.PERSON: Exit.FINDINGS,
    Verdict.BLOCKED: Exit.FINDINGS,
}  # fmt: skip
_FAILED = (Verdict.PERSON, Verdict.BLOCKED)


def run(context: Context) -> int:
    wish = asked_driver(context.option("driver") or "")
    vmid = asked_vmid(context.args.vmid)
    shell, power = _reached(context, vmid)
    tables = load_tables()
    foreign = _foreign(shell, tables)
    if foreign is not None:
        return _concluded(context, shell, Result(decision=foreign[0], facts=foreign[1]), None)
    course = Course(
        shell, tables, power=power, wish=wish, tick=context.tick,
        announce=lambda step: _announce(context, step),
    )  # fmt: skip
    seen = course.decide()
    if context.args.plan or seen.decision.verdict in (Verdict.BLOCKED, Verdict.PERSON):
        return _concluded(context, shell, seen, None)
    if seen.decision.verdict is not Verdict.WORKING:
        if not context.args.json:
            _show(context, shell, seen.decision)
        if not context.confirm():
            context.tell("confirm.no")
            return Exit.FAILED
    second = None
    try:
        if seen.decision.verdict is not Verdict.WORKING:
            seen = course.run()
        if context.args.twice and seen.decision.verdict is Verdict.WORKING:
            second = course.prove_twice()[1]
            if not second.proven:
                seen = replace(seen, facts=course.look())  # of the start that failed
    except TaskFailedError as failed:
        return tell_failed(context, failed, {"schema": _SCHEMA, "guest": shell.name})
    return _concluded(context, shell, seen, second)


def _reached(context: Context, vmid: int) -> tuple[GuestShell, Power]:
    if context.args.ssh:
        from ...host.runner import RealRunner

        ssh = SshShell(RealRunner(context.tick), context.args.ssh)
        return ssh, ShellPower(ssh)
    pve = context.pve()
    agent = AgentShell(pve, vmid, tick=context.tick)
    agent.require()
    return agent, PvePower(pve, vmid)


def _foreign(shell: GuestShell, tables: Tables) -> tuple[Decision, GuestFacts] | None:
    """A guest that runs no scripts says so through its agent."""
    system = shell.system() if isinstance(shell, AgentShell) else ""
    if system != "mswindows":
        return None
    facts = unasked(system)
    return decide(facts, tables), facts


def _announce(context: Context, step: GuestStep) -> None:
    context.say(step_line(step, shown(step), context.catalog))


def _show(context: Context, shell: GuestShell, decision: Decision) -> None:
    whats = {step.do.value: shown(step) for step in decision.steps}
    for line, level in render_decision(shell.name, decision, whats, context.catalog):
        context.out(line, level)


def _concluded(
    context: Context, shell: GuestShell, result: Result, second: GuestProof | None
) -> int:
    proof = proof_of(result)
    has_failed = result.decision.verdict in _FAILED or (second is not None and not second.proven)
    found = diagnose_guest(result.facts) if has_failed else ()
    if context.args.json:
        context.json(
            {"schema": _SCHEMA, "guest": shell.name, **with_faults(encode(result.decision)),
             "done": encode(result.done), "proof": with_faults(encode(proof)),
             "proven": proof.proven, "second_proof": with_faults(encode(second)),
             "diagnoses": encode(found), "fault": found[0].code if found else None,
             "facts": encode(result.facts)}
        )  # fmt: skip
    else:
        _show(context, shell, result.decision)
        _show_proofs(context, proof, second)
        show_causes(context, found, len(guest_lines(result.facts)))
    if second is not None and not second.proven:
        return Exit.FINDINGS
    return _EXIT[result.decision.verdict]


def proof_of(result: Result) -> GuestProof:
    from ...guest.proof import versions

    cards = result.decision.cards
    return GuestProof(
        steps=tuple(step for each in cards for step in each.proof),
        versions=versions(result.facts, tuple(each.card for each in cards)),
    )


def _show_proofs(context: Context, proof: GuestProof, second: GuestProof | None) -> None:
    for line, level in render_guest_proof(proof, context.catalog):
        context.out(line, level)
    if second is not None:
        for line, level in render_guest_proof(second, context.catalog, is_second=True):
            context.out(line, level)
        code = "guest.twice-holds" if second.proven else "guest.twice-fails"
        context.out(context.catalog.text(code), "PASS" if second.proven else "FAIL")
