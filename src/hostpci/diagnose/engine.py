"""From lines to ranked diagnoses: roots before symptoms, faults before what is harmless."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..model.diagnosis import Diagnosis, Evidence, Severity, Sighting, Verdict
from ..model.facts import Facts
from . import (
    observed_devices,
    observed_facts,
    observed_functions,
    observed_log,
    observed_settings,
    observed_vm,
)
from .case import Answer, Case, sighting
from .decode_lines import decoded_in
from .knowledge import Fault, Knowledge, Sign, load
from .lines import device_in, messages
from .observations import answer
from .scan import Hits, Scan

_PER_CONFIRMATION, _MOST_CONFIRMATION = 4, 12
_PER_DOUBT = 12
_SHOWN_SIGHTINGS = 6
_ORDER = list(Severity)
OBSERVERS = (
    observed_devices, observed_facts, observed_functions, observed_log, observed_settings,
    observed_vm,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weighed:
    fault: Fault
    diagnosis: Diagnosis
    firsts: dict[str, int]

    def is_later_than(self, cause: _Weighed) -> bool:
        """Whether some log has it below the cause; what facts show was there before any line."""
        return (not cause.firsts and bool(self.firsts)) or any(
            self.firsts.get(source, 0) > line for source, line in cause.firsts.items()
        )


def diagnose(lines: Iterable[str], facts: Facts | None = None) -> tuple[Diagnosis, ...]:
    """What these lines point to, the likeliest cause first, harmless ones last.

    ``lines`` may be of any log, or several; ``facts`` of the host they are from. Never raises
    for what is in them.
    """
    scan = Scan(load())
    scan.feed(messages(lines))
    return judge(scan, facts)


def judge(
    scan: Scan, facts: Facts | None = None, knowledge: Knowledge | None = None
) -> tuple[Diagnosis, ...]:
    case = Case(scan, facts)
    faults = (knowledge or load()).faults.values()
    weighed = [found for fault in faults if (found := _weigh(fault, case)) is not None]
    return _ranked(_explained(weighed))


def _weigh(fault: Fault, case: Case) -> _Weighed | None:
    hits = [each for each in case.hits(fault.code) if _counts(each, case)]
    raised = [found for name in fault.raised_by if (found := answer(case, name))]
    if (not hits and not raised) or any(answer(case, name) for name in fault.excludes):
        return None
    ranks = [each.sign.rank for each in hits] + [fault.rank] * bool(raised)
    confirming = sum(
        bool(answer(case, name)) for name in fault.confirms if name not in fault.raised_by
    )
    score = max(ranks) + min(len(hits) + len(raised) - 1, 3)
    score += min(_PER_CONFIRMATION * confirming, _MOST_CONFIRMATION)
    score -= _PER_DOUBT * sum(bool(answer(case, name)) for name in fault.doubts)
    sightings = _sightings(hits, raised)
    diagnosis = Diagnosis(
        code=fault.code, severity=_severity(fault, hits, raised, case), score=max(score, 1),
        devices=_devices(hits, raised), sightings=sightings,
        evidence=tuple(_evidence(fault, case)),
        decoded=decoded_in(each.text for each in sightings),
    )  # fmt: skip
    firsts: dict[str, int] = {}
    for each in sightings:
        firsts.setdefault(each.source, each.line)
    return _Weighed(fault=fault, diagnosis=diagnosis, firsts=firsts)


def _counts(hits: Hits, case: Case) -> bool:
    """One line of something that is bad only in numbers counts if somebody picked it out."""
    sign: Sign = hits.sign
    enough = hits.is_close or case.is_handpicked
    return (
        enough
        and all(answer(case, name) for name in sign.only_if)
        and not any(answer(case, name) for name in sign.unless)
    )


def _severity(fault: Fault, hits: list[Hits], raised: list[Answer], case: Case) -> Severity:
    levels = [each.sign.severity or fault.severity for each in hits]
    levels += [fault.severity] * bool(raised)
    worst = max(levels, key=_ORDER.index)
    if fault.worse_if and answer(case, fault.worse_if) and worst is not Severity.FAULT:
        return _ORDER[_ORDER.index(worst) + 1]
    return worst


def _sightings(hits: list[Hits], raised: list[Answer]) -> tuple[Sighting, ...]:
    found: dict[tuple[str, int], Sighting] = {}
    for each in hits:
        for index, hit in enumerate(each.kept[:_SHOWN_SIGHTINGS]):
            count = each.count if index == 0 else 1
            found.setdefault((hit.line.source, hit.line.number), sighting(hit.line, count))
    for reason in raised:
        for line in reason.lines[:_SHOWN_SIGHTINGS]:
            found.setdefault((line.source, line.number), sighting(line))
    return tuple(found[key] for key in sorted(found))[:_SHOWN_SIGHTINGS]


def _devices(hits: list[Hits], raised: list[Answer]) -> tuple[str, ...]:
    named = [device_in(hit.line.text) for each in hits for hit in each.kept]
    named += [device for reason in raised for device in reason.devices]
    return tuple(dict.fromkeys(filter(None, named)))


def _evidence(fault: Fault, case: Case) -> Iterable[Evidence]:
    for supports, names in (
        (True, dict.fromkeys((*fault.raised_by, *fault.confirms))),
        (False, dict.fromkeys((*fault.doubts, *fault.excludes))),
    ):
        for name in names:
            found = answer(case, name)
            yield Evidence(
                name=name, verdict=found.verdict, supports=supports, detail=found.detail,
                sightings=tuple(sighting(line) for line in found.lines[:2]),
            )  # fmt: skip


def _explained(weighed: list[_Weighed]) -> list[Diagnosis]:
    """A consequence ranks behind its cause, however loud it is."""
    by_code = {each.fault.code: each for each in weighed}
    found = {each.fault.code: each.diagnosis for each in weighed}
    for cause in sorted(weighed, key=lambda each: -each.diagnosis.score):
        if found[cause.fault.code].severity is Severity.INFO:
            continue
        later = [
            code for code in cause.fault.explains_later
            if code in by_code and by_code[code].is_later_than(cause)
        ]  # fmt: skip
        for code in (*cause.fault.explains, *later):
            effect = found.get(code)
            if effect is not None and not _leads_back(found, cause.fault.code, code):
                score = min(effect.score, found[cause.fault.code].score - 1)
                found[code] = replace(
                    effect,
                    score=max(score, 1),
                    explained_by=effect.explained_by or cause.fault.code,
                )
    return list(found.values())


def _leads_back(found: dict[str, Diagnosis], cause: str, effect: str) -> bool:
    """Whether the cause itself is already explained by that effect, over whatever way."""
    code = cause
    for _ in found:
        code = found[code].explained_by if code in found else ""
        if code == effect:
            return True
    return False


def _ranked(diagnoses: list[Diagnosis]) -> tuple[Diagnosis, ...]:
    return tuple(
        sorted(
            diagnoses,
            key=lambda each: (each.severity is Severity.INFO, -each.score, each.code),
        )
    )


__all__ = ["OBSERVERS", "Verdict", "diagnose", "judge"]
