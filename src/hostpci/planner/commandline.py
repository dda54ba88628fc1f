"""The one way of kernel words: which of them are ours, and the steps through this host's loader.

Where the loader is GRUB our words stand in a file of our own, so that nobody's line is edited.
systemd-boot under proxmox-boot-tool has one line for all; the journal knows which words in it are
ours. Pure: facts in, steps out.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..checks.loader import esp_problem
from ..checks.say import fails
from ..errors import EditError
from ..facts.loader import GRUB_CONFIG, KERNEL_CMDLINE
from ..facts.settings import GRUB_DROPIN
from ..model.facts import ConfigFile, Facts, Loader
from ..model.finding import Finding, Level
from ..model.plan import CommandStep, FileStep, RefreshStep, Step
from .edits import cmdline
from .edits.grub import DEFAULT, drop_in, drop_in_words, effective, effective_words

# Ours alone, like all that lies there
MADE_GRUB_CONFIG = "/var/lib/hostpci/grub.cfg"
_GRUB = (Loader.GRUB, Loader.GRUB_ON_ESP)
# EditError.code -> a finding of the same code: what cannot be understood is not edited
EDIT_FINDINGS = (
    "edit-shell", "edit-grub-computed", "edit-cmdline-root", "edit-cmdline-comment",
)  # fmt: skip


def own_words(facts: Facts) -> tuple[str, ...]:
    """The words that we have put there for the next boots, as the files say now."""
    if facts.loader.loader is Loader.SYSTEMD_BOOT_ON_ESP:
        present = cmdline.words_in(facts.loader.kernel_cmdline)
        return tuple(word for word in facts.loader.own_words if word in present)
    return drop_in_words(facts.grub_dropin) or ()


def command_line_steps(facts: Facts, add: tuple[str, ...]) -> tuple[Step, ...]:
    """The steps after which exactly ``add``, of our words, is in the next boots' command lines.

    A word that the host's own files give already is not added a second time. No steps if all is
    so already, and none where this host's loader is not edited (``command_line_refusals``).
    """
    edits = word_edits(facts, add)
    unseen = () if edits else unseen_words(facts, add)
    return (*edits, *loader_update(facts, edits, unseen)) if edits or unseen else ()


def unseen_words(facts: Facts, add: tuple[str, ...]) -> tuple[str, ...]:
    """Of words that the files give: those that the loader has not been told of.

    Somebody wrote them there and forgot update-grub or the refresh. What lies on boot partitions
    is known where a run of ours has read it back, or where this boot has it.
    """
    found = facts.loader
    given = [word for word in add if word in given_words(facts)]
    if found.loader is Loader.GRUB:
        persisted = given if found.persisted is None else found.persisted
        return tuple(word for word in given if word not in persisted)
    known = (*facts.kernel.command_line, *found.refreshed_words)
    return tuple(word for word in given if word not in known) if found.is_on_esp else ()


def given_words(facts: Facts) -> tuple[str, ...]:
    """The words that this host's files give, whether or not its loader was told."""
    if facts.loader.loader is Loader.SYSTEMD_BOOT_ON_ESP:
        return cmdline.words_in(facts.loader.kernel_cmdline)
    return (*_words_of_others(facts), *own_words(facts))


def word_edits(facts: Facts, add: tuple[str, ...]) -> tuple[FileStep, ...]:
    """The edit of a file alone, without what makes the loader see it."""
    try:
        if facts.loader.loader in _GRUB:
            return tuple(_grub_edit(facts, add))
        if facts.loader.loader is Loader.SYSTEMD_BOOT_ON_ESP:
            return tuple(_cmdline_edit(facts, add))
    except EditError:
        return ()
    return ()


def loader_update(
    facts: Facts, edits: tuple[FileStep, ...] = (), unseen: tuple[str, ...] = ()
) -> tuple[Step, ...]:
    """What the loader must be told after ``edits``, or after an initramfs was rebuilt.

    ``unseen``: words that stand in the files already. Boot partitions have copies of everything,
    GRUB on the root file system reads it there.
    """
    if facts.loader.is_on_esp:
        release = facts.loader.next_release
        return (
            RefreshStep(
                code="esp-refresh",
                argv=("proxmox-boot-tool", "refresh"),
                words=(*(word for each in edits for word in each.adds), *unseen),
                gone=tuple(word for each in edits for word in each.takes),
                releases=() if release is None else (release,),
            ),
        )
    if facts.loader.loader is Loader.GRUB and (edits or unseen):
        return (_grub_update(),)
    return ()


def _grub_update() -> CommandStep:
    """What update-grub runs, but for where the result goes.

    grub-mkconfig empties grub.cfg and then fills it; a power cut in between leaves a host that
    stops at the prompt of GRUB. So it writes a file of ours, which then takes the place whole.
    """
    return CommandStep(
        code="grub-update",
        argv=("grub-mkconfig", "-o", MADE_GRUB_CONFIG),
        touches=(GRUB_CONFIG,),
        makes=MADE_GRUB_CONFIG,
    )


