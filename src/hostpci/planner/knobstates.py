"""Every knob with its state on this host: set, in effect now, in the next boot's files. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ..checks.knobs import against, drivers_of
from ..model.facts import Facts, Setting
from ..model.hook import HOOK_TEXT
from ..model.knob import KNOBS, Knob, KnobState, KnobStates, Scope, Turned, Writes, turned
from ..model.network import WAS_ASKED
from .commandline import given_words, is_read_by
from .knobs import is_loaded, shown_value

# Setting that a guide leaves -> the knob that is the same
KNOB_OF_SETTING = {
    "cmdline-intel-iommu-on": "intel-iommu-on",
    "cmdline-iommu-pt": "iommu-pt",
    "cmdline-acs-override": "acs-override",
    "cmdline-sysfb": "sysfb-off",
    "module-vfio": "vfio-modules",
    "vfio-ids": "bind-by-ids",
    "vfio-disable-vga": "disable-vga",
    "vfio-disable-idle-d3": "disable-idle-d3",
    "blacklist": "blacklist",
    "softdep-vfio": "softdep",
    "unsafe-interrupts": "unsafe-interrupts",
    "kvm-ignore-msrs": "kvm-ignore-msrs",
    "kvm-report-ignored-msrs": "kvm-quiet-msrs",
}
# What an ACS override is judged by where nobody has said which
_SMALLEST_ACS = "downstream"


def knob_states(facts: Facts, slot: str = "") -> KnobStates:
    """The host's knobs, and those of each claim (or of one slot, claimed or not)."""
    slots = [slot] if slot else [claim.slot for claim in facts.claims.claims]
    found = [_state(facts, knob, "") for knob in KNOBS if knob.scope is Scope.HOST]
    for each in slots:
        found += [_state(facts, knob, each) for knob in KNOBS if knob.scope is Scope.CLAIM]
    return KnobStates(knobs=tuple(found))


def _state(facts: Facts, knob: Knob, slot: str) -> KnobState:
    claim = facts.claims.of_slot(slot)
    options = (claim.options if claim else ()) if slot else facts.claims.host_options
    set_to = next((each for each in options if each.partition("=")[0] == knob.name), None)
    judged = turned(set_to or knob.name, slot)
    asked = judged
    if knob.needs_value and not judged.value:
        asked = turned(f"{knob.name}={_SMALLEST_ACS}", slot)
    by_hand = tuple(_by_hand(facts, knob, slot))
    return KnobState(
        name=knob.name,
        scope=knob.scope,
        slot=slot,
        set_to=set_to,
        active=_is_active(facts, knob, judged),
        persisted=any(_reaches_the_next_boot(facts, knob, each) for each in by_hand)
        or _is_persisted(facts, knob, judged),
        by_hand=tuple(f"{each.where}: {each.line}" for each in by_hand),
        against=tuple(each for each in against(facts, asked) if each.blocks),
    )


def _by_hand(facts: Facts, knob: Knob, slot: str) -> Iterator[Setting]:
    rivals = {name for each in facts.inventory.of_slot(slot) for name in each.rivals}
    ids = {f"{e.identity.vendor}:{e.identity.device}" for e in facts.inventory.of_slot(slot)}
    for setting in facts.settings:
        if KNOB_OF_SETTING.get(setting.code) != knob.name or setting.where == "/proc/cmdline":
            continue
        if knob.name in ("blacklist", "softdep") and setting.value not in rivals:
            continue
        if knob.name == "bind-by-ids" and not any(each in setting.value.lower() for each in ids):
            continue
        yield setting


def _reaches_the_next_boot(facts: Facts, knob: Knob, setting: Setting) -> bool:
    """Not where a word stands in the file of another loader."""
    path = setting.where.partition(":")[0]
    return knob.writes is not Writes.KERNEL_WORD or is_read_by(facts.loader.loader, path)


def _is_active(facts: Facts, knob: Knob, judged: Turned) -> bool | None:
    if knob.writes is Writes.KERNEL_WORD:
        return _has_word(facts.kernel.command_line, knob, judged)
    if knob.writes is Writes.MODULES:
        names = judged.value.split(",") if judged.value else ["vfio_pci"]
        return all(is_loaded(facts, name) for name in names)
    return shown_value(facts, knob.name)


def _has_word(words: tuple[str, ...], knob: Knob, judged: Turned) -> bool:
    """The word with the value that is set; with any, where none is set."""
    whole = f"{knob.word}{judged.value}" if judged.value or not knob.needs_value else knob.word
    return any(each == whole or (each.startswith(whole) and whole[-1] == "=") for each in words)


def _is_persisted(facts: Facts, knob: Knob, judged: Turned) -> bool | None:
    """Whether the next boot's files say it; None where that could not be determined."""
    match knob.writes:
        case Writes.KERNEL_WORD:
            words = facts.loader.persisted
            if words is None and facts.loader.is_on_esp:
                words = given_words(facts)
            return None if words is None else _has_word(words, knob, judged)
        case Writes.MODULES:
            listed = (facts.options.modules or "").splitlines()
            names = judged.value.split(",") if judged.value else ["vfio_pci"]
            return all(name in listed for name in names)
        case Writes.MODPROBE:
            lines = facts.options.modprobe.text.splitlines() if facts.options.modprobe else []
            return any(_is_of(line, facts, knob, judged) for line in lines)
        case Writes.LINK_FILES:
            return any(WAS_ASKED in each.text for each in facts.network.links)
        case Writes.HOOK:
            return facts.options.hook == HOOK_TEXT
        case Writes.INITRAMFS:
            return None


def _is_of(line: str, facts: Facts, knob: Knob, judged: Turned) -> bool:
    if line.startswith("#"):
        return False
    if knob.module:
        return line.startswith(f"options {knob.module} {knob.option}=")
    words = line.split()
    return words[0] == knob.name and words[1] in drivers_of(facts, judged)
