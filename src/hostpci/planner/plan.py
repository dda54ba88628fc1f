"""Claims minus facts: the least change, as ordered steps. Pure; nothing here touches a host."""

from __future__ import annotations

from collections.abc import Iterator

from ..checks.knobs import against, knob_notes
from ..checks.platform import can_switch_intel_iommu_on
from ..checks.registry import run_checks
from ..checks.say import fails, unknown
from ..model.claim import Claim
from ..model.facts import Facts, InitramfsImage, Loader
from ..model.finding import Finding, Level
from ..model.knob import kept_claims, lent_to, turned_knobs
from ..model.pci import LETS_GO, VFIO, PciFunction, UseKind
from ..model.plan import BindStep, CommandStep, FileStep, Plan, Reboot
from ..model.rule import rule_path, rule_text
from .commandline import (
    command_line_refusals,
    esp_refusals,
    loader_update,
    own_words,
    unseen_words,
    word_edits,
)
from .hook import hook_steps
from .knobs import (
    has_old_options,
    is_turned,
    kernel_words,
    knob_steps,
    lacks_options,
    modprobe_lines,
    waiting_knobs,
)
from .nicnames import names_too_early, pin_steps

_TIES = {UseKind.CONSOLE, UseKind.DISPLAY, UseKind.DISK, UseKind.NETWORK, UseKind.INPUT}
_INTEL_IOMMU_ON = "intel_iommu=on"


def make_plan(facts: Facts, *, bind_now: bool = False) -> Plan:
    """The steps from these facts to the claims. Equal facts and claims give an equal plan."""
    refusals = tuple(_refusals(facts, bind_now=bind_now))
    if refusals:
        return Plan(steps=(), refusals=refusals)
    rules = tuple(_rule_steps(facts))
    kept = kept_claims(facts.claims)
    movable = tuple(each.slot for each in kept if not why_not_now(facts, each))
    binds = tuple(_bind_steps(facts)) if bind_now else ()
    pending = (*_pending(facts, {each.address for each in binds}), *waiting_knobs(facts))
    reboot = bool(pending) or _iommu_waits(facts)
    files = (*rules, *knob_steps(facts), *hook_steps(facts), *pin_steps(facts, reboot=reboot))
    edits, images = word_edits(facts, _words(facts)), tuple(_image_steps(facts, files))
    unseen = () if edits else unseen_words(facts, _words(facts))
    update = loader_update(facts, edits, unseen) if edits or images or unseen else ()
    return Plan(
        steps=(*files, *edits, *images, *update, *binds),
        reboot=Reboot.ONE if reboot else Reboot.NONE,
        can_bind_now=() if bind_now else _not_yet(facts, movable),
        pending=pending,
        notes=(*_unlisted_images(facts), *knob_notes(facts)),
    )


def _refusals(facts: Facts, *, bind_now: bool) -> Iterator[Finding]:
    seen = set()
    for claim in facts.claims.claims:
        for finding in run_checks(facts, claim.slot).blocking:
            if (finding.code, finding.subject) not in seen:
                seen.add((finding.code, finding.subject))
                yield finding
        reason = why_not_now(facts, claim) if bind_now and lent_to(claim) is None else None
        if reason:
            yield reason
    for knob in turned_knobs(facts.claims):
        for finding in against(facts, knob):
            if finding.blocks and (finding.code, finding.subject) not in seen:
                seen.add((finding.code, finding.subject))
                yield finding
    yield from _loader_refusals(facts)


def _loader_refusals(facts: Facts) -> Iterator[Finding]:
    """A loader whose files we do not edit, or that boots copies which we do not put back."""
    loader, evidence = facts.loader.loader, facts.loader.evidence
    refused = tuple(command_line_refusals(facts, _words(facts)))
    yield from refused
    if refused or not any(_image_steps(facts, tuple(_rule_steps(facts)))):
        return
    if facts.loader.is_on_esp:
        yield from esp_refusals(facts)
    elif loader is not Loader.GRUB:
        yield fails(
            "loader-boots-copies", Level.FAIL, loader, *evidence, blocks=True, loader=loader
        )


