"""Kernels that are known to break passthrough, each with what tells whether it concerns a slot.

A row is here because a maintainer's changelog, or a bug with an answer, says so. It holds from
``since`` (the first build known to be bad) up to, not including, ``fixed``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..model.facts import Facts
from ..model.finding import Finding, Level
from ..model.pci import VFIO
from ..model.release import Maker, parse_release
from .say import fails, holds

_INTEL, _NVIDIA, _AMD = "8086", "10de", "1002"
# Graphics of the sixth generation: 8086:1902 to 8086:193d
_SKYLAKE = ("190", "191", "192", "193")
_CHANGELOG = "proxmox-kernel debian/changelog"


@dataclass(frozen=True, slots=True, kw_only=True)
class BadKernel:
    """``concerns``: whether a slot of these facts is hit; texts stand in the catalogue by code."""

    code: str
    maker: Maker
    since: tuple[int, ...]
    fixed: tuple[int, ...]
    level: Level
    concerns: Callable[[Facts, str], bool]
    source: str

    def covers(self, release: str) -> bool:
        parsed = parse_release(release)
        if parsed is None or parsed.maker is not self.maker:
            return False
        return self.since <= parsed.version < self.fixed

    @property
    def fixed_text(self) -> str:
        numbers = [str(each) for each in self.fixed]
        return ".".join(numbers[:3]) + "".join(f"-{each}" for each in numbers[3:])


def _any_slot(_facts: Facts, _slot: str) -> bool:
    return True


def _is_skylake_graphics(facts: Facts, slot: str) -> bool:
    return any(
        each.identity.vendor == _INTEL and each.identity.device.startswith(_SKYLAKE)
        for each in facts.inventory.of_slot(slot)
        if each.is_display
    )


def _amdgpu_would_let_go(facts: Facts, slot: str) -> bool:
    """A slot that vfio-pci has had since boot is never taken from amdgpu."""
    return any(
        each.driver == "amdgpu" or (each.driver != VFIO and "amdgpu" in each.rivals)
        for each in facts.inventory.of_slot(slot)
        if each.identity.vendor == _AMD and each.is_display
    )


def _is_nvidia_graphics(facts: Facts, slot: str) -> bool:
    return any(
        each.identity.vendor == _NVIDIA and each.is_display
        for each in facts.inventory.of_slot(slot)
    )


def _shares_its_group(facts: Facts, slot: str) -> bool:
    return bool(facts.inventory.strangers_of(slot))


KNOWN_BAD = (
    BadKernel(
        code="iommu", maker=Maker.PVE, since=(6, 8, 12, 29), fixed=(6, 8, 12, 30),
        level=Level.WARN, concerns=_any_slot, source=f"{_CHANGELOG}: 6.8.12-30",
    ),
    # "PCI: Explicitly put devices into D0 when initializing" left runtime PM unset for devices
    # without the capability, and vfio-pci counts on it (commit 4d4c10f763d7 and its repair)
    BadKernel(
        code="no-pci-pm", maker=Maker.PVE, since=(6, 8, 12, 12), fixed=(6, 8, 12, 13),
        level=Level.NOTICE, concerns=_any_slot,
        source=f"{_CHANGELOG}: 6.8.12-13; strongtz/i915-sriov-dkms issue 322",
    ),
    BadKernel(
        code="no-pci-pm", maker=Maker.PVE, since=(6, 14, 8, 1), fixed=(6, 14, 8, 2),
        level=Level.NOTICE, concerns=_any_slot,
        source=f"{_CHANGELOG}: 6.14.8-2; strongtz/i915-sriov-dkms issue 322",
    ),
    BadKernel(
        code="skylake-igpu", maker=Maker.PVE, since=(6, 8, 0, 0), fixed=(6, 8, 12, 5),
        level=Level.WARN, concerns=_is_skylake_graphics, source=f"{_CHANGELOG}: 6.8.12-5",
    ),
    BadKernel(
        code="skylake-igpu", maker=Maker.PVE, since=(6, 11, 0, 0), fixed=(6, 11, 0, 2),
        level=Level.WARN, concerns=_is_skylake_graphics, source=f"{_CHANGELOG}: 6.11.0-2",
    ),
    BadKernel(
        code="acs-quirks", maker=Maker.PVE, since=(6, 11, 0, 0), fixed=(6, 11, 0, 2),
        level=Level.WARN, concerns=_shares_its_group,
        source=f"{_CHANGELOG}: 6.11.0-2 (bug 5926)",
    ),
    BadKernel(
        code="acs-quirks", maker=Maker.UPSTREAM, since=(6, 11, 0), fixed=(6, 11, 7),
        level=Level.WARN, concerns=_shares_its_group,
        source=f"{_CHANGELOG}: 6.11.0-2, from linux-stable 6.11.7",
    ),
    BadKernel(
        code="amdgpu-unbind", maker=Maker.PVE, since=(7, 0, 14, 1), fixed=(7, 0, 14, 3),
        level=Level.WARN, concerns=_amdgpu_would_let_go, source=f"{_CHANGELOG}: 7.0.14-3",
    ),
    BadKernel(
        code="nova-core", maker=Maker.PVE, since=(7, 0, 0, 0), fixed=(7, 0, 2, 3),
        level=Level.NOTICE, concerns=_is_nvidia_graphics, source=f"{_CHANGELOG}: 7.0.2-3",
    ),
)  # fmt: skip


def check_known_bad(facts: Facts, slot: str) -> Iterator[Finding]:
    """The running kernel, and the one that boots next where that is another."""
    for release in releases_that_matter(facts):
        rows = [each for each in KNOWN_BAD if each.covers(release) and each.concerns(facts, slot)]
        for row in rows:
            yield fails(
                f"known-bad-kernel-{row.code}", row.level, release, row.source,
                release=release, fixed=row.fixed_text,
            )  # fmt: skip
        if not rows:
            yield holds("known-bad-kernel", release)


def releases_that_matter(facts: Facts) -> tuple[str, ...]:
    found = (facts.kernel.release, facts.loader.next_release)
    return tuple(dict.fromkeys(filter(None, found)))
