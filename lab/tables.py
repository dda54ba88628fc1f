"""Reads the tables of hosts and cards into typed rows."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import UsageError

_FOLDER = Path(__file__).parent
# Slots 0-4 belong to the chipset, the IOMMU, the display, the disk and the network.
_DISK_AT, _UPLINK_AT = "bus=pcie.0,addr=3", "bus=pcie.0,addr=4"
FIRST_CARD_SLOT = 0x8


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One base address register; a 64-bit one takes the next index too.

    `resets_at`: offset of a register that clears all others while its lowest bit is 0.
    """

    index: int
    size_bytes: int
    is_io: bool
    is_64bit: bool
    is_prefetchable: bool
    registers: tuple[tuple[int, int], ...]
    resets_at: int | None = None


@dataclass(frozen=True, kw_only=True)
class Rom:
    """An option ROM: how large its window is, and the bytes in it, zeros behind them.

    One that is not readable has a window, and answers nothing there.
    """

    size_bytes: int
    content: bytes = b""
    is_readable: bool = True


@dataclass(frozen=True, kw_only=True)
class Function:
    """One PCI function of a card."""

    number: int
    vendor: int
    device: int
    subsystem_vendor: int
    subsystem_device: int
    class_code: int
    revision: int
    capabilities: tuple[str, ...]
    resets: tuple[str, ...]
    bars: tuple[Bar, ...]
    faults: tuple[str, ...] = ()
    rom: Rom | None = None


@dataclass(frozen=True, kw_only=True)
class Card:
    """A virtual card: a name and its functions."""

    name: str
    description: str
    functions: tuple[Function, ...]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a card is plugged in: on which of QEMU's buses, and the address the host gives it."""

    bus: str
    address: str


@dataclass(frozen=True, kw_only=True)
class Host:
    """A virtual host: a release, a board and what is plugged in."""

    name: str
    description: str
    release: str
    layout: str
    cpu_vendor: str
    iommu: str
    devices: tuple[str, ...]
    cards: tuple[str, ...]
    card_places: tuple[Place, ...]
    disk_at: str
    uplink_at: str

    def place_of(self, position: int) -> Place:
        """Where card number `position` goes: as its row says, or behind its own root port."""
        if position < len(self.card_places):
            return self.card_places[position]
        return Place(bus="", address=f"{position + 1:02x}:00")


def _bar(row: Mapping[str, Any]) -> Bar:
    kind, size = str(row["kind"]), int(row["size"])
    if kind not in ("mem32", "mem64", "mem64-prefetch", "io"):
        raise UsageError(f"cards.toml: unknown kind of BAR {kind!r}")
    if size & (size - 1) or size < (4 if kind == "io" else 16):
        raise UsageError(f"cards.toml: the BAR size {size:#x} is not a power of two")
    registers = row.get("registers", {})
    return Bar(
        index=int(row["index"]),
        size_bytes=size,
        is_io=kind == "io",
        is_64bit=kind.startswith("mem64"),
        is_prefetchable=kind.endswith("-prefetch"),
        registers=tuple((int(at, 0), int(value)) for at, value in registers.items()),
        resets_at=row.get("resets_at"),
    )


def _rom(row: Mapping[str, Any] | None) -> Rom | None:
    if row is None:
        return None
    content = bytes.fromhex(row.get("content", ""))
    return Rom(size_bytes=int(row["size"]), content=content, is_readable=row.get("readable", True))


def _pair(text: str) -> tuple[int, int]:
    left, right = text.split(":")
    return int(left, 16), int(right, 16)


def _function(row: Mapping[str, Any]) -> Function:
    vendor, device = _pair(row["id"])
    subsystem_vendor, subsystem_device = _pair(row["subsystem"])
    return Function(
        number=int(row["number"]),
        vendor=vendor,
        device=device,
        subsystem_vendor=subsystem_vendor,
        subsystem_device=subsystem_device,
        class_code=int(row["class"]),
        revision=int(row["revision"]),
        capabilities=tuple(row["capabilities"]),
        resets=tuple(row["resets"]),
        bars=tuple(_bar(each) for each in row["bars"]),
        faults=tuple(row.get("faults", ())),
        rom=_rom(row.get("rom")),
    )


def _functions(row: Mapping[str, Any], table: Mapping[str, Any]) -> tuple[Function, ...]:
    """A card's own, or those of the card that it is like, with what its row changes in them."""
    if "like" not in row:
        return tuple(_function(each) for each in row["function"])
    changes = row["change"]
    rows = table[row["like"]]["function"]
    if unknown := changes.keys() - {str(each["number"]) for each in rows}:
        raise UsageError(f"cards.toml: {row['like']} has no function {', '.join(unknown)}")
    return tuple(_function({**each, **changes.get(str(each["number"]), {})}) for each in rows)


def cards(path: Path = _FOLDER / "cards.toml") -> dict[str, Card]:
    """All cards by name."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return {
        name: Card(
            name=name,
            description=row["description"],
            functions=_functions(row, table),
        )
        for name, row in table.items()
    }


def hosts(path: Path = _FOLDER / "hosts.toml") -> dict[str, Host]:
    """All hosts by name."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: _host(name, row) for name, row in table.items()}


def _host(name: str, row: Mapping[str, Any]) -> Host:
    plugs = [{"card": each} if isinstance(each, str) else each for each in row["cards"]]
    return Host(
        name=name,
        description=row["description"],
        release=row["release"],
        layout=row.get("layout", "plain"),
        cpu_vendor=row["cpu_vendor"],
        iommu=row.get("iommu", ""),
        devices=tuple(row["devices"]),
        cards=tuple(plug["card"] for plug in plugs),
        card_places=tuple(
            Place(bus=plug["bus"], address=plug["address"]) for plug in plugs if "bus" in plug
        ),
        disk_at=row.get("disk_at", _DISK_AT),
        uplink_at=row.get("uplink_at", _UPLINK_AT),
    )


def host(name: str) -> Host:
    """One host, or an error that names those there are."""
    table = hosts()
    if name not in table:
        raise UsageError(f"no host {name!r}", hint=f"known hosts: {', '.join(table)}")
    return table[name]


def card(name: str) -> Card:
    """One card, or an error that names those there are."""
    table = cards()
    if name not in table:
        raise UsageError(f"no card {name!r}", hint=f"known cards: {', '.join(table)}")
    return table[name]
