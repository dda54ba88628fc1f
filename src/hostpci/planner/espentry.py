"""The known good entry where systemd-boot runs from the boot partitions of proxmox-boot-tool.

Pure. The loader deletes LoaderEntryOneShot as it reads it (systemd, src/boot/efi/boot.c): so the
trial boot is asked for once, and whatever comes after it is LoaderEntryDefault, the known good
entry. The name of that entry is neither matched by the tool's ``default proxmox-*`` nor removed by
its hook, which looks below EFI/proxmox only.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..facts.loader import without_loader_words
from ..model.efivar import DEFAULT, ONE_SHOT
from ..model.facts import Facts
from ..model.plan import (
    CommandStep,
    EspEntryStep,
    LoaderVariableStep,
    Plan,
    RefreshStep,
    Step,
)
from ..model.trial import TrialFacts
from .edits.grubmenu import ENTRY_ID, ESCAPE

_ENTRY = f"{ENTRY_ID}.conf"
_COPIES = "EFI/hostpci"


def known_good_on_esps(
    facts: Facts, ground: TrialFacts, change: Plan, title: str
) -> tuple[Step, ...]:
    """In an order in which a cut anywhere leaves a host that boots; () where it cannot be done.

    Without /etc/kernel/cmdline the tool would take over the word hostpci=off from a boot of
    the entry, for good.
    """
    release = facts.kernel.release
    normal = ground.entry_default or f"proxmox-{facts.loader.next_release}.conf"
    uuids = tuple(_with_entries(facts))
    is_stranger = normal.startswith(("@", ENTRY_ID))
    if not uuids or not ground.has_bootctl or is_stranger or facts.loader.kernel_cmdline is None:
        return ()
    names = (f"vmlinuz-{release}", f"initrd.img-{release}")
    images = tuple(f"EFI/proxmox/{release}/{name}" for name in names)
    copies = tuple(f"{_COPIES}/{name}" for name in names) if _rewrites(change, release) else ()
    return (
        EspEntryStep(
            code="known-good-esp", uuids=uuids, path=f"loader/entries/{_ENTRY}",
            text=_text(facts, title, *(copies or images)), images=images, copies=copies,
        ),
        LoaderVariableStep(
            code="loader-one-shot", name=ONE_SHOT, before=ground.entry_one_shot, after=normal
        ),
        LoaderVariableStep(
            code="loader-default", name=DEFAULT, before=ground.entry_default, after=_ENTRY
        ),
    )  # fmt: skip


def esps_without(facts: Facts) -> tuple[str, ...]:
    """Listed partitions that get no entry: not there, or without this kernel."""
    found = set(_with_entries(facts))
    return tuple(esp.uuid for esp in facts.loader.esps if esp.uuid not in found)


def _with_entries(facts: Facts) -> Iterator[str]:
    needed = {facts.kernel.release, facts.loader.next_release}
    for esp in facts.loader.esps:
        if esp.present and "uefi" in esp.loaders and needed <= set(esp.versions):
            yield esp.uuid


def _rewrites(change: Plan, release: str) -> bool:
    """Whether the change ends in new copies on the partitions; a cut leaves half of one."""
    image = f"/boot/initrd.img-{release}"
    return any(
        isinstance(step, RefreshStep) or (isinstance(step, CommandStep) and image in step.touches)
        for step in change.steps
    )


def _text(facts: Facts, title: str, kernel: str, initrd: str) -> str:
    """Boot Loader Specification, as the tool writes its own entries."""
    running = without_loader_words(facts.kernel.command_line)
    words = [word for word in running if word != ESCAPE]
    return (
        f"title    {title}\n"
        f"version  {facts.kernel.release}\n"
        f"options  {' '.join([*words, ESCAPE])}\n"
        f"linux    /{kernel}\n"
        f"initrd   /{initrd}\n"
    )
