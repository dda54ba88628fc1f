"""A proof for a person: every question, and the kernel's answer."""

from __future__ import annotations

from collections.abc import Iterator

from ..diagnose.pointers import fault_of_step
from ..i18n import Catalog
from ..model.finding import Outcome
from ..model.proof import Proof, ProofStep
from .findings import explain_lines

_LEVELS = {Outcome.HOLDS: "PASS", Outcome.DOES_NOT_HOLD: "FAIL", Outcome.NOT_MEASURED: "WARN"}


def render_proof(proof: Proof, catalog: Catalog) -> Iterator[tuple[str, str]]:
    yield catalog.text("verify.head", slot=proof.slot), "HEAD"
    yield "", ""
    named: set[str] = set()
    for step in proof.steps:
        yield from render_proof_step(step, catalog, named)
    yield "", ""
    verdict = "not-proven"
    if proof.proven:
        verdict = "proven" if proof.opened_devices else "group-proven"
    yield catalog.text(f"verify.{verdict}", slot=proof.slot), "PASS" if proof.proven else "FAIL"
    if any(each.outcome is Outcome.DOES_NOT_HOLD for each in proof.steps):
        yield f"      -> {catalog.text('doctor.kernel-log')}", ""


def render_proof_step(
    step: ProofStep, catalog: Catalog, named: set[str] | None = None
) -> Iterator[tuple[str, str]]:
    yield _line(step, catalog), _LEVELS[step.outcome]
    remedy = f"proof.{step.code}.{step.answer}"
    if step.outcome is not Outcome.HOLDS and catalog.has(remedy):
        yield f"      -> {catalog.text(remedy)}", ""
    if step.outcome is Outcome.DOES_NOT_HOLD:
        for line in explain_lines(fault_of_step(step.code, step.answer), catalog, named):
            yield line, ""


def _line(step: ProofStep, catalog: Catalog) -> str:
    answer = f"  [{step.answer}]" if step.answer else ""
    text = catalog.text(f"proof.{step.code}")
    if step.outcome is not Outcome.HOLDS:
        text = catalog.text(f"verify.{step.outcome}", question=text)
    return f"{_LEVELS[step.outcome]}: {step.subject}: {text}{answer}"
