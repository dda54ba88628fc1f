"""Which NVIDIA driver: the newest that every card allows and the guest's own packages offer.

Pure. What there is, apt said in the guest; what a card allows is in the tables. Ubuntu names the
branch and the flavour in the package (``nvidia-driver-580-open``) and has modules that Canonical
built and signed for each kernel; Debian has one driver and a module package of each flavour, built
in the guest by DKMS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..model.guest import Driver, GuestFacts, Offer
from .tables import Generation

_UBUNTU = re.compile(r"nvidia-driver-(\d{3,4})(-server)?(-open)?")
_TESLA = re.compile(r"nvidia-tesla-(\d{3,4})-driver")
# Debian's name, and that of NVIDIA's own repository for Debian
_OPEN_MODULES = ("nvidia-open-kernel-dkms", "nvidia-kernel-open-dkms")
_CLOSED_MODULES = ("nvidia-kernel-dkms",)
_IMAGE_META = re.compile(r"linux-(?:image-)?(generic|virtual)(-hwe-[0-9.]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What ``--driver`` asked for; None: no matter."""

    branch: int | None = None
    is_open: bool | None = None
    is_server: bool = False


ANY = Wish()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A driver that could be installed. ``source``: prebuilt or dkms."""

    branch: int
    is_open: bool
    is_server: bool
    source: str
    packages: tuple[str, ...]
    suite: str = ""

    def driver(self) -> Driver:
        flavour = "open" if self.is_open else "proprietary"
        return Driver(
            kind=f"nvidia-{flavour}", branch=self.branch, packages=self.packages,
            source=self.source, suite=self.suite,
        )  # fmt: skip


def candidates(facts: GuestFacts) -> tuple[Candidate, ...]:
    """Every NVIDIA driver that the guest's packages offer, whatever the cards are."""
    found = _of_ubuntu(facts) if facts.distribution == "ubuntu" else _of_debian(facts)
    return tuple(found)


def choose(
    facts: GuestFacts, generations: tuple[Generation, ...], wish: Wish = ANY
) -> Candidate | None:
    """The best of those that all the cards allow; None if there is none."""
    allowed = [
        each
        for each in candidates(facts)
        if _is_wished(each, wish)
        and all(gen.allows(each.branch, is_open=each.is_open) for gen in generations)
    ]
    return max(allowed, key=lambda each: _rank(facts, each), default=None)


def _is_wished(each: Candidate, wish: Wish) -> bool:
    """Server drivers only for who asks: theirs are the branches of data centres."""
    if wish.branch not in (None, each.branch) or wish.is_server != each.is_server:
        return False
    return wish.is_open in (None, each.is_open)


def _rank(facts: GuestFacts, each: Candidate) -> tuple[bool, bool, bool, bool, int]:
    """Signed modules where the firmware asks for signatures (or does not say), then the rest."""
    is_signed = each.source == "prebuilt"
    needs_signature = facts.trust.enforced is not False
    return (
        is_signed or not needs_signature,
        each.is_open,
        is_signed,
        not each.suite,
        each.branch,
    )


def _of_ubuntu(facts: GuestFacts) -> Iterator[Candidate]:
    names = sorted({each.name for each in facts.offers})
    for name in names:
        match = _UBUNTU.fullmatch(name)
        if not match:
            continue
        stem = name.removeprefix("nvidia-driver-")
        module = _module_packages(facts, stem)
        if module is None:
            continue
        yield Candidate(
            branch=int(match[1]), is_server=bool(match[2]), is_open=bool(match[3]),
            source="prebuilt" if module[0].startswith("linux-modules") else "dkms",
            packages=(name, *module),
        )  # fmt: skip


def _module_packages(facts: GuestFacts, stem: str) -> tuple[str, ...] | None:
    """Canonical's modules for the kernel that runs, else DKMS; None where there is neither.

    The first name is for this kernel, the second follows the kernel's own updates.
    """
    ours = f"linux-modules-nvidia-{stem}-{facts.kernel}"
    follows = f"linux-modules-nvidia-{stem}-{kernel_flavour(facts)}"
    if facts.offers_of(ours):
        return (ours, follows) if facts.offers_of(follows) else (ours,)
    if facts.offers_of(f"nvidia-dkms-{stem}"):
        return (f"nvidia-dkms-{stem}", *headers(facts))
    return None


def kernel_flavour(facts: GuestFacts) -> str:
    """``generic-hwe-24.04``: what the guest's kernel package is called, for its companions.

    A virtual kernel is the generic one without its extra modules.
    """
    for package in facts.packages:
        match = _IMAGE_META.fullmatch(package.name)
        if match and package.is_installed:
            return f"generic{match[2] or ''}"
    flavour = facts.kernel.rpartition("-")[2]
    return flavour if flavour.isalpha() else "generic"


def headers(facts: GuestFacts) -> tuple[str, ...]:
    """What DKMS needs, unless it is there."""
    if facts.has_headers:
        return ()
    exact = f"linux-headers-{facts.kernel}"
    return (exact,) if facts.offers_of(exact) else ()


def _of_debian(facts: GuestFacts) -> Iterator[Candidate]:
    """One for each suite: a driver and its modules must be of one version."""
    for offer in facts.offers_of("nvidia-driver"):
        for is_open, modules in ((True, _OPEN_MODULES), (False, _CLOSED_MODULES)):
            module = _same_version(facts, offer, modules)
            if offer.branch is not None and module and _is_newest(facts, offer):
                extra = [each for each in ("nvidia-smi", "libcuda1") if facts.offers_of(each)]
                yield Candidate(
                    branch=offer.branch, is_open=is_open, is_server=False, source="dkms",
                    packages=("nvidia-driver", module, *extra, *headers(facts)),
                    suite=offer.suite if offer.suite.endswith("-backports") else "",
                )  # fmt: skip
    yield from _tesla(facts)


def _is_newest(facts: GuestFacts, offer: Offer) -> bool:
    """Of a release and its security suite apt takes the newest; backports stand for themselves."""
    is_backport = offer.suite.endswith("-backports")
    rivals = [
        each
        for each in facts.offers_of(offer.name)
        if each.suite.endswith("-backports") == is_backport
    ]
    return rivals[0] == offer  # apt-cache madison lists the newest first


def _same_version(facts: GuestFacts, offer: Offer, modules: tuple[str, ...]) -> str:
    """Bookworm's open modules are behind its driver: apt cannot install the two together."""
    for module in modules:
        for each in facts.offers_of(module):
            if _upstream(each.version) == _upstream(offer.version):
                return module
    return ""


def _upstream(version: str) -> str:
    return version.rpartition(":")[2].partition("-")[0]


def _tesla(facts: GuestFacts) -> Iterator[Candidate]:
    """Debian's packages of old branches; only the proprietary flavour."""
    for name in sorted({each.name for each in facts.offers}):
        match = _TESLA.fullmatch(name)
        if match:
            stem = f"nvidia-tesla-{match[1]}"
            extra = (f"{stem}-smi", f"lib{stem}-cuda1")
            there = [each for each in extra if facts.offers_of(each)]
            yield Candidate(
                branch=int(match[1]), is_open=False, is_server=False, source="dkms",
                packages=(name, *there, *headers(facts)),
            )  # fmt: skip
