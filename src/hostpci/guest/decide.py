"""What is to be done in a guest so that its cards work. Pure: facts and tables in, Decision out.

One look decides one stretch: after it the guest is looked at again, until nothing is left to do
or something is in the way that only a person can move.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..checks.say import fails, holds
from ..model.finding import Finding, Level
from ..model.guest import CardAnswer, Decision, Do, GuestCard, GuestFacts, Verdict
from .draft import Case, Draft
from .kernels import decide_kernel_driver
from .nvidia import ANY, Wish
from .nvidia_plan import decide_nvidia
from .packages import look_at_dpkg, look_at_means
from .proof import is_proven, prove_card
from .tables import Generation, Tables, vendor_of

_PERSON = {"guest-mok", "guest-mok-pending"}
_MACHINES = ("x86_64", "amd64")
_BUSY_INIT = ("running", "not run", "not started")


def decide(
    facts: GuestFacts,
    tables: Tables,
    *,
    wish: Wish = ANY,
    tried: frozenset[Do] = frozenset(),
) -> Decision:
    """``tried``: what this run has done before this look."""
    cards = tuple(each for each in facts.cards if vendor_of(each.vendor))
    answers = tuple(_answer(facts, each, tables) for each in cards)
    seen = tuple(_about_guest(facts, answers))
    if answers and all(is_proven(each.proof) for each in answers):
        return Decision(verdict=Verdict.WORKING, cards=answers, findings=seen)
    gates = tuple(_gates(facts, tables, cards))
    if any(each.blocks for each in gates):
        return Decision(verdict=Verdict.BLOCKED, cards=answers, findings=(*seen, *gates))
    busy = tuple(_busy(facts))
    if busy:
        return Decision(verdict=Verdict.WAIT, cards=answers, findings=(*seen, *gates, *busy))
    draft = _drafted(facts, tables, wish, tried, answers)
    return _concluded(draft, answers, (*seen, *gates))


def _answer(facts: GuestFacts, card: GuestCard, tables: Tables) -> CardAnswer:
    generation = tables.generation(card.vendor, card.device)
    return CardAnswer(
        card=card,
        generation=generation.name if generation else "",
        proof=prove_card(facts, card, generation),
    )


def _about_guest(facts: GuestFacts, answers: tuple[CardAnswer, ...]) -> Iterator[Finding]:
    name = facts.name or facts.distribution or facts.system or "?"
    yield holds("guest-system", "", name=name, kernel=facts.kernel or "?")
    for each in answers:
        made = _works if is_proven(each.proof) else _seen
        yield made(each)


def _works(each: CardAnswer) -> Finding:
    return holds(
        "guest-works", each.card.address, identity=each.card.identity,
        generation=each.generation or "?", driver=each.card.driver or "-",
    )  # fmt: skip


def _seen(each: CardAnswer) -> Finding:
    return holds(
        "guest-card", each.card.address, identity=each.card.identity,
        generation=each.generation or "?", driver=each.card.driver or "-",
    )  # fmt: skip


def _gates(facts: GuestFacts, tables: Tables, cards: tuple[GuestCard, ...]) -> Iterator[Finding]:
    """What makes every further question pointless."""
    release = tables.release(facts.distribution, facts.version)
    if release is None:
        yield _not_ours(facts, tables)
    elif facts.machine not in _MACHINES:
        yield fails("guest-machine", Level.FAIL, blocks=True, machine=facts.machine or "?")
    if facts.container:
        yield fails("guest-container", Level.FAIL, blocks=True)
    if facts.user not in (0, None):
        yield fails("guest-not-root", Level.FAIL, blocks=True)
    if not cards and facts.system != "mswindows":  # which was not asked
        shown = [each.identity for each in facts.cards]
        yield fails("guest-no-card", Level.FAIL, "", *shown[:4], blocks=True)


def _not_ours(facts: GuestFacts, tables: Tables) -> Finding:
    name = facts.name or facts.distribution or facts.system or "?"
    known = ", ".join(
        f"{each.distribution.capitalize()} {each.version}" for each in tables.releases
    )
    if facts.distribution in {each.distribution for each in tables.releases}:
        return fails("guest-release", Level.FAIL, blocks=True, name=name, known=known)
    if facts.distribution == "mswindows":
        return fails("guest-windows", Level.FAIL, blocks=True, name=name)
    return fails("guest-distribution", Level.FAIL, blocks=True, name=name, known=known)


def _busy(facts: GuestFacts) -> Iterator[Finding]:
    if facts.cloud_init in _BUSY_INIT:
        yield fails("guest-cloud-init", Level.NOTICE)
    if facts.locks:
        yield fails("guest-apt-lock", Level.NOTICE, "", who="; ".join(facts.locks[:3]))


def _drafted(
    facts: GuestFacts,
    tables: Tables,
    wish: Wish,
    tried: frozenset[Do],
    answers: tuple[CardAnswer, ...],
) -> Draft:
    release = tables.release(facts.distribution, facts.version)
    assert release is not None  # noqa: S101  (the gates)
    case = Case(facts=facts, tables=tables, release=release, wish=wish, tried=tried)
    draft = Draft()
    look_at_dpkg(case, draft)
    todo = [each.card for each in answers if not is_proven(each.proof)]
    nvidia = tuple(
        (card, _generation(tables, card)) for card in todo if vendor_of(card.vendor) == "nvidia"
    )
    if nvidia:
        decide_nvidia(case, draft, nvidia)
    for card in todo:
        if vendor_of(card.vendor) != "nvidia":
            decide_kernel_driver(case, draft, card, _generation(tables, card))
    look_at_means(case, draft)
    return draft


def _generation(tables: Tables, card: GuestCard) -> Generation | None:
    return tables.generation(card.vendor, card.device)


def _concluded(
    draft: Draft, answers: tuple[CardAnswer, ...], seen: tuple[Finding, ...]
) -> Decision:
    cards = tuple(
        CardAnswer(
            card=each.card, generation=each.generation, proof=each.proof,
            driver=draft.drivers.get(each.card.address),
        )
        for each in answers
    )  # fmt: skip
    findings = (*seen, *draft.findings)
    return Decision(
        verdict=_verdict(draft),
        cards=cards,
        findings=findings,
        steps=() if draft.is_blocked else draft.steps,
    )


def _verdict(draft: Draft) -> Verdict:
    if draft.is_blocked:
        return Verdict.BLOCKED
    if not draft.steps:
        asks = any(each.code in _PERSON for each in draft.findings)
        return Verdict.PERSON if asks else Verdict.BLOCKED
    if all(each.do is Do.REBOOT for each in draft.steps):
        return Verdict.REBOOT
    return Verdict.INSTALL


def unasked(system: str) -> GuestFacts:
    """Facts about a guest that runs no scripts of ours: the agent has told what it is."""
    from ..model.guest import Trust

    return GuestFacts(system=system, distribution=system, trust=Trust(firmware="", enforced=None))
