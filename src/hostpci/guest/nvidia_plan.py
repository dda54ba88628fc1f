"""From NVIDIA cards and what the guest has to the steps that make them work. Pure."""

from __future__ import annotations

import re

from ..checks.say import fails, holds, unknown
from ..model.finding import Level
from ..model.guest import Do, GuestCard, Module
from .draft import Case, Draft
from .kernels import has_cloud_kernel
from .nvidia import Candidate, candidates, choose
from .packages import sources_are_read
from .tables import Generation

# Packages that bring a kernel module or decide which one; their libraries follow by dependency
_OF_MODULES = re.compile(
    r"(?:nvidia-(?:driver|dkms|headless|headless-no-dkms|kernel-source)-\d{3,4}(?:-server)?(?:-open)?"
    r"|linux-modules-nvidia-\d{3,4}(?:-server)?(?:-open)?-.+"
    r"|nvidia-(?:open-kernel|kernel-open|kernel)-dkms|nvidia-tesla-\d{3,4}-(?:driver|kernel-dkms))"
)
_BRANCH = re.compile(r"-(\d{3,4})(?:-|$)")
_REJECTED = (
    "key was rejected",
    "module is rejected",
    "unsigned module loading",
    "required key not available",
)
_MISMATCH = ("version mismatch", "api mismatch")
# A generation that is newer than the tables: what the newest that we know needs
_NEXT = Generation(
    vendor="nvidia", name="newer", ids=(), first=570, open_from=570, only_open=True
)  # fmt: skip


def decide_nvidia(
    case: Case, draft: Draft, cards: tuple[tuple[GuestCard, Generation | None], ...]
) -> None:
    generations = _known(case, draft, cards)
    if draft.is_blocked or has_cloud_kernel(case, draft):
        return
    components = tuple(each for each in case.release.components if each != "main")
    if _has_foreign_module(case, draft) or not sources_are_read(case, draft, components):
        return
    chosen = choose(case.facts, generations, case.wish)
    if chosen is None:
        _say_why_none(case, draft, cards, generations)
        return
    for card, _ in cards:
        draft.drivers[card.address] = chosen.driver()
    draft.find(
        holds(
            "guest-nvidia-driver", ", ".join(card.address for card, _ in cards),
            package=chosen.packages[0], flavour="open" if chosen.is_open else "proprietary",
            branch=str(chosen.branch), generation=", ".join(each.name for each in generations),
        )
    )  # fmt: skip
    _look_at_signing(case, draft, chosen)
    _install_or_load(case, draft, chosen, cards)


def _known(
    case: Case, draft: Draft, cards: tuple[tuple[GuestCard, Generation | None], ...]
) -> tuple[Generation, ...]:
    found: dict[str, Generation] = {}
    for card, generation in cards:
        if generation is not None:
            found[generation.name] = generation
        elif case.tables.is_newer_than_known(card.vendor, card.device):
            draft.find(unknown("guest-card-newer", card.address, identity=card.identity))
            found[_NEXT.name] = _NEXT
        else:
            draft.find(
                fails(
                    "guest-card-unknown",
                    Level.FAIL,
                    card.address,
                    blocks=True,
                    identity=card.identity,
                )
            )
    return tuple(found.values())


def _has_foreign_module(case: Case, draft: Draft) -> bool:
    """A module that no package brought is of NVIDIA's own installer; the two break each other."""
    has_package = any(each.is_installed and "nvidia" in each.name for each in case.facts.packages)
    module = case.facts.module("nvidia")
    if module is None or has_package or not case.facts.has_dpkg:
        return False
    draft.find(fails("guest-nvidia-installer", Level.FAIL, blocks=True, version=module.version))
    return True


def _say_why_none(
    case: Case,
    draft: Draft,
    cards: tuple[tuple[GuestCard, Generation | None], ...],
    generations: tuple[Generation, ...],
) -> None:
    """No package fits: because of the wish, of a card that is too old, or of a release that is."""
    subject = ", ".join(card.address for card, _ in cards)
    offered = _offered(case)
    if choose(case.facts, generations) is not None:
        draft.find(fails("guest-driver-wish", Level.FAIL, subject, blocks=True, offered=offered))
        return
    oldest = min((each.last for each in generations if each.last), default=None)
    first = max(each.first for each in generations)
    name = ", ".join(each.name for each in generations)
    if oldest is not None and oldest < first:
        draft.find(fails("guest-cards-differ", Level.FAIL, subject, blocks=True, generation=name))
    elif oldest is not None:
        draft.find(
            fails(
                "guest-card-legacy", Level.FAIL, subject, blocks=True,
                generation=name, last=str(oldest), offered=offered,
            )
        )  # fmt: skip
    else:
        _say_release_is_old(case, draft, subject, name, first, offered)


def _say_release_is_old(
    case: Case, draft: Draft, subject: str, generation: str, first: int, offered: str
) -> None:
    if case.release.distribution == "debian":
        draft.find(
            fails(
                "guest-debian-old-driver", Level.FAIL, subject, blocks=True, generation=generation,
                needed=str(first), offered=offered, release=case.facts.name,
            )
        )  # fmt: skip
        return
    draft.find(
        fails(
            "guest-no-driver", Level.FAIL, subject, blocks=True, generation=generation,
            needed=str(first), offered=offered, release=case.facts.name,
        )
    )  # fmt: skip


