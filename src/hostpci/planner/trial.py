"""A trial boot, planned and judged. Pure: what to put in place, and what to do about what is seen.

A trial is a run of its own, begun just before the run that it watches: whatever ends it takes
back one of the two, or both, by the same undo as everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from ..checks.say import fails, holds
from ..facts.loader import without_loader_words
from ..facts.trial import GRUB_CUSTOM
from ..model.facts import Facts, Loader
from ..model.finding import Finding, Level
from ..model.grubcfg import sources_custom
from ..model.journal import Booted, Confirmed, GivenUp, History, Proved, Run, RunState
from ..model.plan import CommandStep, CopyStep, FileStep, Plan, Step
from ..model.trial import By, Health, Reason, Trial, TrialFacts, WatchdogFacts
from .edits.grubmenu import (
    ENV_NAME,
    ESCAPE,
    has_our_part,
    known_good,
    pending_block,
    with_entry,
)
from .espentry import esps_without, known_good_on_esps, known_good_on_grub_esps

UNIT_NAME = "hostpci-trial.service"
_UNITS = "/etc/systemd/system"
UNIT = f"{_UNITS}/{UNIT_NAME}"
# systemd follows only links in a .wants directory, and we write files: hence a drop-in
UNIT_START = f"{_UNITS}/sysinit.target.d/50-hostpci-trial.conf"
GRUB_ENV = f"/boot/grub/{ENV_NAME}"
_COPIES = "/boot/hostpci"
# A watcher that only looks waits this long for the boot to come to its end
_LOOK_AT_MOST_S = 1800

_UNIT_TEXT = """\
# Written by "hostpci apply", removed by "hostpci confirm", "hostpci undo", or by itself.
[Unit]
Description=Watch over the boot after a change of hostpci
DefaultDependencies=no
RequiresMountsFor=/var/lib/hostpci
After=systemd-remount-fs.service boot.mount zfs-mount.service
Conflicts=shutdown.target
Before=shutdown.target
# A boot that ends in emergency mode must be watched too
IgnoreOnIsolate=yes

[Service]
ExecStart={command} trial-watch --lang {language}
Restart=on-failure
RestartSec=30
StandardOutput=journal+console
"""
_START_TEXT = """\
# Written by "hostpci apply": starts hostpci-trial.service as early as a service can start.
[Unit]
Wants=hostpci-trial.service
"""


# what to put in place


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the person asked for, and by what command the watcher is called."""

    trial: Trial
    command: tuple[str, ...]
    language: str
    run: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPlan:
    """``plan``: the steps of the trial's own run; its ``notes`` say what the trial covers."""

    plan: Plan
    trial: Trial


def plan_trial(facts: Facts, ground: TrialFacts, change: Plan, wish: Wish) -> TrialPlan:
    """What has to be there before ``change`` is carried out, and is gone after the trial."""
    trial = wish.trial
    if trial.within_s is None:
        return TrialPlan(plan=Plan(steps=tuple(_unit_steps(wish))), trial=trial)
    menu = _known_good_steps(facts, ground, change, wish)
    one_shot = facts.loader.one_shot if menu else ""
    trial = Trial(within_s=trial.within_s, healthy=trial.healthy, one_shot=one_shot)
    notes = (*_about_hangs(facts, trial, has_entry=bool(menu)), _about_watchdog(ground))
    return TrialPlan(plan=Plan(steps=(*_unit_steps(wish), *menu), notes=notes), trial=trial)


def _known_good_steps(
    facts: Facts, ground: TrialFacts, change: Plan, wish: Wish
) -> tuple[Step, ...]:
    title = f"Known good: as before run {wish.run} of hostpci (Linux {facts.kernel.release})"
    if facts.loader.loader is Loader.SYSTEMD_BOOT_ON_ESP:
        return known_good_on_esps(facts, ground, change, title)
    if facts.loader.loader is Loader.GRUB_ON_ESP:
        return known_good_on_grub_esps(facts, ground, change, title)
    entry, copies = _known_good(facts, ground, change, title)
    is_one_shot = facts.loader.one_shot == "grub-env"
    return tuple(_menu_steps(ground, entry, copies, one_shot=is_one_shot)) if entry else ()


