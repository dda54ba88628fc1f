"""Resource mappings: /etc/pve/mapping/pci.cfg text <-> model, and whether one holds on a host.

Sources: pve-common src/PVE/SectionConfig.pm (the file), pve-guest-common src/PVE/Mapping/PCI.pm
(the keys, and assert_valid, which PVE runs when a VM starts).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .formats import FORMATS
from .schema import (
    ROOT,
    SPACE,
    FormatError,
    Properties,
    Schema,
    check_properties,
    check_text,
    parse_property_string,
    print_property_string,
)

FILE = "mapping/pci.cfg"
_TYPE = "pci"
# sic: the dot stands in double quotes there, so any character is taken for it
_PATH = "[a-f0-9]{4,}:[a-f0-9]{2}:[a-f0-9]{2}(?:.[a-f0-9])?"
_IDENTITY = "^[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}$"
_LONGEST_TEXT = 4096
ENTRY: Properties = {
    "node": {"type": "string", "format": "pve-node"},
    "id": {"type": "string", "pattern": _IDENTITY},
    "path": {"type": "string", "pattern": f"(?:{_PATH};)*{_PATH}"},
    "subsystem-id": {"optional": 1, "type": "string", "pattern": _IDENTITY},
    "iommugroup": {"optional": 1, "type": "integer"},
    "description": {"optional": 1, "type": "string", "maxLength": _LONGEST_TEXT},
}
_SCALARS: Properties = {
    "description": {"optional": 1, "type": "string", "maxLength": _LONGEST_TEXT},
    "live-migration-capable": {"optional": 1, "type": "boolean"},
    "mdev": {"optional": 1, "type": "boolean"},
}
_MAP: Schema = {"type": "string", "format": ENTRY}
_NAME: Schema = {"type": "string", "format": "pve-configid"}
_HEADER = re.compile(rf"(\S+){SPACE}*$", re.ASCII)
_ATTRIBUTE = re.compile(rf"{SPACE}+(\S+)(?:{SPACE}+(.*\S))?{SPACE}*$", re.ASCII)
_COMMENT = re.compile(rf"{SPACE}*#")
_FUNCTION = re.compile(r"\.[a-f0-9]", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapEntry:
    """One place of a mapping on one node; None and "": not given.

    ``path``: functions ``0000:01:00.0`` or slots ``0000:01:00``, ``;`` between them.
    """

    node: str
    path: str
    id: str
    subsystem_id: str = ""
    iommugroup: str | None = None
    description: str = ""

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(each for each in self.path.split(";") if each)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One mapping. ``maps``: its entries as they stand in the file."""

    maps: tuple[str, ...]
    description: str | None = None
    mdev: int | None = None
    live_migration_capable: int | None = None

    def entries(self, node: str = "") -> tuple[MapEntry, ...]:
        """Its entries, of one node or of all."""
        found = (parse_entry(each) for each in self.maps)
        return tuple(each for each in found if node in ("", each.node))

    def document(self) -> dict[str, object]:
        given = {key: _scalar(self, key) for key in _SCALARS}
        return {
            "type": _TYPE,
            "map": list(self.maps),
            **{key: value for key, value in given.items() if value is not None},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Mappings:
    """``sections``: by name, in the order of the file; None: one that PVE read and threw away.

    While such a one is there, PVE cannot write the file at all. ``order``: PVE's numbers of them.
    """

    sections: Mapping[str, Section | None] = field(default_factory=dict)
    order: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def document(self) -> dict[str, object]:
        """``ids``, as PVE's own readers see it."""
        return {name: each.document() if each else None for name, each in self.sections.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class HostDevice:
    """A PCI function as sysfs shows it. ``identity``, ``subsystem``: ``10de:1f08``, "" if none.

    ``has_mdev``: it offers mediated devices (None: not measured); ``is_nvidia_vgpu``: by the way
    of NVIDIA's driver for kernels from 6.8 on.
    """

    address: str
    identity: str
    subsystem: str = ""
    iommu_group: int | None = None
    has_mdev: bool | None = False
    is_nvidia_vgpu: bool = False


def _scalar(section: Section, key: str) -> str | int | None:
    value: str | int | None = getattr(section, key.replace("-", "_"))
    return value


# the file


def parse_mappings(text: str) -> Mappings:
    return _Reader().read(text)


class _Reader:
    def __init__(self) -> None:
        self._warnings: list[str] = []
        self._sections: dict[str, Section | None] = {}
        self._order: dict[str, int] = {}
        self._found = 0
        self._lines: list[str] = []
        self._number = 0

    def read(self, text: str) -> Mappings:
        # Perl leaves out the empty parts at the end
        self._lines = text.rstrip("\n").split("\n") if text.rstrip("\n") else []
        while self._number < len(self._lines):
            for line in self._until_blank():
                self._begin(line)
        return Mappings(sections=self._sections, order=self._order, warnings=tuple(self._warnings))

    def _until_blank(self) -> Iterator[str]:
        """Lines but comments. An empty one ends the section (Perl calls it untrue); one with
        white space does not, nor does the carriage return of an editor on Windows.
        """
        while self._number < len(self._lines):
            line = self._lines[self._number]
            self._number += 1
            if line in ("", "0"):
                return
            if not _COMMENT.match(line):
                yield line

    def _warn(self, number: int, text: str) -> None:
        self._warnings.append(f"file {FILE} line {number}{text}")

    def _begin(self, line: str) -> None:
        header, first = _HEADER.match(line), self._number
        if not header:
            self._warn(first, f" - ignore config line: {line}\n")
            return
        name = header[1]
        wrong = check_text(_NAME, name, "", FORMATS).get(ROOT, "")
        if wrong:
            reason = wrong.removeprefix("invalid format - ")
            self._warn(first, f" (skip section '{name}'): {reason}")
            for _ in self._until_blank():
                pass
            return
        self._fill(name)

    def _fill(self, name: str) -> None:
        values: dict[str, str | int] = {}
        maps: list[str] = []
        last = self._number
        for line in self._until_blank():
            last = self._number
            attribute = _ATTRIBUTE.match(line)
            if not attribute:
                self._warn(last, f" (section '{name}') - ignore config line: {line}\n")
                continue
            try:
                _take(attribute[1], attribute[2], values, maps)
            except FormatError as error:
                said = f"unable to parse value of '{attribute[1]}': {error}"
                self._warn(last, f" (section '{name}') - {said}")
        if not maps:
            self._warn(last, f" (skip section '{name}'): missing value for required option 'map'\n")
        self._sections.pop(name, None)  # a second one of that name counts, at its own place
        self._sections[name] = _section(values, maps) if maps else None
        self._found += 1
        self._order[name] = self._found


def _take(key: str, text: str | None, values: dict[str, str | int], maps: list[str]) -> None:
    schema = _MAP if key == "map" else _SCALARS.get(key)
    if schema is None and key not in ("id", "type"):
        raise FormatError("unknown property type\n")
    if key in values:
        raise FormatError("duplicate attribute\n")
    if key == "type" and text == _TYPE:
        values[key] = text
        return
    if schema is None:
        raise FormatError(f"unexpected property '{key}'\n")
    if text is None and schema["type"] == "boolean":
        text = "1"
    if text is None:
        raise FormatError("got undefined value\n")
    if "\r" in text:
        raise FormatError("property contains a line feed\n")
    # PVE checks the bytes of the file, a character each; only what its API is given is text to it
    read = text.encode("utf-8", "surrogatepass").decode("latin-1")
    wrong = check_text(schema, read, "", FORMATS).get(ROOT)
    if wrong:
        said = wrong.encode("latin-1").decode("utf-8", "surrogatepass")
        raise FormatError(f"{said}\n")
    if key == "map":
        maps.append(text)
    else:
        values[key] = int(text) if schema["type"] == "boolean" else text


def _section(values: Mapping[str, str | int], maps: Sequence[str]) -> Section:
    fields = {key.replace("-", "_"): value for key, value in values.items() if key in _SCALARS}
    return Section(maps=tuple(maps), **fields)  # type: ignore[arg-type]


def write_mappings(mappings: Mappings) -> str:
    """The file as PVE would write it. Raises FormatError where PVE would refuse to."""
    return "".join(_written(name, each) for name, each in mappings.sections.items())


def _written(name: str, section: Section | None) -> str:
    if section is None:
        raise FormatError("unknown section type ''\n")
    text = name + "\n" + "".join(f"\tmap {each}\n" for each in section.maps)
    for key in sorted(_SCALARS):
        value = _scalar(section, key)
        if "\n" in str(value) or "\r" in str(value):
            raise FormatError(f"property '{key}' contains a line feed\n")
        if value not in (None, ""):
            text += f"\t{key} {value}\n"
    return text + "\n"


# one entry


def parse_entry(text: str) -> MapEntry:
    """Raises FormatError with PVE's words."""
    values = parse_property_string(ENTRY, text, formats=FORMATS)
    fields = {key.replace("-", "_"): str(value) for key, value in values.items()}
    return MapEntry(**fields)


def write_entry(entry: MapEntry) -> str:
    values = {key: getattr(entry, key.replace("-", "_")) for key in ENTRY}
    given = {key: value for key, value in values.items() if value not in (None, "")}
    return print_property_string(ENTRY, given)


def api_errors(parameters: Mapping[str, str | int | Sequence[str]]) -> dict[str, str]:
    """What POST /cluster/mapping/pci says of its parameters: name -> what is wrong."""
    scalars = {key: value for key, value in parameters.items() if isinstance(value, str | int)}
    errors = dict(check_properties({"id": _NAME, **_SCALARS}, scalars, formats=FORMATS))
    maps = parameters.get("map")
    if maps is None:
        errors["map"] = "property is missing and it is not optional"
    elif not isinstance(maps, str | int):
        for index, each in enumerate(maps):
            errors |= check_text(_MAP, each, f"map[{index}]", FORMATS)
    return errors


# against a host


def why_invalid(
    name: str, section: Section, entry: MapEntry, devices: Mapping[str, HostDevice]
) -> str:
    """What PVE says when the hardware is not what the entry expects (assert_valid); "" if it is."""
    for index, path in enumerate(entry.paths):
        address = path if _FUNCTION.search(path) else f"{path}.0"
        device = devices.get(address)
        if device is None:
            return f"pci device '{address}' not found\n"
        for key, (expected, configured) in _compared(section, entry, device).items():
            if key == "iommugroup" and index:
                continue  # the group is that of the first device
            wrong = _difference(name, key, expected, configured, address)
            if wrong:
                return wrong
    return ""


def _compared(
    section: Section, entry: MapEntry, device: HostDevice
) -> dict[str, tuple[str | None, str | None]]:
    group, mdev = device.iommu_group, section.mdev or 0
    return {
        "id": (device.identity, entry.id),
        "iommugroup": (None if group is None else str(group), entry.iommugroup),
        "mdev": (str(mdev if device.has_mdev is None else int(device.has_mdev)), str(mdev)),
        "subsystem-id": (device.subsystem or None, entry.subsystem_id or None),
    }


def _difference(
    name: str, key: str, expected: str | None, configured: str | None, address: str
) -> str:
    if expected is None and configured is None:
        return ""
    if configured is None:
        return f"missing expected property '{key}' for device '{address}'\n"
    if expected is None:
        return f"unexpected property '{key}' configured for device '{address}'\n"
    if expected != configured:
        return f"'{key}' does not match for '{name}' ({expected} != {configured})\n"
    return ""
