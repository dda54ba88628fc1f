"""Settings that a guide left by hand: taken over as knobs of ours, or taken out. Pure.

Taken over means the same effect with one owner: the line leaves the foreign file, the knob enters
/etc/hostpci.toml, and the plan writes it in our own files. What does nothing on this kernel has
no effect to keep and goes. What cannot be edited safely is named and left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..checks.leftovers import concerns_us
from ..errors import EditError, UsageError
from ..facts.claims import PATH, with_claim_changed, with_host_options
from ..facts.loader import KERNEL_CMDLINE
from ..facts.settings import OPTION_CODES
from ..model.claim import Claim
from ..model.facts import Facts, InitramfsImage, Loader, Setting
from ..model.finding import Finding, Level, Outcome
from ..model.plan import FileStep, Plan, Reboot, Step
from .commandline import esp_refusals, is_read_by, loader_update
from .handover import Handover, handover
from .plan import rebuild_step
from .takeout import concerned_modules, take_out

# Other tools' own files, and switches that somebody may have turned on purpose: not the guides'
_NEVER = {"foreign-rule": "adopt-not-ours", "driverctl": "adopt-not-ours"}
_ONLY_BY_NAME = {"cmdline-iommu-off"}
_SILENT = {"cmdline-hostpci"}
_GRUB_FILES = "/etc/default/grub"
# Why a setting is left where it is
LEFT_CODES = (
    "adopt-not-ours", "adopt-unreadable", "adopt-not-safe", "adopt-no-knob", "adopt-needs-claim",
    "adopt-set-otherwise", "adopt-refused", "adopt-only-running",
)  # fmt: skip
# Files that the guides create: empty, they are gone again
_MADE_BY_GUIDES = {
    "/etc/modprobe.d/vfio.conf", "/etc/modprobe.d/iommu_unsafe_interrupts.conf",
    "/etc/modprobe.d/kvm.conf",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """The files as they will be, the knobs that were taken over, and what is left where it is."""

    texts: dict[str, str]
    claims: tuple[Claim, ...]
    host_options: tuple[str, ...]
    done: tuple[Setting, ...] = ()
    left: tuple[Finding, ...] = ()


def adopt_plan(facts: Facts, *, remove: bool, codes: tuple[str, ...] = ()) -> Plan:
    """The run that takes over, or takes out, what guides left. ``codes``: only these settings.

    Raises UsageError for a code that is not on this host.
    """
    names = {code.removeprefix("leftover-") for code in codes}
    chosen = [each for each in facts.settings if _is_meant(each, names)]
    for name in sorted(names - {each.code for each in chosen}):
        raise UsageError("adopt-not-found", name=name)
    draft = _Draft(
        texts={each.path: each.text for each in facts.options.files if each.text is not None},
        claims=facts.claims.claims,
        host_options=facts.claims.host_options,
    )
    for setting in chosen:
        draft = _adopted(facts, draft, setting, remove=remove)
    edits = tuple(_edits(facts, draft))
    followers = _followers(facts, draft)
    refusals = tuple(esp_refusals(facts)) if followers else ()
    if refusals:
        return Plan(steps=(), refusals=refusals)
    steps: tuple[Step, ...] = (*edits, *_claims_edit(facts, draft), *followers)
    words = tuple(dict.fromkeys(each.value for each in draft.done if _is_active(facts, each)))
    return Plan(
        steps=steps,
        reboot=Reboot.ONE if words else Reboot.NONE,
        pending=words,
        notes=(*draft.left, *_only_running(facts, chosen)),
    )


def _is_meant(setting: Setting, names: set[str]) -> bool:
    if setting.code in _SILENT or not concerns_us(setting):
        return False
    return setting.code in names if names else setting.code not in _ONLY_BY_NAME


def _adopted(facts: Facts, draft: _Draft, setting: Setting, *, remove: bool) -> _Draft:
    """The draft with one more setting handled, or named as left."""
    path = setting.where.partition(":")[0]
    if path == "/proc/cmdline":
        return draft
    if setting.code in _NEVER or path not in draft.texts:
        return _with_left(draft, setting, _NEVER.get(setting.code, "adopt-unreadable"))
    if _may_be_read_by_a_stranger(facts.loader.loader, path):
        return _with_left(draft, setting, "adopt-not-safe", f"loader: {facts.loader.loader}")
    given = Handover() if remove else handover(facts, draft.claims, draft.host_options, setting)
    if given.why_not:
        return _with_left(draft, setting, given.why_not, given.reason)
    try:
        text = take_out(path, draft.texts[path], setting)
        if text == draft.texts[path] and not _is_done(draft, setting):
            raise EditError("edit-not-found", path=path)
    except EditError as error:
        return _with_left(draft, setting, "adopt-not-safe", error.code)
    return replace(
        draft,
        texts={**draft.texts, path: text},
        claims=given.claims or draft.claims,
        host_options=given.host_options or draft.host_options,
        done=(*draft.done, setting),
    )


def _may_be_read_by_a_stranger(loader: Loader, path: str) -> bool:
    """A loader that we cannot tell of the edit."""
    is_of_loader = path == KERNEL_CMDLINE or path.startswith(_GRUB_FILES)
    return is_of_loader and loader in (Loader.UNKNOWN, Loader.SYSTEMD_BOOT)


def _is_done(draft: _Draft, setting: Setting) -> bool:
    """A line that stands there twice went with the first."""
    same = (setting.code, setting.value, setting.where.partition(":")[0])
    return any((e.code, e.value, e.where.partition(":")[0]) == same for e in draft.done)


def _with_left(draft: _Draft, setting: Setting, code: str, reason: str = "-") -> _Draft:
    return replace(draft, left=(*draft.left, _left(setting, code, reason)))


def _left(setting: Setting, code: str, reason: str = "-") -> Finding:
    # The value of a switch ("1") says nothing by itself
    is_switch = setting.code in OPTION_CODES.values() and setting.code != "vfio-ids"
    value = setting.line if is_switch else setting.value
    return Finding(
        code=code, outcome=Outcome.DOES_NOT_HOLD, level=Level.NOTICE, subject=setting.where,
        params={"value": value, "reason": reason}, evidence=(setting.line,),
    )  # fmt: skip


def _only_running(facts: Facts, chosen: list[Setting]) -> Iterator[Finding]:
    """Words of this boot that stand in no file we know: typed at the loader, or put elsewhere."""
    in_files = {each.value for each in facts.settings if each.where != "/proc/cmdline"}
    for each in chosen:
        if each.where == "/proc/cmdline" and each.value not in in_files:
            yield _left(each, "adopt-only-running")


def _is_active(facts: Facts, setting: Setting) -> bool:
    return setting.value in facts.kernel.command_line


def _edits(facts: Facts, draft: _Draft) -> Iterator[FileStep]:
    for file in facts.options.files:
        after: str | None = draft.texts.get(file.path)
        if file.text is None or after == file.text:
            continue
        if after is not None and not after.strip() and file.path in _MADE_BY_GUIDES:
            yield FileStep(code="adopt-remove", path=file.path, before=file.text, after=None)
        else:
            # Of that file undo can put single words back, should somebody have changed the line
            takes = _words_taken(draft, file.path) if file.path == KERNEL_CMDLINE else ()
            yield FileStep(
                code="adopt-edit", path=file.path, before=file.text, after=after, takes=takes
            )


def _claims_edit(facts: Facts, draft: _Draft) -> Iterator[FileStep]:
    text: str | None = facts.claims.text
    if draft.host_options != facts.claims.host_options:
        text = with_host_options(text, draft.host_options)
    for claim in draft.claims:
        if claim != facts.claims.of_slot(claim.slot):
            text = with_claim_changed(text or "", claim)
    if text != facts.claims.text:
        yield FileStep(code="knob-set", path=PATH, before=facts.claims.text, after=text)


def _followers(facts: Facts, draft: _Draft) -> tuple[Step, ...]:
    """What makes the edits true: the images that hold a module they are about, then the loader."""
    images = [rebuild_step(each.release) for each in facts.images if _must_be_rebuilt(each, draft)]
    edits = tuple(
        replace(step, takes=_words_taken(draft, step.path))
        for step in _edits(facts, draft)
        if is_read_by(facts.loader.loader, step.path)
    )
    update = loader_update(facts, edits) if edits or images else ()
    return (*images, *update)


def _words_taken(draft: _Draft, path: str) -> tuple[str, ...]:
    """Words that no entry of the next boots has any more."""
    left = {each.params["value"] for each in draft.left}
    return tuple(
        dict.fromkeys(
            each.value
            for each in draft.done
            if each.where.startswith(path) and each.code.startswith("cmdline-")
            and each.value not in left
        )
    )  # fmt: skip


def _must_be_rebuilt(image: InitramfsImage, draft: _Draft) -> bool:
    modules = {name for each in draft.done for name in concerned_modules(each)}
    return bool(modules & set(image.modules or ()))
