"""The course of a trial for a person: which boots it saw, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator

from ..diagnose.pointers import OF_HEALTH
from ..i18n import Catalog
from ..model.journal import Booted, Confirmed, GivenUp, Proved, Run
from .findings import explain_lines


def render_events(run: Run, catalog: Catalog) -> Iterator[tuple[str, str]]:
    for entry in run.entries:
        match entry:
            case Booted():
                yield catalog.text("trial.event.booted", at=entry.at), ""
            case Proved():
                verdict = "proven" if entry.proofs.proven else "not-proven"
                slots = ", ".join(each.slot for each in entry.proofs.proofs) or "-"
                level = "PASS" if entry.proofs.proven else "FAIL"
                yield catalog.text(f"trial.event.{verdict}", at=entry.at, slots=slots), level
            case Confirmed():
                yield catalog.text(f"trial.event.confirmed-{entry.by}", at=entry.at), "PASS"
            case GivenUp():
                why = catalog.text(f"trial.why.{entry.reason}")
                details = f" ({'; '.join(entry.details)})" if entry.details else ""
                yield catalog.text("trial.event.given-up", at=entry.at, why=why + details), "WARN"
                yield from _more(entry, catalog)
            case _:
                pass


def _more(entry: GivenUp, catalog: Catalog) -> Iterator[tuple[str, str]]:
    """What a boot that was given up points to: its checks that failed, and its own log."""
    named: set[str] = set()
    for each in entry.details:
        fault = OF_HEALTH.get(each.partition(":")[0], "")
        for line in explain_lines(fault, catalog, named):
            yield line, ""
    yield f"      -> {catalog.text('doctor.kernel-log')}", ""