def is_read_by(loader: Loader, path: str) -> bool:
    """Whether the loader of this host reads a file of kernel words at all."""
    if path == KERNEL_CMDLINE:
        return loader is Loader.SYSTEMD_BOOT_ON_ESP
    return path.startswith("/etc/default/grub") and loader in _GRUB


def command_line_refusals(facts: Facts, add: tuple[str, ...]) -> Iterator[Finding]:
    """Why the words cannot be put there; nothing where they are there or will be."""
    loader, evidence = facts.loader.loader, facts.loader.evidence
    missing = " ".join(word for word in add if word not in facts.kernel.command_line)
    if loader in _GRUB or loader is Loader.SYSTEMD_BOOT_ON_ESP:
        yield from _unreadable(facts, add)
        if word_edits(facts, add) or unseen_words(facts, add):
            yield from esp_refusals(facts)
    elif missing:
        yield fails(
            "loader-unsupported", Level.FAIL, loader, *evidence, blocks=True,
            loader=loader, words=missing,
        )  # fmt: skip


def esp_refusals(facts: Facts) -> Iterator[Finding]:
    """Partitions that a refresh would leave as they are, though a boot may come from them."""
    if not facts.loader.is_on_esp:
        return
    for esp in facts.loader.esps:
        problem, has = esp_problem(facts.loader, esp), ", ".join(esp.loaders) or "-"
        if problem and esp.present:
            yield fails(problem, Level.FAIL, esp.uuid, has, blocks=True, loaders=has)
    if not any(esp.present for esp in facts.loader.esps):
        yield fails("esp-none", Level.FAIL, "", *facts.loader.evidence, blocks=True)


def _unreadable(facts: Facts, add: tuple[str, ...]) -> Iterator[Finding]:
    """What the host's files say and we cannot follow, as a finding."""
    try:
        edit = _grub_edit if facts.loader.loader in _GRUB else _cmdline_edit
        tuple(edit(facts, add))
        ours = tuple(word for word in add if word not in _words_of_others(facts))
        if facts.loader.loader in _GRUB and ours:
            yield from _overriding(facts, ours)
    except EditError as error:
        where = f"{error.params.get('path', '')}:{error.params.get('line', 1)}"
        yield fails(error.code, Level.FAIL, where, where, blocks=True)


# GRUB: a file of our own


def _grub_edit(facts: Facts, add: tuple[str, ...]) -> Iterator[FileStep]:
    present, ours = facts.grub_dropin, own_words(facts)
    theirs = _words_of_others(facts)
    wanted = tuple(word for word in dict.fromkeys(add) if word not in theirs)
    if wanted == ours:
        return
    adds = tuple(word for word in wanted if word not in ours)
    takes = tuple(word for word in ours if word not in wanted)
    if wanted:
        yield FileStep(
            code="grub-words", path=GRUB_DROPIN, before=present, after=drop_in(wanted),
            adds=adds, takes=takes,
        )  # fmt: skip
    else:
        yield FileStep(
            code="grub-words-remove", path=GRUB_DROPIN, before=present, after=None, takes=takes
        )


def _words_of_others(facts: Facts) -> tuple[str, ...]:
    """The words that GRUB's other files give; where only a shell could tell, what grub.cfg has."""
    try:
        return effective_words(facts.loader.grub_files)
    except EditError:
        left = list(facts.loader.persisted or ())
        for word in own_words(facts):
            if word in left:
                left.remove(word)
        return tuple(left)


def _overriding(facts: Facts, add: tuple[str, ...]) -> Iterator[Finding]:
    """A file that is sourced after ours and does not append would drop our words."""
    later = [each for each in facts.loader.grub_files if each.path > GRUB_DROPIN]
    before: tuple[ConfigFile, ...] = (ConfigFile(path=GRUB_DROPIN, text=drop_in(add)),)
    for each in later:
        before = (*before, each)
        found = effective(before, DEFAULT).split()
        if not set(add) <= set(found):
            yield fails("grub-overridden", Level.FAIL, each.path, each.path, blocks=True)
            return


# systemd-boot under proxmox-boot-tool: the one line


def _cmdline_edit(facts: Facts, add: tuple[str, ...]) -> Iterator[FileStep]:
    text, ours = facts.loader.kernel_cmdline, own_words(facts)
    theirs = [word for word in cmdline.words_in(text) if word not in ours]
    adds = tuple(word for word in dict.fromkeys(add) if word not in (*theirs, *ours))
    takes = tuple(word for word in ours if word not in add)
    if not adds and not takes:
        return
    shorter = cmdline.take(text, takes) if text is not None and takes else text
    after = cmdline.add(shorter, adds, facts.kernel.command_line)
    if adds:
        yield FileStep(
            code="cmdline-words", path=KERNEL_CMDLINE, before=text, after=after,
            adds=adds, takes=takes,
        )  # fmt: skip
    else:
        yield FileStep(
            code="cmdline-words-remove", path=KERNEL_CMDLINE, before=text, after=after, takes=takes
        )
