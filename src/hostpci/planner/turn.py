"""The edits of the claims file that set and unset make. Pure: facts in, one step out."""

from __future__ import annotations

from dataclasses import replace

from ..checks.knobs import against
from ..errors import RefusedError, UsageError
from ..facts.claims import PATH, with_claim_changed, with_host_options
from ..model.facts import Facts
from ..model.knob import Knob, Scope, Turned, knob_named, turned
from ..model.plan import FileStep


def set_step(facts: Facts, option: str, slot: str) -> FileStep | None:
    """The edit that turns a knob (``name`` or ``name=value``); None if it is turned just so.

    Raises UsageError for words that say nothing, RefusedError if the facts speak against it.
    """
    wanted = turned(option, slot)
    knob = _known(wanted)
    if not knob.accepts(wanted.value) or option.endswith("="):
        raise UsageError("knob-bad-value", name=knob.name, value=wanted.value)
    options = _options(facts, slot)
    blocking = [each for each in against(facts, wanted) if each.blocks]
    if blocking:
        raise RefusedError("knob-refused", name=wanted.text, reason=blocking[0].code)
    if wanted.text in options:
        return None
    names = [each.partition("=")[0] for each in options]
    if knob.name in names:
        at = names.index(knob.name)
        changed = (*options[:at], wanted.text, *options[at + 1 :])
    else:
        changed = (*options, wanted.text)
    return FileStep(
        code="knob-set", path=PATH, before=facts.claims.text, after=_edited(facts, slot, changed)
    )


def unset_step(facts: Facts, name: str, slot: str) -> FileStep:
    """The edit that turns a knob back. Raises UsageError if it is not turned."""
    options = _options(facts, slot)
    left = tuple(each for each in options if each.partition("=")[0] != name)
    if left == options:
        raise UsageError("knob-not-set", name=name, where=slot or "[host]")
    return FileStep(
        code="knob-unset", path=PATH, before=facts.claims.text, after=_edited(facts, slot, left)
    )


def _known(wanted: Turned) -> Knob:
    knob = knob_named(wanted.name)
    if knob is None:
        raise UsageError("no-such-knob", name=wanted.name)
    if knob.scope is Scope.CLAIM and not wanted.slot:
        raise UsageError("knob-needs-address", name=knob.name)
    if knob.scope is Scope.HOST and wanted.slot:
        raise UsageError("knob-of-the-host", name=knob.name)
    return knob


def _options(facts: Facts, slot: str) -> tuple[str, ...]:
    if not slot:
        return facts.claims.host_options
    claim = facts.claims.of_slot(slot)
    if claim is None:
        raise UsageError("not-claimed", slot=slot)
    return claim.options


def _edited(facts: Facts, slot: str, options: tuple[str, ...]) -> str | None:
    text, claim = facts.claims.text, facts.claims.of_slot(slot)
    if claim is None:
        return with_host_options(text, options)
    return with_claim_changed(text or "", replace(claim, options=options))