def _rule_steps(facts: Facts) -> Iterator[FileStep]:
    on_disk = {each.path: each.text for each in facts.rules}
    wanted = {rule_path(claim.slot): rule_text(claim) for claim in kept_claims(facts.claims)}
    for path in sorted(wanted.keys() - on_disk.keys() | {p for p in on_disk if p in wanted}):
        if on_disk.get(path) != wanted[path]:
            yield FileStep(
                code="rule-write", path=path, before=on_disk.get(path), after=wanted[path]
            )
    for path in sorted(on_disk.keys() - wanted.keys()):
        yield FileStep(code="rule-remove", path=path, before=on_disk[path], after=None)


def _words(facts: Facts) -> tuple[str, ...]:
    """The kernel words that somebody asked for, and the one that claims need by themselves.

    That is where this kernel leaves the IOMMU off; once a word of ours has switched it on, it is
    needed as long as there is a claim.
    """
    asked = kernel_words(facts)
    if not facts.claims.claims or _INTEL_IOMMU_ON in asked:
        return asked
    needed = can_switch_intel_iommu_on(facts) or _INTEL_IOMMU_ON in own_words(facts)
    return (_INTEL_IOMMU_ON, *asked) if needed else asked


def _iommu_waits(facts: Facts) -> bool:
    return bool(facts.claims.claims) and can_switch_intel_iommu_on(facts)


def _image_steps(facts: Facts, files: tuple[FileStep, ...]) -> Iterator[CommandStep]:
    """Rebuild what must not bind or name any more, and what will boot and would do it wrongly.

    Images of other kernels stay as they are: they are the way back.
    """
    booting = {facts.kernel.release, facts.loader.next_release}
    changing = {step.path for step in files}
    stale = stale_images(facts)
    all_of_them = is_turned(facts, "initramfs-all")
    for image in facts.images:
        lacks = _is_overtaken(facts, image, changing) or names_too_early(facts, image, files)
        lacks = lacks or lacks_options(facts, image)
        lacks = lacks or (all_of_them and _lacks_rules(facts, image, changing))
        boots = all_of_them or image.release in booting
        if image in stale or (boots and lacks) or has_old_options(facts, image):
            yield rebuild_step(image.release)


def rebuild_step(release: str) -> CommandStep:
    """Rebuild one kernel's initramfs: the image, its checksum, and what a cut may leave beside."""
    return CommandStep(
        code="initramfs-rebuild",
        argv=("update-initramfs", "-u", "-k", release),
        touches=(
            f"/boot/initrd.img-{release}",
            f"/boot/initrd.img-{release}.new",
            f"/boot/initrd.img-{release}.dpkg-bak",
            f"/var/lib/initramfs-tools/{release}",
        ),
    )


def _is_overtaken(facts: Facts, image: InitramfsImage, changing: set[str]) -> bool:
    """True if a rival inside the image would win at boot, as the image has no rule of today.

    Debian's udev hook copies /etc/udev/rules.d into every image, so an image that is younger
    than our rule holds it; the rule's name inside the image is checked, not assumed.
    """
    return any(_rivals_inside(facts, claim, image) for claim in _not_inside(facts, image, changing))


def _lacks_rules(facts: Facts, image: InitramfsImage, changing: set[str]) -> bool:
    return any(_not_inside(facts, image, changing))


def _not_inside(facts: Facts, image: InitramfsImage, changing: set[str]) -> Iterator[Claim]:
    """Claims whose rule of today is not inside the image."""
    written = {each.path: each.modified_ns for each in facts.rules}
    for claim in kept_claims(facts.claims):
        path = rule_path(claim.slot)
        is_inside = path.rpartition("/")[2] in image.claim_rules and path not in changing
        if not is_inside or image.modified_ns < written.get(path, 0):
            yield claim


