"""Artefacts in a cache outside the repository, each in a folder named by what went into it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.errors import EnvironmentUnfitError

_HASH_DIGITS = 12
_PARTIAL_PREFIX = ".partial-"
_ARTEFACT_NAME = re.compile(rf"[a-z0-9-]+-[0-9a-f]{{{_HASH_DIGITS}}}")


def root() -> Path:
    """The cache folder: $HOSTPCI_LAB_CACHE, or ~/.cache/hostpci-lab."""
    named = os.environ.get("HOSTPCI_LAB_CACHE")
    path = Path(named) if named else Path.home() / ".cache" / "hostpci-lab"
    path.mkdir(parents=True, exist_ok=True)
    return path


def runs() -> Path:
    """Where hosts that are up and scenario runs keep their files."""
    path = root() / "runs"
    path.mkdir(exist_ok=True)
    return path


def digest(*parts: str) -> str:
    """A short hash over texts; the separator keeps ("ab", "c") and ("a", "bc") apart."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_HASH_DIGITS]


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """Something built once: a name for people, and the text of everything that decides it."""

    name: str
    recipe: str
    needs_bytes: int

    @property
    def path(self) -> Path:
        """Where the finished artefact is or will be."""
        return root() / f"{self.name}-{digest(self.recipe)}"

    @property
    def is_built(self) -> bool:
        """Whether a whole artefact is there: the folder gets its name only when complete."""
        return self.path.is_dir()


def ensure(artefact: Artefact, build: Callable[[Path], None]) -> Path:
    """Return the artefact's folder, building it first when it is missing."""
    with _locked(artefact.name):
        if not artefact.is_built:
            _build(artefact, build)
    return artefact.path


def _build(artefact: Artefact, build: Callable[[Path], None]) -> None:
    require_space(artefact.needs_bytes)
    partial = root() / f"{_PARTIAL_PREFIX}{artefact.path.name}"
    remove(partial)
    partial.mkdir()
    build(partial)
    # Only a rename gives the folder its final name: an interrupted build is never taken
    # for a whole one, and the next attempt starts from nothing.
    partial.rename(artefact.path)


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def require_space(needed_bytes: int) -> None:
    """Stop early, with a clear text, when the cache's disk is too small."""
    free_bytes = shutil.disk_usage(root()).free
    if free_bytes < needed_bytes:
        raise EnvironmentUnfitError(
            f"{root()} has {free_bytes >> 20} MiB free, {needed_bytes >> 20} MiB are needed",
            hint="free some space, run `lab prune`, or point HOSTPCI_LAB_CACHE elsewhere",
        )


@contextmanager
def _locked(name: str) -> Iterator[None]:
    # Two labs started at once must not build the same artefact on top of each other.
    with (root() / f".lock-{name}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def finished() -> list[Path]:
    """Every finished artefact, of this version of the lab and of earlier ones."""
    return [path for path in root().iterdir() if _ARTEFACT_NAME.fullmatch(path.name)]


def leftovers() -> list[Path]:
    """Builds that never finished, and the folders of runs."""
    return [*root().glob(f"{_PARTIAL_PREFIX}*"), *runs().iterdir()]
