"""The one way of kernel words: which of them are ours, and the steps through this host's loader.

Our words stand in a file of our own where the loader is GRUB, so that nobody's line is edited.
Pure: facts in, steps out.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..checks.say import fails
from ..facts.loader import GRUB_CONFIG
from ..facts.settings import GRUB_DROPIN
from ..model.facts import Facts, Loader
from ..model.finding import Finding, Level
from ..model.plan import CommandStep, FileStep, Step
from .edits.grub import drop_in, drop_in_words


def own_words(facts: Facts) -> tuple[str, ...]:
    """The words that we have put there for the next boots, as the files say now."""
    return drop_in_words(facts.grub_dropin) or ()


def command_line_steps(facts: Facts, add: tuple[str, ...]) -> tuple[Step, ...]:
    """The steps after which exactly ``add``, of our words, is in the next boots' command lines.

    A word that the host's own files give already is not added a second time. No steps if all is
    so already, and none where this host's loader is not edited (``command_line_refusals``).
    """
    if facts.loader.loader is Loader.GRUB:
        return tuple(_grub_steps(facts, add))
    return ()


def command_line_refusals(facts: Facts, add: tuple[str, ...]) -> Iterator[Finding]:
    """Why the words cannot be put there; nothing where they are there or will be."""
    loader, evidence = facts.loader.loader, facts.loader.evidence
    missing = [word for word in add if word not in facts.kernel.command_line]
    if missing and loader is not Loader.GRUB:
        yield fails(
            "loader-unsupported", Level.FAIL, loader, *evidence, blocks=True,
            loader=loader, words=" ".join(missing),
        )  # fmt: skip


def _grub_steps(facts: Facts, add: tuple[str, ...]) -> Iterator[Step]:
    present, ours = facts.grub_dropin, own_words(facts)
    theirs = list(facts.loader.persisted or ())
    for word in ours:
        if word in theirs:
            theirs.remove(word)
    wanted = tuple(word for word in add if word not in theirs)
    update = CommandStep(code="grub-update", argv=("update-grub",), touches=(GRUB_CONFIG,))
    if wanted == ours:
        return
    if wanted:
        text = drop_in(wanted)
        yield FileStep(code="grub-words", path=GRUB_DROPIN, before=present, after=text)
    else:
        yield FileStep(code="grub-words-remove", path=GRUB_DROPIN, before=present, after=None)
    yield update