def _unit_steps(wish: Wish) -> Iterator[FileStep]:
    text = _UNIT_TEXT.format(command=" ".join(wish.command), language=wish.language)
    yield FileStep(code="trial-unit", path=UNIT, before=None, after=text)
    yield FileStep(code="trial-start", path=UNIT_START, before=None, after=_START_TEXT)


def _known_good(
    facts: Facts, ground: TrialFacts, change: Plan, title: str
) -> tuple[str | None, dict[str, str]]:
    """The menu entry, and which images it boots copies of (path -> copy)."""
    config = ground.grub_config
    if config is None or not sources_custom(config) or has_our_part(ground.custom_config):
        return None, {}
    release = facts.kernel.release
    image = f"/boot/initrd.img-{release}"
    name = image.rpartition("/")[2]
    is_rebuilt = any(isinstance(s, CommandStep) and image in s.touches for s in change.steps)
    entry = known_good(
        config,
        without_loader_words(facts.kernel.command_line),
        release,
        title=title,
        initrds={name: name} if is_rebuilt else {},
    )
    return entry, {image: f"{_COPIES}/{name}"} if is_rebuilt and entry else {}


def _menu_steps(
    ground: TrialFacts, entry: str, copies: dict[str, str], *, one_shot: bool
) -> Iterator[Step]:
    """In an order in which a cut anywhere leaves a menu that boots."""
    for source, path in copies.items():
        yield CopyStep(code="known-good-image", source=source, path=path)
    if one_shot:
        yield FileStep(
            code="trial-pending", path=GRUB_ENV, before=None, after=pending_block(),
            host_rewrites=True,
        )  # fmt: skip
    theirs = ground.custom_config
    yield FileStep(
        code="known-good-entry", path=GRUB_CUSTOM, before=theirs,
        after=with_entry(theirs, entry, one_shot=one_shot),
    )  # fmt: skip


def _about_hangs(facts: Facts, trial: Trial, *, has_entry: bool) -> Iterator[Finding]:
    loader = facts.loader
    if trial.one_shot:
        yield holds("trial-one-shot", loader.loader, *loader.evidence)
        for uuid in esps_without(facts):
            yield fails("trial-esp-without", Level.NOTICE, uuid)
    elif has_entry:
        yield fails("trial-not-one-shot", Level.WARN, loader.loader, *loader.evidence)
    else:
        yield fails("trial-no-entry", Level.WARN, loader.loader, *loader.evidence)


def _about_watchdog(ground: TrialFacts) -> Finding:
    free = usable_watchdog(ground.watchdogs, has_mux=ground.has_watchdog_mux)
    if free is not None:
        return holds("trial-watchdog", free.name, watchdog=free.identity)
    seen = [f"{each.name}: {each.identity}" for each in ground.watchdogs]
    return fails("trial-watchdog", Level.NOTICE, "", *seen)


def usable_watchdog(watchdogs: tuple[WatchdogFacts, ...], *, has_mux: bool) -> WatchdogFacts | None:
    """One that nobody feeds yet and that can be let go of; PVE's own daemon comes first."""
    if has_mux:
        return None
    return next((each for each in watchdogs if not (each.is_active or each.cannot_stop)), None)


