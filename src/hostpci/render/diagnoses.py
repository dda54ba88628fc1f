"""Diagnoses for a person: what was seen, what it means, what speaks for it, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..diagnose.knowledge import Fault, Knowledge
from ..diagnose.lines import shown
from ..i18n import Catalog
from ..model.decoded import Decoded
from ..model.diagnosis import Diagnosis, Evidence, Severity, Sighting, Verdict

_LEVELS = {Severity.FAULT: "FAIL", Severity.WARNING: "WARN", Severity.INFO: "INFO"}
Source = tuple[str, int]
_WHOLE = 3
_SHOWN_LINES = 4


def language_of(catalog: Catalog) -> str:
    """The language of the knowledge base that goes with a catalogue."""
    return "zh" if catalog.language.lower().startswith("zh") else "en"


def render_diagnoses(
    found: Sequence[Diagnosis],
    lines: int,
    knowledge: Knowledge,
    catalog: Catalog,
    sources: Sequence[Source] = (),
) -> Iterator[tuple[str, str]]:
    """Yield (line, level). The likeliest are told in full, the others by their names.

    ``sources``: which logs of a host were read, and how many lines of each.
    """
    yield catalog.text("doctor.head", lines=str(lines)), "HEAD"
    if sources:
        read = ", ".join(f"{shown(name)} ({count})" for name, count in sources)
        yield catalog.text("doctor.read", sources=read), ""
    yield "", ""
    if not found:
        yield catalog.text("doctor.nothing"), ""
        after = "doctor.nothing.host" if sources else "doctor.nothing.next"
        yield f"      -> {catalog.text(after)}", ""
        return
    if all(each.severity is Severity.INFO for each in found):
        yield catalog.text("doctor.harmless"), "PASS"
        yield "", ""
    for each in found[:_WHOLE]:
        yield from _whole(each, knowledge.faults[each.code], catalog)
        yield "", ""
    if found[_WHOLE:]:
        yield catalog.text("doctor.others"), ""
    for each in found[_WHOLE:]:
        yield from _title(each, knowledge.faults[each.code], catalog)
    if found[_WHOLE:]:
        yield "", ""
    yield catalog.text("doctor.explain"), ""


def _title(each: Diagnosis, fault: Fault, catalog: Catalog) -> Iterator[tuple[str, str]]:
    level = _LEVELS[each.severity]
    device = f" ({', '.join(each.devices[:3])})" if each.devices else ""
    yield f"{level}: {each.code}: {fault.texts[language_of(catalog)].title}{device}", level


def _whole(each: Diagnosis, fault: Fault, catalog: Catalog) -> Iterator[tuple[str, str]]:
    yield from _title(each, fault, catalog)
    if each.explained_by:
        yield f"      {catalog.text('doctor.explained-by', cause=each.explained_by)}", ""
    for sighting in each.sightings[: 1 if each.explained_by else _SHOWN_LINES]:
        yield f"      | {_sighted(sighting, catalog)}", ""
    for number in each.decoded:
        for line, level in render_decoded(number, catalog):
            yield f"      {line}", level
    if not each.explained_by:  # whoever mends the cause need not read how to mend what follows
        yield from _advice(fault, each, catalog)


def render_decoded(number: Decoded, catalog: Catalog) -> Iterator[tuple[str, str]]:
    yield f"= {number.kind} {shown(number.value)}", ""
    for part in number.parts:
        meaning = f": {catalog.text(part.meaning)}" if part.meaning else ""
        yield f"    {shown(part.name)}{meaning}" if part.name else f"    {meaning[2:]}", ""


def _sighted(sighting: Sighting, catalog: Catalog) -> str:
    source = f"{sighting.source}:" if sighting.source else ""
    count = catalog.text("doctor.count", count=str(sighting.count)) if sighting.count > 1 else ""
    return f"{source}{sighting.line}: {sighting.text}{count}"


def _advice(fault: Fault, found: Diagnosis | None, catalog: Catalog) -> Iterator[tuple[str, str]]:
    texts = fault.texts[language_of(catalog)]
    yield f"      {texts.cause}", ""
    for evidence in found.evidence if found else ():
        if evidence.verdict is not Verdict.UNKNOWN:
            yield f"      {_evidence(evidence, catalog)}", ""
    for number, step in enumerate(texts.fix, 1):
        yield f"      {number}. {step}", ""
    risk = catalog.text(f"doctor.risk.{fault.risk}")
    yield f"      {catalog.text('doctor.cost', cost=texts.cost, risk=risk)}", ""


def _evidence(evidence: Evidence, catalog: Catalog) -> str:
    """What the observation states, whether it is so, and a line that shows it."""
    speaks_for = evidence.supports == (evidence.verdict is Verdict.HOLDS)
    side = "doctor.for" if speaks_for else "doctor.against"
    stated = catalog.text(f"evidence.{evidence.name}")
    text = catalog.text(f"evidence.{evidence.verdict}", text=stated)
    said = evidence.detail or (evidence.sightings[0].text if evidence.sightings else "")
    return catalog.text(side, text=f"{text}{f'  [{said}]' if said else ''}")


def explain(fault: Fault, catalog: Catalog) -> Iterator[tuple[str, str]]:
    """Everything about one code."""
    level = _LEVELS[fault.severity]
    yield f"{level}: {fault.code}: {fault.texts[language_of(catalog)].title}", level
    yield "", ""
    yield from _advice(fault, None, catalog)
    yield f"      {catalog.text('doctor.sources')}", ""
    for source in fault.sources:
        yield f"        {source}", ""
    if fault.signs:
        yield f"      {catalog.text('doctor.patterns')}", ""
        for sign in fault.signs:
            yield f"        {sign.pattern}", ""
