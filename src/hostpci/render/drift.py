"""What changed, for a person: one line per area, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator

from ..i18n import Catalog
from ..model.drift import Drift
from .findings import render_finding


def render_drift(drift: Drift, catalog: Catalog) -> Iterator[tuple[str, str]]:
    if drift.since:
        yield catalog.text("drift.head", since=drift.since), "HEAD"
        yield "", ""
    named: set[str] = set()
    for finding in drift.findings:
        yield from render_finding(finding, catalog, named)
    yield "", ""
    if drift.matters:
        yield catalog.text("drift.matters"), "WARN"
    else:
        yield catalog.text("drift.nothing"), "PASS"
