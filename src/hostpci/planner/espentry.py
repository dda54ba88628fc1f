"""The known good entry where the loader runs from the boot partitions of proxmox-boot-tool.

Pure. systemd-boot deletes LoaderEntryOneShot as it reads it (systemd, src/boot/efi/boot.c): so the
trial boot is asked for once, and whatever comes after it is LoaderEntryDefault, the known good
entry. The name of that entry is neither matched by the tool's ``default proxmox-*`` nor removed by
its hook, which looks below EFI/proxmox only.

GRUB notes the trial itself, as on a plain partition: vfat it can write. Each partition has a menu
and a note of its own; should the firmware change over to another one after a trial that hung, the
trial is tried once more there. A refresh writes grub.cfg anew and removes old kernels from the top
of the partition; custom.cfg and what lies below hostpci/ it leaves.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..facts.loader import without_loader_words
from ..model.efivar import DEFAULT, ONE_SHOT
from ..model.facts import Facts, Loader
from ..model.plan import (
    CommandStep,
    EspEntryStep,
    LoaderVariableStep,
    Plan,
    RefreshStep,
    Step,
)
from ..model.trial import TrialFacts
from .edits.grubmenu import (
    ENTRY_ID,
    ENV_NAME,
    ESCAPE,
    known_good_on_esp,
    pending_block,
    with_entry,
)

_ENTRY = f"{ENTRY_ID}.conf"
_COPIES = "EFI/hostpci"
_GRUB_COPIES = "hostpci"


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


def known_good_on_grub_esps(
    facts: Facts, ground: TrialFacts, change: Plan, title: str
) -> tuple[EspEntryStep, ...]:
    """One step for each partition, whose menu names it; () where it cannot be done."""
    release, options = facts.kernel.release, ground.esp_menu_options
    images = (f"vmlinuz-{release}", f"initrd.img-{release}")
    is_copied = _rewrites(change, release)
    copies = tuple(f"{_GRUB_COPIES}/{name}" for name in images) if is_copied else ()
    kernel, initrd = copies or images
    words = without_loader_words(facts.kernel.command_line)
    steps: list[EspEntryStep] = []
    for uuid in _with_entries(facts) if options is not None else ():
        entry = known_good_on_esp(uuid, kernel, initrd, words, title=title, options=options or "")
        if entry is None:
            return ()
        steps.append(
            EspEntryStep(
                code="known-good-grub-esp",
                uuids=(uuid,),
                path="grub/custom.cfg",
                text=with_entry(None, entry, one_shot=True),
                images=images,
                copies=copies,
                note=f"grub/{ENV_NAME}",
                note_text=pending_block(),
            )
        )
    return tuple(steps)


def esps_without(facts: Facts) -> tuple[str, ...]:
    """Listed partitions that get no entry: not there, or without this kernel."""
    found = set(_with_entries(facts))
    return tuple(esp.uuid for esp in facts.loader.esps if esp.uuid not in found)


def _with_entries(facts: Facts) -> Iterator[str]:
    loader = "grub" if facts.loader.loader is Loader.GRUB_ON_ESP else "uefi"
    needed = {facts.kernel.release, facts.loader.next_release}
    for esp in facts.loader.esps:
        if esp.present and loader in esp.loaders and needed <= set(esp.versions):
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
