"""A trial boot: what was changed stays only if somebody, or something, says that it works."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """What can be demanded of a host before a trial boot counts as good."""

    DEFAULT_ROUTE = "default-route"
    SSH = "ssh"
    STORAGE = "storage"
    PVEPROXY = "pveproxy"
    QUORUM = "quorum"


class Reason(StrEnum):
    """Why a trial is taken back."""

    NOT_CONFIRMED = "not-confirmed"
    UNHEALTHY = "unhealthy"
    SECOND_BOOT = "second-boot"
    KNOWN_GOOD = "known-good"
    CUT_OFF = "cut-off"


class By(StrEnum):
    """What ended a trial well. PROOF: nothing was on trial, the boot was only looked at."""

    PERSON = "person"
    HEALTH = "health"
    PROOF = "proof"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What was asked for. ``within_s`` counts from the start of the boot; None: the boot is
    looked at and told of, and nothing is ever taken back. ``one_shot``: as in LoaderFacts,
    empty where only the watcher in user space counts boots.
    """

    within_s: int | None
    healthy: tuple[Health, ...] = ()
    one_shot: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One health check: ``holds`` None is "could not be measured"; ``evidence`` says by what."""

    health: Health
    holds: bool | None
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchdogFacts:
    """One of /sys/class/watchdog. ``is_active``: somebody has started it already."""

    name: str
    identity: str
    is_active: bool
    cannot_stop: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialFacts:
    """What a trial rests on, read only when one is asked for.

    ``grub_config`` is None where the loader is another. ``esp_menu_options``: where GRUB's menus
    lie on boot partitions, what their entries have beside their classes; None if no menu there
    goes on with a file of ours. ``has_watchdog_mux``: PVE's own daemon owns the watchdog.
    ``entry_default`` and ``entry_one_shot``: what systemd-boot was told to boot; without bootctl
    it cannot be told.
    """

    has_systemd: bool
    grub_config: str | None
    custom_config: str | None
    watchdogs: tuple[WatchdogFacts, ...]
    has_watchdog_mux: bool
    esp_menu_options: str | None = None
    has_bootctl: bool = False
    entry_default: str | None = None
    entry_one_shot: str | None = None
