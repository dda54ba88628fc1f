"""What a check says: a stable code, one of three outcomes, and the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    HOLDS = "holds"
    DOES_NOT_HOLD = "does-not-hold"
    NOT_MEASURED = "not-measured"


class Level(StrEnum):
    """The dialect of PVE's own pve8to9."""

    PASS = "PASS"  # noqa: S105  (a verdict, not a password)
    INFO = "INFO"
    NOTICE = "NOTICE"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """``level`` is how much it matters on this host; ``blocks``: no plan may go past it.

    ``consent``: the name by which an owner may accept it (``model/risk.py``); empty: nobody may.
    """

    code: str
    outcome: Outcome
    level: Level
    subject: str = ""
    params: dict[str, str] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()
    blocks: bool = False
    consent: str = ""

    @property
    def is_accepted(self) -> bool:
        """What has a name blocks unless the claim holds that name."""
        return bool(self.consent) and not self.blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All findings about one slot, in the order of the checks."""

    slot: str
    findings: tuple[Finding, ...]

    @property
    def worst(self) -> Level:
        order = list(Level)
        levels = [order.index(each.level) for each in self.findings]
        return order[max(levels, default=0)]

    @property
    def blocking(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.blocks)
