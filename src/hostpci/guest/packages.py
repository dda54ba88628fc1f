"""What stands between a guest and any package: dpkg, holds, the network, space, sources. Pure."""

from __future__ import annotations

from ..checks.say import fails, unknown
from ..model.finding import Level
from ..model.guest import Do, GuestStep, Package, Source
from .draft import Case, Draft

# A driver with its libraries, the compiler for DKMS and the archives; measured with apt-get -s on
# bookworm and trixie, and rounded up. The initramfs is written anew beside the old one.
_ROOT_MIB = {Do.DRIVER: 3500, Do.KERNEL: 1200, Do.FIRMWARE: 1500}
_BOOT_MIB = 200
_SHOWN = 6
_FETCHING = (Do.APT_UPDATE, Do.KERNEL, Do.DRIVER, Do.FIRMWARE)


def look_at_dpkg(case: Case, draft: Draft) -> None:
    """What an earlier installation left half-done is finished first."""
    broken = [each for each in case.facts.packages if each.is_broken]
    if not broken:
        return
    words = ", ".join(f"{each.name} ({each.state})" for each in broken[:_SHOWN])
    draft.find(fails("guest-half-installed", Level.WARN, packages=words))
    draft.do(Do.DPKG_REPAIR)
    if Do.DPKG_REPAIR in case.tried:
        draft.find(fails("guest-still-half-installed", Level.FAIL, blocks=True, packages=words))


def sources_are_read(case: Case, draft: Draft, components: tuple[str, ...]) -> bool:
    """True if apt knows what the release offers; else the steps that make it so are drafted."""
    missing = _missing_components(case, components)
    if missing:
        draft.find(fails("guest-components", Level.NOTICE, components=" ".join(missing)))
        name = case.release.codename
        suites = (name, f"{name}-updates", f"{name}-security")
        draft.do(Do.SOURCES_ADD, *_stanzas(case, suites, missing))
        draft.do(Do.APT_UPDATE)
        return False
    return is_fetched(case, draft)


def is_fetched(case: Case, draft: Draft) -> bool:
    sources = case.facts.sources
    if sources and all(each.is_fetched for each in sources):
        return True
    if Do.APT_UPDATE in case.tried:
        return bool(case.facts.offers)  # one dead source of several: what is there is there
    draft.do(Do.APT_UPDATE)
    return False


def add_backports(case: Case, draft: Draft) -> bool:
    """True if the release's backports are among the sources; else they are drafted."""
    suite = case.release.kernel_suite
    if not suite or any(each.suite == suite for each in case.facts.sources):
        return True
    draft.do(Do.SOURCES_ADD, *_stanzas(case, (suite,), ("main", "non-free-firmware")))
    draft.do(Do.APT_UPDATE)
    return False


def _missing_components(case: Case, wanted: tuple[str, ...]) -> tuple[str, ...]:
    suites = [each for each in case.facts.sources if each.suite == case.release.codename]
    there = {each.component for each in suites}
    return tuple(each for each in wanted if each not in there)


def _stanzas(case: Case, suites: tuple[str, ...], components: tuple[str, ...]) -> tuple[str, ...]:
    """For a file of our own beside the guest's sources: the archives and keys they name already."""
    made = {}
    for suite in suites:
        for source in case.facts.sources:
            base = case.release.codename if suite == case.release.kernel_suite else suite
            if source.suite == base and suite not in made:
                made[suite] = _stanza(source, suite, components)
    return tuple(made.values())


def _stanza(source: Source, suite: str, components: tuple[str, ...]) -> str:
    lines = [
        "Types: deb",
        f"URIs: {source.site.rstrip('/')}",
        f"Suites: {suite}",
        f"Components: {' '.join(components)}",
    ]
    return "\n".join([*lines, *([f"Signed-By: {source.signed_by}"] if source.signed_by else [])])


def look_at_means(case: Case, draft: Draft) -> None:
    """Whether the drafted steps can be carried out at all."""
    _look_at_holds(case, draft)
    fetching = [each.do for each in draft.steps if each.do in _FETCHING]
    if fetching:
        _look_at_network(case, draft)
    _look_at_space(case, draft)


def _look_at_holds(case: Case, draft: Draft) -> None:
    """A hold is somebody's word: it is not overridden."""
    held = [each for each in case.facts.packages if each.is_held]
    touched = [each for each in held if _is_touched(each, draft.steps)]
    if touched:
        names = " ".join(each.name for each in touched)
        draft.find(fails("guest-held", Level.FAIL, blocks=True, packages=names))


def _is_touched(package: Package, steps: tuple[GuestStep, ...]) -> bool:
    changed = {word for each in steps if each.do in (Do.DRIVER, Do.REMOVE) for word in each.words}
    is_nvidia = any("nvidia" in each for each in changed)
    return package.name in changed or (is_nvidia and "nvidia" in package.name)


def _look_at_network(case: Case, draft: Draft) -> None:
    facts = case.facts
    if facts.has_proxy or any(each.site.startswith("file:") for each in facts.sources):
        return
    if facts.has_route is False:
        draft.find(fails("guest-no-network", Level.FAIL, blocks=True))
    elif facts.has_names is False:
        draft.find(fails("guest-no-names", Level.FAIL, blocks=True))
    elif facts.has_route is None:
        draft.find(unknown("guest-no-network"))


def _look_at_space(case: Case, draft: Draft) -> None:
    needed = sum(_ROOT_MIB.get(each.do, 0) for each in draft.steps)
    for place, there, wanted in (
        ("/", case.facts.free_root_mib, needed),
        ("/boot", case.facts.free_boot_mib, _BOOT_MIB if needed else 0),
    ):
        if there is not None and there < wanted:
            draft.find(
                fails(
                    "guest-disk-full", Level.FAIL, place, blocks=True,
                    free=str(there), needed=str(wanted),
                )
            )  # fmt: skip
