"""The result of verify: what was asked of the kernel, and what it answered."""

from __future__ import annotations

from dataclasses import dataclass

from .finding import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofStep:
    """``code`` names the question, ``answer`` is the kernel's own (an errno name, a value)."""

    code: str
    subject: str
    outcome: Outcome
    answer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Proven means: every step holds. A step that could not be measured proves nothing."""

    slot: str
    steps: tuple[ProofStep, ...]

    @property
    def proven(self) -> bool:
        return bool(self.steps) and all(each.outcome is Outcome.HOLDS for each in self.steps)

    @property
    def opened_devices(self) -> bool:
        """True if the functions themselves were opened and reset, not their group alone."""
        return any(each.code == "vfio-device-open" for each in self.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proofs:
    proofs: tuple[Proof, ...]

    @property
    def proven(self) -> bool:
        return bool(self.proofs) and all(each.proven for each in self.proofs)
