"""Listings that people paste: lspci, IOMMU groups, /proc/iomem, wherever among the lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from .lines import ADDRESS, Line, full_address

_CLASSES = (
    "VGA compatible controller", "3D controller", "Display controller", "Audio device",
    "Multimedia audio controller", "USB controller", "Serial bus controller", "PCI bridge",
    "Host bridge", "ISA bridge", "SATA controller", "Ethernet controller", "Network controller",
    "Non-Volatile memory controller", "RAID bus controller", "Serial Attached SCSI controller",
    "Encryption controller", "Signal processing controller", "SMBus", "IOMMU", "Bridge",
    "Communication controller", "System peripheral", "Processing accelerators", "IDE interface",
    "Non-Essential Instrumentation", "Serial controller", "SD Host controller", "Memory controller",
    "RAM memory", "Multimedia controller", "Unassigned class", "Co-processor",
    "Infiniband controller", "Fibre Channel", "Mass storage controller", "PIC", "USB Controller",
    "Multimedia video controller",
)  # fmt: skip
_HEAD = re.compile(
    rf"(?:IOMMU [Gg]roup (?P<group>[0-9]+):?\s+)?\s*(?P<address>{ADDRESS}),? \"?"
    rf"(?P<class>{'|'.join(sorted(_CLASSES, key=len, reverse=True))})\"?"
    r"(?: \[(?P<code>[0-9a-f]{4})\])?\"?:? (?P<name>.*)"
)
_NUMERIC_HEAD = re.compile(
    rf"\s*(?P<address>{ADDRESS}) (?:Class )?(?P<code>[0-9a-f]{{4}}): "
    r"(?P<id>[0-9a-f]{4}:[0-9a-f]{4})"
)
_ID = re.compile(r"\[(?P<id>[0-9a-f]{4}:[0-9a-f]{4})\]")
_FIELD = re.compile(r"\s*(Kernel driver in use|Kernel modules): ?(.*)")
_DISPLAY = ("VGA compatible controller", "3D controller", "Display controller")
_DISPLAY_CODES = ("0300", "0302", "0380")
_GROUP_HEAD = re.compile(r"\s*(?:#+ ?)?IOMMU [Gg]roup:? ?(?P<group>[0-9]+):?\s*$", re.IGNORECASE)
_GROUP_PATH = re.compile(rf"iommu_groups/(?P<group>[0-9]+)/devices/(?P<address>{ADDRESS})")
_GROUP_KERNEL = re.compile(
    rf"(?P<address>{ADDRESS})(?:: Adding)? to (?:iommu )?group (?P<group>[0-9]+)"
)
_IOMEM = re.compile(
    r"(?P<indent> *)(?P<start>[0-9a-f]{8,16})-(?P<end>[0-9a-f]{8,16}) : (?P<name>.+)"
)


@dataclass(slots=True, kw_only=True)
class Listed:
    """One function of an lspci listing. ``driver`` None: the listing did not say."""

    address: str
    class_name: str
    class_code: str
    name: str
    ids: str
    line: Line
    group: int | None = None
    driver: str | None = None
    modules: tuple[str, ...] = ()
    details: list[Line] = field(default_factory=list)

    @property
    def slot(self) -> str:
        return self.address.rpartition(".")[0]

    @property
    def function(self) -> int:
        return int(self.address[-1])

    @property
    def vendor(self) -> str:
        return self.ids.partition(":")[0]

    @property
    def is_display(self) -> bool:
        return self.class_name in _DISPLAY or self.class_code in _DISPLAY_CODES

    @property
    def is_bridge(self) -> bool:
        return "bridge" in self.class_name.lower() or self.class_code[:2] == "06"

    @property
    def is_storage(self) -> bool:
        return self.class_code[:2] == "01" or any(
            word in self.class_name for word in ("SATA", "Non-Volatile", "RAID", "SCSI", "IDE ")
        )

    @property
    def is_network(self) -> bool:
        return self.class_code[:2] == "02" or self.class_name in (
            "Ethernet controller", "Network controller", "Infiniband controller",
        )  # fmt: skip

    @property
    def is_audio(self) -> bool:
        return self.class_code in ("0403", "0401") or "udio" in self.class_name

    @property
    def is_usb(self) -> bool:
        return self.class_code == "0c03" or "USB" in self.class_name

    @property
    def text(self) -> str:
        return "\n".join(each.text for each in self.details)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """One line of /proc/iomem."""

    start: int
    end: int
    name: str
    depth: int
    line: Line


def read_lspci(lines: Iterable[Line]) -> tuple[Listed, ...]:
    found: dict[str, Listed] = {}
    current: Listed | None = None
    group: int | None = None
    for line in lines:
        in_group = _GROUP_HEAD.match(line.text)
        if in_group:
            group, current = int(in_group["group"]), None
            continue
        head = _head_of(line, group)
        if head is not None:
            current = _merged(found, head)
        elif current is not None:
            current = _detail(current, line)
    return tuple(found.values())


def _merged(found: dict[str, Listed], head: Listed) -> Listed:
    """The same function listed twice, with and without its drivers, is one."""
    known = found.setdefault(head.address, head)
    known.ids = known.ids or head.ids
    known.class_code = known.class_code or head.class_code
    known.group = head.group if known.group is None else known.group
    if head is not known:
        known.name = max(known.name, head.name, key=len)
    return known


def _head_of(line: Line, group: int | None) -> Listed | None:
    text = line.text.lstrip("#|-├└─\t >")
    match = _HEAD.match(text)
    if match:
        ids = _ID.search(match["name"])
        own = int(match["group"]) if match["group"] else group
        return Listed(
            address=full_address(match["address"]), class_name=match["class"],
            class_code=match["code"] or "", name=match["name"], ids=ids["id"] if ids else "",
            line=line, group=own,
        )  # fmt: skip
    numeric = _NUMERIC_HEAD.match(text)
    if numeric:
        return Listed(
            address=full_address(numeric["address"]), class_name="", class_code=numeric["code"],
            name=text, ids=numeric["id"], line=line, group=group,
        )  # fmt: skip
    return None


def _detail(current: Listed, line: Line) -> Listed | None:
    if not line.text.strip():
        return None
    known = _FIELD.match(line.text)
    if known and known[1] == "Kernel driver in use":
        current.driver = known[2].strip()
    elif known:
        current.modules = tuple(each.strip() for each in known[2].split(","))
    current.details.append(line)
    return current


def read_groups(lines: Iterable[Line], listed: Iterable[Listed]) -> dict[int, tuple[str, ...]]:
    """IOMMU group -> addresses, from listings, paths and what the kernel said at boot."""
    groups: dict[int, dict[str, None]] = {}
    for number, address in _group_lines(lines):
        groups.setdefault(number, {})[address] = None
    for each in listed:
        if each.group is not None:
            groups.setdefault(each.group, {})[each.address] = None
    return {number: tuple(members) for number, members in groups.items()}


def _group_lines(lines: Iterable[Line]) -> Iterator[tuple[int, str]]:
    for line in lines:
        if "group" in line.text:
            for pattern in (_GROUP_PATH, _GROUP_KERNEL):
                for match in pattern.finditer(line.text):
                    yield int(match["group"]), full_address(match["address"])


def read_iomem(lines: Iterable[Line]) -> tuple[Range, ...]:
    found = []
    for line in lines:
        match = _IOMEM.match(line.text) if " : " in line.text else None
        if match:
            found.append(
                Range(
                    start=int(match["start"], 16), end=int(match["end"], 16),
                    name=match["name"].strip(), depth=len(match["indent"]) // 2, line=line,
                )
            )  # fmt: skip
    return tuple(found)
