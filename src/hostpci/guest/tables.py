"""What is known about cards and releases: the tables of ``data/guest``, read once.

Deciding code gets a ``Tables`` as an argument.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_VENDORS = {0x10DE: "nvidia", 0x1002: "amd", 0x8086: "intel"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """``first`` and ``last`` are driver branches of NVIDIA, ``kernel`` is for the others."""

    vendor: str
    name: str
    ids: tuple[tuple[int, int], ...]
    first: int = 0
    last: int | None = None
    open_from: int | None = None
    only_open: bool = False
    drivers: tuple[str, ...] = ("nvidia",)
    kernel: tuple[int, int] = (0, 0)

    def holds(self, device: int) -> bool:
        return any(low <= device <= high for low, high in self.ids)

    def allows(self, branch: int, *, is_open: bool) -> bool:
        """True if a driver of this branch and flavour drives cards of this generation."""
        if branch < self.first or (self.last is not None and branch > self.last):
            return False
        if is_open:
            return self.open_from is not None and branch >= self.open_from
        return not self.only_open


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    distribution: str
    version: str
    codename: str
    kernel: tuple[str, ...]
    kernel_suite: str = ""
    firmware: dict[str, tuple[str, ...]]
    components: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    generations: tuple[Generation, ...]
    releases: tuple[Release, ...]

    def generation(self, vendor: int, device: int) -> Generation | None:
        name = _VENDORS.get(vendor)
        found = (each for each in self.generations if each.vendor == name)
        return next((each for each in found if each.holds(device)), None)

    def is_newer_than_known(self, vendor: int, device: int) -> bool:
        """NVIDIA's ids have grown with the generations: one above them all is of the next."""
        known = [each for each in self.generations if each.vendor == "nvidia"]
        return vendor_of(vendor) == "nvidia" and all(
            device > high for each in known for _, high in each.ids
        )

    def release(self, distribution: str, version: str) -> Release | None:
        """A point release belongs to its release: Debian says 12, derivatives may say 12.9."""
        same = [each for each in self.releases if each.distribution == distribution]
        return next(
            (
                each
                for each in same
                if version == each.version or version.startswith(f"{each.version}.")
            ),
            None,
        )


def vendor_of(vendor: int) -> str:
    return _VENDORS.get(vendor, "")


def load_tables() -> Tables:
    return Tables(
        generations=tuple(_generations(_read("gpus.toml"))),
        releases=tuple(_release(each) for each in _read("releases.toml")["release"]),
    )


def probe_script() -> str:
    return _bytes("probe.sh").decode("ascii")


def _bytes(name: str) -> bytes:
    import pkgutil

    package = (__package__ or "").rpartition(".")[0]
    content = pkgutil.get_data(f"{package}.data", f"guest/{name}")  # also from a zip archive
    assert content is not None  # noqa: S101  (it is part of this program)
    return content


def _read(name: str) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(_bytes(name).decode("utf-8"))


def _generations(data: dict[str, Any]) -> Iterator[Generation]:
    for vendor, generations in data.items():
        for name, body in generations.items():
            yield Generation(
                vendor=vendor,
                name=name,
                ids=tuple(_range(each) for each in body["ids"]),
                first=body.get("first", 0),
                last=body.get("last"),
                open_from=body.get("open_from"),
                only_open=body.get("only_open", False),
                drivers=tuple(body.get("drivers", ("nvidia",))),
                kernel=version_pair(body.get("kernel", "0.0")),
            )


def _range(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    return int(low, 16), int(high, 16)


def version_pair(text: str) -> tuple[int, int]:
    """(6, 12) of ``6.12.95-1~bpo12+1``; (0, 0) of what begins with no version."""
    parts = text.rpartition(":")[2].split(".")
    digits = ["".join(_leading_digits(each)) for each in parts[:2]]
    if len(digits) != 2 or not all(digits):  # noqa: PLR2004
        return (0, 0)
    return int(digits[0]), int(digits[1])


def _leading_digits(text: str) -> Iterator[str]:
    for char in text:
        if not (char.isascii() and char.isdigit()):
            return
        yield char


def _release(body: dict[str, Any]) -> Release:
    return Release(
        distribution=body["distribution"],
        version=body["version"],
        codename=body["codename"],
        kernel=tuple(body["kernel"]),
        kernel_suite=body.get("kernel_suite", ""),
        firmware={vendor: tuple(names) for vendor, names in body["firmware"].items()},
        components=tuple(body.get("components", ())),
    )
