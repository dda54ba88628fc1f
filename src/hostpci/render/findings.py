"""Findings in the dialect of PVE's own pve8to9: PASS, INFO, NOTICE, WARN, FAIL and a summary."""

from __future__ import annotations

from collections.abc import Iterator

from ..diagnose.pointers import fault_of
from ..i18n import Catalog
from ..model.finding import Finding, Findings, Level, Outcome

_SUFFIX = {Outcome.HOLDS: "holds", Outcome.DOES_NOT_HOLD: "fails", Outcome.NOT_MEASURED: "unknown"}
_LEFTOVER = "leftover-"
_WRONG = (Level.WARN, Level.FAIL)
# Findings of which a parameter may be a code: it has a text of its own, or is somebody's words
_CODED = {"vm-image-odd": "reason", "vm-key": "problem"}


def finding_text(finding: Finding, catalog: Catalog) -> str:
    code = f"finding.{finding.code}.{_SUFFIX[finding.outcome]}"
    params = dict(finding.params)
    name = _CODED.get(finding.code, "")
    key = f"why.{finding.code}.{params.get(name)}"
    if name and catalog.has(key):
        params[name] = catalog.text(key)
    return catalog.text(code, subject=finding.subject, **params)


def remedy_text(finding: Finding, catalog: Catalog) -> str:
    code = f"finding.{finding.code}.remedy"
    if finding.outcome is not Outcome.DOES_NOT_HOLD or not catalog.has(code):
        return ""
    return catalog.text(code, subject=finding.subject, **finding.params)


def consent_lines(finding: Finding, catalog: Catalog) -> Iterator[str]:
    """Of a refusal: whether somebody may accept it, in which words, and what is lost then."""
    if not finding.consent:
        if finding.blocks:
            yield catalog.text("consent.none")
        return
    loss = catalog.text(f"consent.{finding.consent}")
    kind = "accepted" if finding.is_accepted else "possible"
    yield catalog.text(f"consent.{kind}", name=finding.consent, loss=loss)
    if finding.is_accepted and finding.code == "group-shared":
        yield catalog.text("consent.claim-too", address=finding.subject)


def explain_lines(fault: str, catalog: Catalog, named: set[str] | None = None) -> Iterator[str]:
    """Where more is said of a fault: once in a report that passes the faults it has ``named``."""
    if not fault or (named is not None and fault in named):
        return
    if named is not None:
        named.add(fault)
    yield f"      -> {catalog.text('doctor.more', fault=fault)}"


def render_findings(findings: Findings, catalog: Catalog) -> Iterator[tuple[str, str]]:
    """Yield (line, level): settings that guides leave come in a section of their own."""
    ours = [each for each in findings.findings if not each.code.startswith(_LEFTOVER)]
    left = [each for each in findings.findings if each.code.startswith(_LEFTOVER)]
    named: set[str] = set()
    yield catalog.text("check.head", slot=findings.slot), "HEAD"
    yield "", ""
    for each in ours:
        yield from render_finding(each, catalog, named)
    yield "", ""
    yield catalog.text("check.leftovers"), "HEAD"
    yield "", ""
    for each in left:
        yield from render_finding(each, catalog, named)
    if left:
        yield f"      -> {catalog.text('check.adopt')}", ""
    else:
        yield f"PASS: {catalog.text('check.no-leftovers')}", "PASS"
    yield from _summary(findings, catalog)


def render_finding(
    finding: Finding, catalog: Catalog, named: set[str] | None = None
) -> Iterator[tuple[str, str]]:
    yield from render_fact(finding, catalog, named)
    for consent in consent_lines(finding, catalog):
        yield f"      -> {consent}", ""


def render_fact(
    finding: Finding, catalog: Catalog, named: set[str] | None = None
) -> Iterator[tuple[str, str]]:
    """A finding that nobody is asked to accept: what is, what mends it, what is known of it."""
    subject = f"{finding.subject}: " if finding.subject else ""
    evidence = [each for each in finding.evidence if each]
    seen = f"  [{'; '.join(evidence)}]" if evidence else ""
    yield f"{finding.level}: {subject}{finding_text(finding, catalog)}{seen}", finding.level
    remedy = remedy_text(finding, catalog)
    if remedy:
        yield f"      -> {remedy}", ""
    if finding.outcome is Outcome.DOES_NOT_HOLD and finding.level in _WRONG:
        for line in explain_lines(fault_of(finding.code), catalog, named):
            yield line, ""


def _summary(findings: Findings, catalog: Catalog) -> Iterator[tuple[str, str]]:
    counts = dict.fromkeys(Level, 0)
    for each in findings.findings:
        counts[each.level] += 1
    yield "", ""
    yield catalog.text("check.summary"), "HEAD"
    yield "", ""
    yield f"TOTAL:    {len(findings.findings)}", ""
    for level, count in counts.items():
        yield f"{level + ':':<9} {count}", level if count else ""
