"""The guest's kernel, and the drivers that come with it for AMD and Intel. Pure."""

from __future__ import annotations

from ..checks.say import fails, holds
from ..model.finding import Level
from ..model.guest import Do, Driver, GuestCard
from .draft import Case, Draft
from .nvidia import kernel_flavour
from .packages import add_backports, sources_are_read
from .tables import Generation, vendor_of, version_pair

_MISSING_FIRMWARE = (
    "direct firmware load for",
    "failed to load firmware",
    "firmware: failed to load",
)


def has_cloud_kernel(case: Case, draft: Draft) -> bool:
    """Debian's cloud kernel is built without graphics: the ordinary one takes its place.

    GRUB prefers the cloud flavour of the same version, so it has to go
    [sort -V: ``6.1.0-56-amd64`` < ``6.1.0-56-cloud-amd64``].
    """
    if case.release.distribution != "debian" or "-cloud-" not in case.facts.kernel:
        return False
    draft.find(fails("guest-cloud-kernel", Level.NOTICE, kernel=case.facts.kernel))
    cloud = [
        each.name
        for each in case.facts.packages
        if each.name.startswith("linux-image-") and "cloud-amd64" in each.name and each.is_installed
    ]
    draft.do(Do.KERNEL, "linux-image-amd64", "linux-headers-amd64")
    draft.do(Do.KERNEL_CLOUD_OFF, *cloud)
    draft.do(Do.REBOOT)
    return True


def decide_kernel_driver(
    case: Case, draft: Draft, card: GuestCard, generation: Generation | None
) -> None:
    """A card whose driver is in the kernel: new enough, with its module, firmware and Vulkan."""
    if has_cloud_kernel(case, draft):
        return
    if generation and _is_too_old(case, draft, card, generation):
        return
    wanted = generation.drivers if generation else _LIKELY[vendor_of(card.vendor)]
    if not _has_module(case, draft, wanted):
        return
    packages = _firmware(case, draft, card)
    if packages is None:
        return
    draft.drivers[card.address] = Driver(kind=wanted[0], packages=packages, source="kernel")
    draft.find(holds("guest-kernel-driver", card.address, driver=wanted[0]))
    missing = tuple(each for each in packages if not case.facts.is_installed(each))
    if missing:
        draft.do(Do.FIRMWARE, *missing)
        draft.do(Do.REBOOT)  # the driver asks for firmware once, when it takes the card
    elif Do.REBOOT not in case.tried:
        draft.do(Do.REBOOT)
    else:
        _driver_fails(case, draft, card, wanted)


_LIKELY = {"amd": ("amdgpu",), "intel": ("i915", "xe")}


def _is_too_old(case: Case, draft: Draft, card: GuestCard, generation: Generation) -> bool:
    """A driver that has the card already knows better than our table."""
    if case.facts.kernel_version >= generation.kernel or card.driver in generation.drivers:
        return False
    needed = ".".join(str(each) for each in generation.kernel)
    draft.find(
        fails(
            "guest-kernel-old", Level.NOTICE, card.address,
            kernel=case.facts.kernel, needed=needed, generation=generation.name,
        )
    )  # fmt: skip
    if not add_backports(case, draft) or not sources_are_read(case, draft, ()):
        return True
    suite = case.release.kernel_suite
    offered = [
        version_pair(each.version)
        for each in case.facts.offers_of(case.release.kernel[0])
        if not suite or each.suite == suite
    ]
    if max(offered, default=(0, 0)) < generation.kernel:
        draft.find(fails("guest-kernel-none", Level.FAIL, card.address, blocks=True, needed=needed))
        return True
    draft.do(Do.KERNEL, *case.release.kernel, suite=suite)
    draft.do(Do.REBOOT)
    return True


def _has_module(case: Case, draft: Draft, wanted: tuple[str, ...]) -> bool:
    """Ubuntu's virtual kernel has its graphics modules in a package of their own, up to 24.04."""
    if any(case.facts.module(each) or each in case.facts.loaded for each in wanted):
        return True
    if not sources_are_read(case, draft, ()):
        return False
    extra = f"linux-modules-extra-{case.facts.kernel}"
    if case.facts.offers_of(extra) and not case.facts.is_installed(extra):
        draft.find(fails("guest-module-extra", Level.NOTICE, package=extra, driver=wanted[0]))
        follows = f"linux-image-{kernel_flavour(case.facts)}"
        names = [extra, *([follows] if case.facts.offers_of(follows) else [])]
        draft.do(Do.DRIVER, *names)
        return True
    draft.find(
        fails(
            "guest-no-module", Level.FAIL, blocks=True,
            driver=wanted[0], kernel=case.facts.kernel,
        )
    )  # fmt: skip
    return False


def _firmware(case: Case, draft: Draft, card: GuestCard) -> tuple[str, ...] | None:
    """The packages of the firmware and of Vulkan; None until apt knows them."""
    wanted = case.release.firmware.get(vendor_of(card.vendor), ())
    if not all(case.facts.is_installed(each) for each in wanted):
        components = tuple(each for each in case.release.components if each == "non-free-firmware")
        if not sources_are_read(case, draft, components):
            return None
    there = [each for each in wanted if case.facts.is_installed(each) or case.facts.offers_of(each)]
    vulkan = "mesa-vulkan-drivers"
    if case.facts.is_installed(vulkan) or case.facts.offers_of(vulkan):
        there.append(vulkan)
    return tuple(there)


def _driver_fails(case: Case, draft: Draft, card: GuestCard, wanted: tuple[str, ...]) -> None:
    """Everything is there, the guest has been restarted, and the card does not work."""
    said = [each for each in case.facts.log if any(name in each for name in wanted)]
    about_firmware = [
        each for each in said if any(word in each.lower() for word in _MISSING_FIRMWARE)
    ]
    if about_firmware:
        draft.find(
            fails(
                "guest-firmware-missing",
                Level.FAIL,
                card.address,
                *about_firmware[-3:],
                blocks=True,
            )
        )
        return
    draft.find(
        fails(
            "guest-driver-fails",
            Level.FAIL,
            card.address,
            *said[-5:],
            blocks=True,
            driver=wanted[0],
        )
    )
