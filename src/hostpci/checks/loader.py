"""Who boots this host, from which files, and what the next boot will get."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..model.facts import Esp, Facts, Loader, LoaderFacts
from ..model.finding import Finding, Level, Outcome
from .say import fails, holds, unknown

KERNEL_CMDLINE = "/etc/kernel/cmdline"
# What evidence can disagree about (LoaderFacts.doubt), and what can be wrong with an ESP
DOUBTS = (
    "no-traces", "two-loaders", "foreign-entry", "boot-partition", "not-on-esps", "no-grub-config",
)  # fmt: skip
ESP_PROBLEMS = ("esp-missing", "esp-other-loader", "esp-two-loaders")
_EDITED = (Loader.GRUB, Loader.GRUB_ON_ESP, Loader.SYSTEMD_BOOT_ON_ESP)


def check_loader(facts: Facts, _slot: str) -> Iterator[Finding]:
    found = facts.loader
    if found.loader in _EDITED:
        yield holds("loader", "", *found.evidence, loader=found.loader, firmware=found.firmware)
        return
    yield fails(
        "loader", Level.NOTICE, "", *found.evidence, loader=found.loader, firmware=found.firmware
    )
    if found.doubt in DOUBTS:
        yield fails(f"loader-{found.doubt}", Level.NOTICE, "", *found.evidence)


def check_secure_boot(facts: Facts, _slot: str) -> Iterator[Finding]:
    found = facts.loader
    if found.firmware != "UEFI":
        return
    if found.secure_boot is None:
        yield unknown("secure-boot", "", "/sys/firmware/efi/efivars")
    elif found.secure_boot:
        yield holds("secure-boot")
    else:
        yield fails("secure-boot", Level.INFO)


def check_command_line(facts: Facts, _slot: str) -> Iterator[Finding]:
    """Where the words come from, and whether the next boot has those of this one."""
    source = command_line_source(facts.loader)
    if source:
        yield Finding(
            code="command-line-source", outcome=Outcome.HOLDS, level=Level.INFO,
            subject="", params={"source": source},
        )  # fmt: skip
    now, then = set(facts.kernel.command_line), facts.loader.persisted
    if then is None:
        missing = unknown("command-line-next", "", *facts.loader.evidence)
        # Nobody mounts boot partitions to look: on a host that has them this is how it is
        yield replace(missing, level=Level.INFO) if facts.loader.is_on_esp else missing
        return
    more = [f"+{word}" for word in then if word not in now]
    less = [f"-{word}" for word in sorted(now - set(then)) if not _is_the_loaders(word)]
    if more or less:
        yield fails("command-line-next", Level.NOTICE, "", *more, *less)
    else:
        yield holds("command-line-next")


def _is_the_loaders(word: str) -> bool:
    return word.startswith(("BOOT_IMAGE=", "initrd="))


def command_line_source(found: LoaderFacts) -> str:
    """The file that decides the words, empty where that is not known."""
    if found.loader in (Loader.GRUB, Loader.GRUB_ON_ESP):
        return "/etc/default/grub, /etc/default/grub.d/*.cfg"
    if found.loader is Loader.SYSTEMD_BOOT_ON_ESP:
        return KERNEL_CMDLINE if found.kernel_cmdline is not None else "/proc/cmdline"
    return ""


def check_esps(facts: Facts, _slot: str) -> Iterator[Finding]:
    for esp in facts.loader.esps:
        problem = esp_problem(facts.loader, esp)
        has = ", ".join(esp.loaders) or "-"
        if problem:
            yield fails(problem, Level.WARN, esp.uuid, has, loaders=has)
        elif not esp.loaders:
            yield unknown("esp", esp.uuid, "proxmox-boot-tool status")
        else:
            yield holds("esp", esp.uuid, *esp.versions, loaders=has)


def esp_problem(found: LoaderFacts, esp: Esp) -> str:
    """What is wrong with one partition, by code; empty if nothing is known to be.

    proxmox-boot-tool skips what it cannot use and exits with 0. Where GRUB's EFI program is on
    the partition it refreshes GRUB's files alone (zz-proxmox-boot: update_esp_func), so
    systemd-boot beside it goes on with what it had.
    """
    if not esp.present:
        return "esp-missing"
    wanted = "grub" if found.loader is Loader.GRUB_ON_ESP else "uefi"
    if not found.is_on_esp or not esp.loaders:
        return ""
    if wanted not in esp.loaders:
        return "esp-other-loader"
    return "esp-two-loaders" if wanted == "uefi" and "grub" in esp.loaders else ""


def check_pins(facts: Facts, _slot: str) -> Iterator[Finding]:
    found, boots = facts.loader, facts.loader.next_release or "-"
    if found.pinned:
        yield fails("kernel-pinned", Level.NOTICE, "", boots, release=found.pinned)
    if found.next_boot:
        yield fails("kernel-pinned-once", Level.NOTICE, "", boots, release=found.next_boot)
