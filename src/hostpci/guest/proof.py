"""Whether a card works in the guest: asked of the programs and nodes that use it. Pure.

NVIDIA: its module has the card, its device nodes are there, nvidia-smi names it. Others: the
kernel's driver has the card and made a render node for it; a Vulkan or compute program, where one
is installed, names a device that is no software renderer.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..model.finding import Outcome
from ..model.guest import GuestCard, GuestFacts, GuestProof
from ..model.proof import ProofStep
from .tables import Generation, Tables, vendor_of

_SOFTWARE = ("llvmpipe", "swiftshader", "lavapipe", "software", "pocl", "cpu")


def prove(facts: GuestFacts, cards: tuple[GuestCard, ...], tables: Tables) -> GuestProof:
    steps = [
        step
        for card in cards
        for step in prove_card(facts, card, tables.generation(card.vendor, card.device))
    ]
    return GuestProof(steps=tuple(steps), versions=versions(facts, cards))


def prove_card(
    facts: GuestFacts, card: GuestCard, generation: Generation | None
) -> tuple[ProofStep, ...]:
    if vendor_of(card.vendor) == "nvidia":
        return tuple(_nvidia(facts, card))
    return tuple(_kernel_driver(facts, card, generation))


def is_proven(steps: tuple[ProofStep, ...]) -> bool:
    return bool(steps) and all(each.outcome is Outcome.HOLDS for each in steps)


def _step(code: str, subject: str, answer: str, *, holds: bool) -> ProofStep:
    outcome = Outcome.HOLDS if holds else Outcome.DOES_NOT_HOLD
    return ProofStep(code=code, subject=subject, outcome=outcome, answer=answer)


def _nvidia(facts: GuestFacts, card: GuestCard) -> Iterator[ProofStep]:
    driver = f"{card.driver} {facts.loaded.get('nvidia', '')}".strip()
    yield _step("guest-driver-bound", card.address, driver, holds=card.driver == "nvidia")
    nodes = [each for each in facts.nvidia_nodes if each.removeprefix("nvidia").isdigit()]
    has_control = "nvidiactl" in facts.nvidia_nodes
    yield _step(
        "guest-device-nodes", card.address, " ".join(facts.nvidia_nodes[:6]),
        holds=bool(nodes) and has_control,
    )  # fmt: skip
    found = next((each for each in facts.queries.smi if each.address == card.address), None)
    if found is not None:
        answer = f"{found.name}, {found.driver_version}, {found.memory_mib} MiB"
        has_memory = found.memory_mib.isdigit() and int(found.memory_mib) > 0
        yield _step("guest-nvidia-smi", card.address, answer, holds=has_memory)
        return
    said = facts.queries.smi_words[0] if facts.queries.smi_words else ""
    yield _step("guest-nvidia-smi", card.address, said, holds=False)


def _kernel_driver(
    facts: GuestFacts, card: GuestCard, generation: Generation | None
) -> Iterator[ProofStep]:
    wanted = generation.drivers if generation else ("amdgpu", "radeon", "i915", "xe")
    yield _step("guest-driver-bound", card.address, card.driver, holds=card.driver in wanted)
    node = next((each for each in facts.render_nodes if each.address == card.address), None)
    answer = node.name if node else ""
    if node and node.memory_bytes:
        answer = f"{node.name}, {node.memory_bytes >> 20} MiB"
    yield _step("guest-render-node", card.address, answer, holds=node is not None)
    yield from _compute(facts, card)


def _compute(facts: GuestFacts, card: GuestCard) -> Iterator[ProofStep]:
    """A program that is not installed says nothing for or against the card."""
    asked = (
        ("guest-vulkan", facts.queries.vulkan),
        ("guest-opencl", facts.queries.opencl),
        ("guest-rocm", facts.queries.rocm),
    )
    for code, said in asked:
        named = [each for each in said if _is_hardware(each)]
        if named:
            answer = named[0].partition("=")[2].strip() or named[0]
            yield _step(code, card.address, answer, holds=True)


def _is_hardware(line: str) -> bool:
    names_device = "devicename" in line.lower() or "device #" in line.lower()
    names_device = names_device or "marketing name" in line.lower()
    return names_device and not any(each in line.lower() for each in _SOFTWARE)


def versions(facts: GuestFacts, cards: tuple[GuestCard, ...]) -> dict[str, str]:
    """What it was proven with."""
    said = {"distribution": facts.name, "kernel": facts.kernel}
    said |= {f"module {name}": version or "-" for name, version in sorted(facts.loaded.items())}
    for smi in facts.queries.smi:
        said[f"card {smi.address}"] = f"{smi.name}, driver {smi.driver_version}"
    for card in cards:
        said.setdefault(f"card {card.address}", f"{card.identity}, driver {card.driver or '-'}")
    return said
