"""What a symptom is judged to be: a code, how bad, what was seen, and what speaks for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .decoded import Decoded


class Severity(StrEnum):
    """``info``: nothing to repair; ``warning``: works, or may; ``fault``: it does not work."""

    INFO = "info"
    WARNING = "warning"
    FAULT = "fault"


class Verdict(StrEnum):
    """``unknown``: nothing that was read says; never the same as ``fails``."""

    HOLDS = "holds"
    FAILS = "fails"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One line, or ``count`` lines of one kind of which this was the first.

    ``text`` is printable and clipped; ``time`` as the log has it; ``source`` names the log where
    several were read.
    """

    line: int
    text: str
    time: str = ""
    device: str = ""
    source: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Something that would have to be so (``supports``), or that would rule the cause out."""

    name: str
    verdict: Verdict
    supports: bool
    detail: str = ""
    sightings: tuple[Sighting, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """``score`` orders diagnoses of one log; it is no probability.

    ``explained_by``: a cause in the same answer of which this is a consequence.
    ``decoded``: what numbers in the sighted lines mean.
    """

    code: str
    severity: Severity
    score: int
    devices: tuple[str, ...] = ()
    sightings: tuple[Sighting, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    explained_by: str = ""
    decoded: tuple[Decoded, ...] = ()
