"""Prove a claim: read who drives what, then ask the kernel's VFIO interface itself."""

from __future__ import annotations

from collections.abc import Iterator

from ..model.claim import Claim
from ..model.facts import Facts
from ..model.finding import Outcome
from ..model.pci import VFIO, PciFunction
from ..model.proof import Proof, ProofStep


def verify(facts: Facts, claim: Claim, *, is_live: bool, reset_test: bool) -> Proof:
    """All proof steps for one claim.

    On anything but the running host the VFIO interface cannot be asked, and the proof says so.
    ``reset_test`` opens the device, which resets it: only for a device that nobody uses.
    """
    steps = [*_prove_files(facts, claim)]
    if not is_live:
        steps.append(_not_measured("vfio-container", "/dev/vfio/vfio", "not the running host"))
    elif all(step.outcome is Outcome.HOLDS for step in steps):
        steps += _prove_kernel(facts, claim, reset_test=reset_test)
    else:
        steps.append(_not_measured("vfio-container", "/dev/vfio/vfio", "not on vfio-pci"))
    return Proof(slot=claim.slot, steps=tuple(steps))


def _prove_files(facts: Facts, claim: Claim) -> Iterator[ProofStep]:
    functions = {each.address: each for each in facts.inventory.of_slot(claim.slot)}
    for wanted in claim.functions:
        found = functions.get(wanted.address)
        identity = str(found.identity) if found else "-"
        yield _step(
            "identity", wanted.address, bool(found and found.identity == wanted.identity), identity
        )
        driver = (found.driver if found else None) or "-"
        yield _step("driver", wanted.address, driver == VFIO, driver)
    unclaimed = sorted(functions.keys() - {each.address for each in claim.functions})
    for address in unclaimed:
        yield _step("identity", address, holds=False, answer="not in the claim")
    yield from _prove_group(facts, claim, functions)


def _prove_group(
    facts: Facts, claim: Claim, functions: dict[str, PciFunction]
) -> Iterator[ProofStep]:
    for address, function in sorted(functions.items()):
        if function.iommu_group is None:
            yield _step("group", address, holds=False, answer="no IOMMU group")
    for stranger in facts.inventory.strangers_of(claim.slot):
        # The kernel calls a group viable while nobody but vfio owns DMA in it.
        idle = stranger.driver in (None, VFIO, "pci-stub")
        yield _step("group-member", stranger.address, idle, stranger.driver or "-")


def _prove_kernel(facts: Facts, claim: Claim, *, reset_test: bool) -> Iterator[ProofStep]:
    from ..host.vfio import GroupProbe

    functions = facts.inventory.of_slot(claim.slot)
    for number in sorted({each.iommu_group for each in functions if each.iommu_group is not None}):
        with GroupProbe(number) as probe:
            steps = tuple(probe.prove_group())
            yield from steps
            ready = all(step.outcome is Outcome.HOLDS for step in steps)
            members = [each for each in functions if each.iommu_group == number]
            for each in members if ready and reset_test else ():
                bars = {bar.index: bar.size_bytes for bar in each.bars}
                yield from probe.prove_device(each.address, bars)


def _step(code: str, subject: str, holds: bool, answer: str) -> ProofStep:  # noqa: FBT001
    outcome = Outcome.HOLDS if holds else Outcome.DOES_NOT_HOLD
    return ProofStep(code=code, subject=subject, outcome=outcome, answer=answer)


def _not_measured(code: str, subject: str, why: str) -> ProofStep:
    return ProofStep(code=code, subject=subject, outcome=Outcome.NOT_MEASURED, answer=why)
