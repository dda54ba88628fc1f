"""Power cuts that are kept: which moments, and what each left on the disk."""

from __future__ import annotations

import random as randomness
import time
from dataclasses import dataclass, field
from pathlib import Path

# Between two moments at which a cut may fall; the slowed program rests 0.25 s at each write.
_SHORTEST_GAP_S, _LONGEST_GAP_S = 0.05, 0.4


@dataclass(frozen=True, kw_only=True)
class Cut:
    """One cut: during what, when, and the disk it left."""

    operation: str
    disk: Path
    at_s: float

    def __str__(self) -> str:
        return f"cut {self.at_s:.2f} s into {self.operation}"


@dataclass(kw_only=True)
class Reservoir:
    """Keeps `wanted` cuts, each moment with the same chance, however long it takes in the end."""

    wanted: int
    random: randomness.Random
    _moments: int = 0
    _started_s: float = field(default_factory=time.monotonic)
    _kept: dict[int, Cut] = field(default_factory=dict)

    def place(self) -> int | None:
        """Where a cut of this moment goes; None when it is not kept (algorithm R)."""
        moment, self._moments = self._moments, self._moments + 1
        place = moment if moment < self.wanted else self.random.randint(0, moment)
        return place if place < self.wanted else None

    def put(self, place: int, cut: Cut) -> None:
        """Keep a cut; the one that had its place is deleted."""
        old = self._kept.pop(place, None)
        if old is not None:
            remove_disk(old.disk)
        self._kept[place] = cut

    @property
    def elapsed_s(self) -> float:
        """Since the operation was started."""
        return time.monotonic() - self._started_s

    @property
    def cuts(self) -> list[Cut]:
        """What is kept, in the order of time."""
        return sorted(self._kept.values(), key=lambda cut: cut.at_s)


def remove_disk(disk: Path) -> None:
    """Delete a cut's disk with the folder that is its own."""
    for each in disk.parent.iterdir():
        each.unlink()
    disk.parent.rmdir()


def random_gap(random: randomness.Random) -> None:
    """Let some time pass."""
    time.sleep(random.uniform(_SHORTEST_GAP_S, _LONGEST_GAP_S))
