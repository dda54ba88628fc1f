"""Settings of a machine: text <-> properties by PVE's own grammar, to be looked at and changed.

PVE has taken them, so they are not judged again: a key that is newer than the grammar stays as it
is. Whatever else is in a setting stays in its order when a part of it is changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..errors import EnvironmentFault
from ..model.vm import HOSTPCI, HostPci, NodeFacts
from . import cpu, mapping
from .hostpci import PVE9
from .schema import (
    FormatError,
    Properties,
    default_key,
    parse_boolean,
    split_property_string,
)
from .vmoptions import formats, options

_PLACE = re.compile(r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}:[0-9a-f]{2})(?:\.([0-9a-f]))?")
_DEFAULT_MEMORY_MIB = 512


def read(key: str, text: str) -> dict[str, str]:
    """``01:00,pcie=on`` of ``hostpci0`` is ``host``: ``01:00``, ``pcie``: ``1``.

    Raises EnvironmentFault for what PVE itself could not have read.
    """
    return _split(key, _properties(key), text)


def written(key: str, values: Mapping[str, str]) -> str:
    """The reverse; the default key is written bare and first, as PVE's own tools do."""
    bare = default_key(_properties(key))
    first = [values[bare]] if bare is not None and bare in values else []
    return ",".join([*first, *(f"{name}={each}" for name, each in values.items() if name != bare)])


def read_entry(text: str) -> dict[str, str]:
    """One ``map`` line of a resource mapping."""
    return _split("map", mapping.ENTRY, text)


def _split(key: str, properties: Properties, text: str) -> dict[str, str]:
    try:
        found = split_property_string(properties, text)
    except FormatError as error:
        raise EnvironmentFault("vm-odd-answer", reason=f"{key}: {error}".strip()) from error
    return {name: str(value) for name, value in found.items()}


def _properties(key: str) -> Properties:
    if key == "cpu":
        return cpu.properties()  # PVE checks that one with code
    name = options(PVE9)[key]["format"]
    found: Properties = formats(PVE9)[name] if isinstance(name, str) else name  # type: ignore[assignment]
    return found


def is_true(text: str) -> bool:
    return parse_boolean(text) == 1


def places_of(text: str) -> tuple[str, ...]:
    """``01:00;0000:02:00.1`` -> ``0000:01:00``, ``0000:02:00.1``."""
    matches = (_PLACE.fullmatch(each.strip().lower()) for each in text.split(";"))
    return tuple(
        f"{match[1] or '0000'}:{match[2]}{f'.{match[3]}' if match[3] else ''}"
        for match in matches
        if match
    )


def hostpci_lines(config: Mapping[str, str], node: NodeFacts) -> tuple[HostPci, ...]:
    """The hostpci lines of a configuration, by number, with their mappings resolved here."""
    keys = sorted((key for key in config if HOSTPCI.fullmatch(key)), key=lambda key: int(key[7:]))
    return tuple(_hostpci(key, config[key], node) for key in keys)


def _hostpci(key: str, text: str, node: NodeFacts) -> HostPci:
    values = read("hostpci0", text)
    host, name = values.pop("host", ""), values.pop("mapping", "")
    places = places_of(host) if host else mapped_places(node, name)
    return HostPci(key=key, places=places, mapping=name, options=values)


def mapped_places(node: NodeFacts, name: str) -> tuple[str, ...]:
    """What a mapping means on this node."""
    mapping = node.mapping(name)
    entries = [read_entry(each) for each in (mapping.entries if mapping else ())]
    here = [each.get("path", "") for each in entries if each.get("node") == node.name]
    return tuple(place for path in here for place in places_of(path))


def machine_type(config: Mapping[str, str]) -> str:
    """``q35``, ``pc-q35-8.1``, ``pc-i440fx-8.1``...; PVE's default is ``pc``."""
    return read("machine", config.get("machine", "")).get("type") or "pc"


def is_q35(config: Mapping[str, str]) -> bool:
    """As PVE asks (Machine.pm machine_type_is_q35)."""
    return "q35" in machine_type(config)


def is_ovmf(config: Mapping[str, str]) -> bool:
    return config.get("bios") == "ovmf"


def memory_mib(config: Mapping[str, str]) -> int:
    text = read("memory", config.get("memory", "")).get("current", "")
    return int(text) if text.isdecimal() else _DEFAULT_MEMORY_MIB


def cpu_properties(config: Mapping[str, str]) -> dict[str, str]:
    """``kvm64`` where nothing is set (CPUConfig.pm get_default_cpu_type)."""
    return {"cputype": "kvm64", **read("cpu", config.get("cpu", ""))}


def start_timeout_s(config: Mapping[str, str]) -> int:
    """What PVE gives a start with a passed device (QemuServer/Helpers.pm config_aware_timeout)."""
    memory = memory_mib(config)
    seconds = memory // 1024 if memory > 30 * 1024 else 30
    seconds *= 4
    if config.get("hugepages") and seconds < 150:  # noqa: PLR2004  (as there)
        seconds = 150
    return seconds + 5 * sum(re.match(r"net[0-9]", key) is not None for key in config)
