"""What a guest said, what is to be done in it, and the proof, for a person."""

from __future__ import annotations

from collections.abc import Iterator

from ..i18n import Catalog
from ..model.guest import Decision, GuestProof, GuestStep, Verdict
from .findings import render_fact
from .proof import render_proof_step

_LEVELS = {
    Verdict.WORKING: "PASS", Verdict.INSTALL: "NOTICE", Verdict.REBOOT: "NOTICE",
    Verdict.PERSON: "FAIL", Verdict.WAIT: "WARN", Verdict.BLOCKED: "FAIL",
}  # fmt: skip


def render_decision(
    guest: str, decision: Decision, whats: dict[str, str], catalog: Catalog
) -> Iterator[tuple[str, str]]:
    """``whats``: the heart of each step by its kind, as ``guest.steps.shown`` says it."""
    yield catalog.text("guest.head", guest=guest), "HEAD"
    yield "", ""
    named: set[str] = set()
    for finding in decision.findings:
        yield from render_fact(finding, catalog, named)
    yield "", ""
    if decision.steps:
        yield catalog.text("guest.steps"), "HEAD"
        yield "", ""
    for number, step in enumerate(decision.steps, start=1):
        yield f"{number}. {_title(step, whats, catalog)}", "HEAD"
        for aspect in ("why", "undo"):
            text = catalog.text(f"guest.step.{step.do}.{aspect}")
            yield f"   {catalog.text(f'guest.{aspect}')} {text}", ""
        for line in _stanza_lines(step):
            yield f"   + {line}", "PASS"
    if decision.steps:
        yield "", ""
    yield catalog.text(f"guest.verdict.{decision.verdict}"), _LEVELS[decision.verdict]


def step_line(step: GuestStep, what: str, catalog: Catalog) -> str:
    """One line for the talk while it is done."""
    return _title(step, {step.do: what}, catalog)


def _title(step: GuestStep, whats: dict[str, str], catalog: Catalog) -> str:
    return f"{catalog.text(f'guest.step.{step.do}')} {whats.get(step.do, '')}".rstrip()


def _stanza_lines(step: GuestStep) -> Iterator[str]:
    for word in step.words:
        if "\n" in word:
            yield from word.splitlines()


def render_guest_proof(
    proof: GuestProof, catalog: Catalog, *, is_second: bool = False
) -> Iterator[tuple[str, str]]:
    yield "", ""
    yield catalog.text("guest.proof-again" if is_second else "guest.proof"), "HEAD"
    yield "", ""
    named: set[str] = set()
    for step in proof.steps:
        yield from render_proof_step(step, catalog, named)