def _offered(case: Case) -> str:
    found = {(each.branch, each.is_open) for each in candidates(case.facts)}
    return (
        ", ".join(f"{branch}{'-open' if is_open else ''}" for branch, is_open in sorted(found))
        or "-"
    )


def _look_at_signing(case: Case, draft: Draft, chosen: Candidate) -> None:
    trust = case.facts.trust
    if trust.enforced is None:
        draft.find(unknown("guest-secure-boot"))
    elif not trust.enforced:
        draft.find(holds("guest-secure-boot-off"))
    elif chosen.source == "prebuilt":
        draft.find(holds("guest-module-signed"))
    elif trust.mok != "enrolled" and case.facts.module("nvidia") is None:
        draft.find(fails("guest-mok-ahead", Level.NOTICE))


def _install_or_load(
    case: Case,
    draft: Draft,
    chosen: Candidate,
    cards: tuple[tuple[GuestCard, Generation | None], ...],
) -> None:
    facts = case.facts
    wrong = _wrong_packages(case, chosen)
    missing = tuple(each for each in chosen.packages if not facts.is_installed(each))
    if wrong:
        draft.find(
            fails(
                "guest-wrong-driver",
                Level.WARN,
                packages=" ".join(wrong),
                chosen=chosen.packages[0],
            )
        )
        draft.do(Do.REMOVE, *wrong)
    nouveau = "nouveau" in facts.loaded or any(card.driver == "nouveau" for card, _ in cards)
    if nouveau:
        draft.find(fails("guest-nouveau", Level.NOTICE))
        draft.do(Do.REBOOT)
        if not facts.nouveau_off:
            draft.do(Do.NOUVEAU_OFF)
    if missing or wrong:
        draft.do(Do.DRIVER, *(missing or chosen.packages), suite=chosen.suite)
    elif nouveau:
        return
    module = facts.module("nvidia")
    if missing and "nvidia" not in facts.loaded and not nouveau:
        draft.do(Do.MODULE_LOAD, "nvidia", "nvidia-uvm")
    elif missing or wrong:
        draft.do(Do.REBOOT)
    elif module is None:
        _build(case, draft, chosen)
    else:
        _load(case, draft, module)


def _wrong_packages(case: Case, chosen: Candidate) -> tuple[str, ...]:
    """Installed packages that bring another branch or flavour of the module."""
    wrong = []
    for each in case.facts.packages:
        if not each.is_installed or not _OF_MODULES.fullmatch(each.name):
            continue
        branch = _BRANCH.search(each.name)
        is_open = "-open" in each.name
        is_other_branch = branch is not None and int(branch[1]) != chosen.branch
        names_flavour = branch is not None or "kernel" in each.name
        if is_other_branch or (names_flavour and is_open != chosen.is_open):
            wrong.append(each.name)
    return tuple(name for name in wrong if name not in chosen.packages)


def _build(case: Case, draft: Draft, chosen: Candidate) -> None:
    """Installed, and no module for the kernel that runs: it has been updated since."""
    if chosen.source == "dkms" and Do.DKMS_BUILD not in case.tried:
        draft.find(fails("guest-module-not-built", Level.WARN, kernel=case.facts.kernel))
        draft.do(Do.DKMS_BUILD)
        draft.do(Do.MODULE_LOAD, "nvidia", "nvidia-uvm")
        return
    said = case.facts.dkms[:4]
    draft.find(
        fails(
            "guest-no-module", Level.FAIL, "", *said, blocks=True,
            driver="nvidia", kernel=case.facts.kernel,
        )
    )  # fmt: skip


def _load(case: Case, draft: Draft, module: Module) -> None:
    """The module is on the disk. Loaded or not, the card does not work yet: why?"""
    facts = case.facts
    said = [*facts.queries.smi_words, *facts.log]
    if _asks_for_key(case, module):
        _enrol(case, draft)
    elif "nvidia" not in facts.loaded and Do.MODULE_LOAD not in case.tried:
        draft.do(Do.MODULE_LOAD, "nvidia", "nvidia-uvm")
    elif Do.REBOOT not in case.tried:
        if any(_says(line, _MISMATCH) for line in said):
            draft.find(fails("guest-driver-mismatch", Level.WARN))
        draft.do(Do.REBOOT)
    else:
        evidence = [line for line in said if "NVRM" in line or "nvidia" in line.lower()]
        draft.find(
            fails(
                "guest-driver-fails", Level.FAIL, "", *evidence[-5:], blocks=True, driver="nvidia"
            )
        )


def _asks_for_key(case: Case, module: Module) -> bool:
    """Secure Boot keeps a module out that was signed here and whose key nobody has enrolled."""
    facts = case.facts
    if "nvidia" in facts.loaded or facts.trust.enforced is False:
        return False
    if "Canonical" in module.signer or facts.trust.mok == "enrolled":
        return False
    was_refused = any(_says(line, _REJECTED) for line in facts.log)
    return was_refused or facts.trust.enforced is True


def _enrol(case: Case, draft: Draft) -> None:
    """Only a person can: the firmware's question is answered on the VM's own screen."""
    trust = case.facts.trust
    if trust.mok == "pending":
        draft.find(fails("guest-mok-pending", Level.FAIL))
        return
    draft.find(fails("guest-mok", Level.FAIL, key=trust.mok_key or "/var/lib/dkms/mok.pub"))


def _says(line: str, words: tuple[str, ...]) -> bool:
    return any(each in line.lower() for each in words)