# what to make of what is seen


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTrial:
    """The trial that is not over, and the run it watches (None: that one was never begun)."""

    run: Run
    watched: Run | None

    @property
    def asked(self) -> Trial:
        asked = self.run.begin.trial
        assert asked is not None  # noqa: S101  (open_trial)
        return asked

    @property
    def confirmed(self) -> bool:
        return any(isinstance(each, Confirmed) for each in self.run.entries)

    @property
    def given_up(self) -> GivenUp | None:
        return next((each for each in self.run.entries if isinstance(each, GivenUp)), None)

    @property
    def proved(self) -> Proved | None:
        return next((each for each in self.run.entries if isinstance(each, Proved)), None)

    @property
    def boots(self) -> tuple[str, ...]:
        return tuple(each.boot_id for each in self.run.entries if isinstance(each, Booted))


def open_trial(history: History) -> OpenTrial | None:
    """The newest trial whose own parts still lie on the host."""
    runs = {run.number: run for run in history.runs}
    for run in reversed(history.runs):
        if run.begin.trial is not None and run.state is not RunState.UNDONE:
            # Both are begun under one lock, so nothing can come between their numbers.
            return OpenTrial(run=run, watched=runs.get(run.number + 1))
    return None


class Do(StrEnum):
    """LEAVE: not our boot. CLEAR: take back the trial's own parts. WATCH: look again later."""

    LEAVE = "leave"
    CLEAR = "clear"
    CONFIRM = "confirm"
    TAKE_BACK = "take-back"
    WATCH = "watch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """``reason`` of TAKE_BACK, ``by`` of CONFIRM; ``reboot``: this boot is not the one to stay."""

    do: Do
    reason: Reason | None = None
    by: By | None = None
    details: tuple[str, ...] = ()
    reboot: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """``since_boot_s``: seconds since the kernel started. ``words``: its command line."""

    boot_id: str
    since_boot_s: float
    words: tuple[str, ...]


def decide(
    trial: OpenTrial | None, seen: Seen, unhealthy: Callable[[tuple[Health, ...]], tuple[str, ...]]
) -> Action:
    """What the watcher has to do now. ``unhealthy`` is asked only when the time is over."""
    if trial is None:
        return Action(do=Do.LEAVE)
    is_fallback = ESCAPE in seen.words
    watched = trial.watched
    if watched is None or watched.state is RunState.UNDONE:
        return Action(do=Do.CLEAR, reboot=is_fallback and watched is not None)
    if trial.confirmed:
        return Action(do=Do.CLEAR)
    if seen.boot_id == trial.run.begin.boot_id:
        return Action(do=Do.LEAVE)
    reason = _why_at_once(trial, watched, seen, is_fallback=is_fallback)
    if reason is not None and trial.asked.within_s is not None:
        return Action(do=Do.TAKE_BACK, reason=reason, reboot=True)
    return _by_the_clock(trial, seen, unhealthy)


def _why_at_once(trial: OpenTrial, watched: Run, seen: Seen, *, is_fallback: bool) -> Reason | None:
    if trial.given_up is not None:
        return trial.given_up.reason
    if watched.state is not RunState.APPLIED:
        return Reason.CUT_OFF
    if is_fallback:
        return Reason.KNOWN_GOOD
    return Reason.SECOND_BOOT if set(trial.boots) - {seen.boot_id} else None


def _by_the_clock(
    trial: OpenTrial, seen: Seen, unhealthy: Callable[[tuple[Health, ...]], tuple[str, ...]]
) -> Action:
    asked = trial.asked
    if asked.within_s is None:
        is_over = trial.proved is not None or seen.since_boot_s >= _LOOK_AT_MOST_S
        return Action(do=Do.CONFIRM, by=By.PROOF) if is_over else Action(do=Do.WATCH)
    if seen.since_boot_s < asked.within_s:
        return Action(do=Do.WATCH)
    if not asked.healthy:
        return Action(do=Do.TAKE_BACK, reason=Reason.NOT_CONFIRMED, reboot=True)
    failing = unhealthy(asked.healthy)
    if failing:
        return Action(do=Do.TAKE_BACK, reason=Reason.UNHEALTHY, details=failing, reboot=True)
    return Action(do=Do.CONFIRM, by=By.HEALTH)
