"""Knobs for a person: what each is in, what it does, why one would want it, what it risks."""

from __future__ import annotations

from collections.abc import Iterator

from ..i18n import Catalog
from ..model.knob import KnobState, KnobStates, Scope
from .findings import render_finding

_YES_NO = {True: "yes", False: "no", None: "unseen"}


def render_knobs(states: KnobStates, catalog: Catalog) -> Iterator[tuple[str, str]]:
    slot: str | None = None
    for each in states.knobs:
        if each.slot != slot:
            slot = each.slot
            code = "options.head-claim" if each.scope is Scope.CLAIM else "options.head-host"
            yield catalog.text(code, slot=each.slot), "HEAD"
            yield "", ""
        yield from _render(each, catalog)


def _render(state: KnobState, catalog: Catalog) -> Iterator[tuple[str, str]]:
    is_set = state.set_to is not None
    mark = "NOTICE" if is_set or state.by_hand else "WARN" if state.against else ""
    yield f"{state.set_to or state.name}: {catalog.text(f'knob.{state.name}')}", mark or "PASS"
    yield (
        catalog.text(
            "options.state",
            is_set=catalog.text(f"options.{_YES_NO[is_set]}"),
            active=catalog.text(f"options.{_YES_NO[state.active]}"),
            persisted=catalog.text(f"options.{_YES_NO[state.persisted]}"),
        ),
        mark,
    )
    for line in state.by_hand:
        yield catalog.text("options.by-hand", line=line), "NOTICE"
    for finding in state.against:
        for line, _ in render_finding(finding, catalog):
            yield f"   {line}", "WARN"
    for aspect in ("reason", "does", "risk", "undo"):
        label = catalog.text(f"options.{aspect}")
        yield f"   {label} {catalog.text(f'knob.{state.name}.{aspect}')}", ""
    yield "", ""
