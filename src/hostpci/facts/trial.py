"""Reads what a trial boot rests on: GRUB's own files, watchdogs, systemd."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..host.root import Root
from ..model.efivar import DEFAULT, ONE_SHOT, entry_named, variable_path
from ..model.facts import Loader
from ..model.grubcfg import sources_custom
from ..model.trial import TrialFacts, WatchdogFacts
from .loader import GRUB_CONFIG
from .look import Look

GRUB_CUSTOM = "/boot/grub/custom.cfg"
_CUSTOM_SCRIPT = "/etc/grub.d/41_custom"
_LINUX_SCRIPT = "/etc/grub.d/10_linux"
_UNRESTRICTED = re.compile(r"^\s*CLASS=.*--unrestricted", re.MULTILINE)
_WATCHDOGS = "/sys/class/watchdog"
_SYSTEMD = ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")
# PVE's daemon for high availability; it is the one that opens /dev/watchdog there
_WATCHDOG_MUX = "/usr/sbin/watchdog-mux"
_BOOTCTL = "/usr/bin/bootctl"


def read_trial_facts(root: Root, loader: Loader) -> TrialFacts:
    """Everything beyond Facts that planning a trial needs. What cannot be read counts as absent:
    then the trial has less to rest on, and says so.
    """
    look = Look(root)
    is_grub = loader is Loader.GRUB
    is_systemd_boot = loader is Loader.SYSTEMD_BOOT_ON_ESP
    return TrialFacts(
        has_systemd=any(look.exists(path) for path in _SYSTEMD),
        grub_config=look.raw(GRUB_CONFIG) if is_grub else None,
        custom_config=look.own_text(GRUB_CUSTOM) if is_grub else None,
        watchdogs=tuple(read_watchdogs(root)),
        has_watchdog_mux=look.exists(_WATCHDOG_MUX),
        esp_menu_options=_menu_options(look) if loader is Loader.GRUB_ON_ESP else None,
        has_bootctl=is_systemd_boot and look.exists(_BOOTCTL),
        entry_default=_named_by(look, DEFAULT) if is_systemd_boot else None,
        entry_one_shot=_named_by(look, ONE_SHOT) if is_systemd_boot else None,
    )


def _menu_options(look: Look) -> str | None:
    """From the scripts that write those menus: nobody mounts a boot partition to look.

    A menu with passwords stays as open or closed as it is.
    """
    if not sources_custom(look.raw(_CUSTOM_SCRIPT) or ""):
        return None
    return " --unrestricted" if _UNRESTRICTED.search(look.raw(_LINUX_SCRIPT) or "") else ""


def _named_by(look: Look, name: str) -> str | None:
    return entry_named(look.binary(variable_path(name)))


def read_watchdogs(root: Root) -> Iterator[WatchdogFacts]:
    """Documentation/ABI/testing/sysfs-class-watchdog."""
    look = Look(root)
    for name in look.names(_WATCHDOGS):
        base = f"{_WATCHDOGS}/{name}"
        yield WatchdogFacts(
            name=name,
            identity=look.text(f"{base}/identity") or name,
            is_active=look.text(f"{base}/state") == "active",
            cannot_stop=look.text(f"{base}/nowayout") == "1",
        )