def stale_images(facts: Facts) -> tuple[InitramfsImage, ...]:
    """Images that hold the rule of a slot nobody claims any more."""
    wanted = {rule_path(claim.slot).rpartition("/")[2] for claim in kept_claims(facts.claims)}
    return tuple(each for each in facts.images if set(each.claim_rules) - wanted)


def _unlisted_images(facts: Facts) -> Iterator[Finding]:
    """A rival or an old rule may be inside: nobody could look."""
    for image in facts.images:
        if image.modules is None and (facts.claims.claims or facts.rules or modprobe_lines(facts)):
            yield unknown("driver-in-initramfs", image.path, "lsinitramfs")


def _rivals_inside(facts: Facts, claim: Claim, image: InitramfsImage) -> bool:
    rivals = {name for each in facts.inventory.of_slot(claim.slot) for name in each.rivals}
    return bool(rivals & set(image.modules or ()))


def why_not_now(facts: Facts, claim: Claim) -> Finding | None:
    """Why the slot's functions cannot be moved without a reboot; None if they can.

    Only what is known to let go cleanly and is used by nobody is moved on a running host.
    """
    if not facts.iommu.units:
        return fails("bind-now-iommu-off", Level.FAIL, claim.slot, blocks=True)
    reasons = (_why_it_stays(each) for each in facts.inventory.of_slot(claim.slot))
    return next((reason for reason in reasons if reason), None)


def _why_it_stays(function: PciFunction) -> Finding | None:
    if function.driver == VFIO:
        return None
    if function.driver not in LETS_GO:
        return fails(
            "bind-now-driver", Level.FAIL, function.address, blocks=True,
            driver=function.driver or "-",
        )  # fmt: skip
    for use in function.uses:
        if use.kind in _TIES or use.holders:
            return fails(
                "bind-now-in-use", Level.FAIL, function.address, *use.holders, blocks=True,
                use=f"{use.kind} {use.name}",
            )  # fmt: skip
    return None


def _not_yet(facts: Facts, slots: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        slot for slot in slots if any(each.driver != VFIO for each in facts.inventory.of_slot(slot))
    )


def _bind_steps(facts: Facts) -> Iterator[BindStep]:
    for claim in kept_claims(facts.claims):
        for each in facts.inventory.of_slot(claim.slot):
            if each.driver != VFIO:
                yield BindStep(
                    code="bind-now", address=each.address, identity=each.identity,
                    from_driver=each.driver,
                )  # fmt: skip


def _pending(facts: Facts, moving: set[str]) -> Iterator[str]:
    """Functions whose driver at this moment is not what the next boot will give them."""
    claimed = {claim.slot for claim in kept_claims(facts.claims)}
    waiting = [
        each for each in facts.inventory.functions if each.slot in claimed and each.driver != VFIO
    ]
    for each in (*waiting, *left_on_vfio(facts)):
        if each.address not in moving:
            yield each.address


def left_on_vfio(facts: Facts) -> tuple[PciFunction, ...]:
    """Functions that nobody claims and that only this boot's override keeps on vfio-pci."""
    return tuple(each for each in reserved(facts) if each.driver == VFIO)


def reserved(facts: Facts) -> tuple[PciFunction, ...]:
    """Functions that nobody claims and whose override reserves them for vfio-pci in this boot.

    PVE binds through new_id and leaves the override empty (PVE::SysFSTools); driverctl and
    other tools' rules would set it again at the next boot, so theirs are not among these.
    """
    if any(setting.code == "foreign-rule" for setting in facts.settings):
        return ()
    theirs = {setting.value for setting in facts.settings if setting.code == "driverctl"}
    claimed = {claim.slot for claim in facts.claims.claims}
    return tuple(
        each
        for each in facts.inventory.functions
        if each.driver_override == VFIO and each.slot not in claimed and each.address not in theirs
    )
