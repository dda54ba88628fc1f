"""What has changed on a host since its claims were last applied."""

from __future__ import annotations

from dataclasses import dataclass

from .finding import Finding, Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """``since``: when the baseline was taken, empty if there is none."""

    since: str
    findings: tuple[Finding, ...]

    @property
    def matters(self) -> bool:
        """True if somebody should look; what could not be measured is among that."""
        return any(each.level in (Level.WARN, Level.FAIL) for each in self.findings)
