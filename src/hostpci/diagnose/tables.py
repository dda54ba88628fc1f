"""The firmware's tables of the IOMMU: DMAR (Intel) and IVRS (AMD). Untrusted bytes.

Layouts: linux include/acpi/actbl1.h (DMAR), actbl2.h (IVRS); ranges that a device insists on:
drivers/iommu/amd/init.c init_unity_map_range, drivers/iommu/intel/iommu.c dmar_parse_one_rmrr.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ..model.decoded import Decoded, Part
from .decode import NotDecodableError

MAX_BYTES = 1 << 20
_MOST_PARTS = 400
_HEADER, _FIXED = 36, 48
_DMAR_FLAGS = ("INTR_REMAP", "X2APIC_OPT_OUT", "DMA_CTRL_PLATFORM_OPT_IN_FLAG")
_DMAR_TYPES = {0: "DRHD", 1: "RMRR", 2: "ATSR", 3: "RHSA", 4: "ANDD", 5: "SATC", 6: "SIDP"}
# first bit of the flags of these, by its name in the specification
_DMAR_BIT = {"DRHD": "INCLUDE_PCI_ALL", "ATSR": "ALL_PORTS", "SATC": "ATC_REQUIRED"}
_SCOPES_AT = {"DRHD": 16, "RMRR": 24, "ATSR": 8, "SATC": 8}
_SCOPES = {1: "endpoint", 2: "bridge", 3: "IOAPIC", 4: "HPET", 5: "namespace"}
_IVHD_FLAGS = ("HtTunEn", "PassPW", "ResPassPW", "Isoc", "IotlbSup")
_IVMD_FLAGS = ("Unity", "IR", "IW", "ExclusionRange")
_IVHDS, _IVMDS = (0x10, 0x11, 0x40), {0x20: "all", 0x21: "one", 0x22: "range"}
_IVHD_BYTES, _IVMD_BYTES = 24, 32


def decode_table(data: bytes) -> Decoded:
    """Raises NotDecodableError if it is neither of them, or too short to be one."""
    if len(data) < _FIXED or len(data) > MAX_BYTES or data[:4] not in (b"DMAR", b"IVRS"):
        raise NotDecodableError("DMAR, IVRS")
    kind = data[:4].decode()
    declared = int.from_bytes(data[4:8], "little")
    body = data[: min(declared, len(data))]
    read = _dmar if kind == "DMAR" else _ivrs
    parts: list[Part] = []
    for part in read(body):
        if len(parts) == _MOST_PARTS:
            parts.append(Part(name="...", meaning="decode.table.more"))
            break
        parts.append(part)
    if declared > len(data):
        parts.append(Part(name=f"{len(data)}/{declared}", meaning="decode.table.cut"))
    return Decoded(kind=kind.lower(), value=f"{len(data)}", parts=tuple(parts))


def _dmar(table: bytes) -> Iterator[Part]:
    if len(table) < _FIXED:
        yield _broken(len(table))
        return
    yield Part(name=f"{table[_HEADER] + 1} bit", meaning="decode.dmar.width")
    for name in _names(table[_HEADER + 1], _DMAR_FLAGS):
        yield Part(name=name, meaning=f"decode.dmar.{name}")
    at = _FIXED
    while at < len(table):
        kind, length = struct.unpack_from("<HH", table, at) if at + 4 <= len(table) else (0, 0)
        if length < 4 or at + length > len(table):  # noqa: PLR2004  (its own header)
            yield _broken(at)
            return
        yield _dmar_entry(_DMAR_TYPES.get(kind, f"type {kind}"), table[at : at + length], at)
        at += length


def _dmar_entry(name: str, entry: bytes, at: int) -> Part:
    scopes_at = _SCOPES_AT.get(name)
    if scopes_at is None:
        return Part(name=name, meaning="decode.dmar.other")
    if len(entry) < scopes_at:
        return _broken(at)
    words = [name]
    if name == "DRHD":
        words.append(f"0x{int.from_bytes(entry[8:16], 'little'):x}")
    if name == "RMRR":
        start, end = struct.unpack_from("<QQ", entry, 8)
        words.append(f"0x{start:x}-0x{end:x}")
    if name in _DMAR_BIT and entry[4] & 1:
        words.append(_DMAR_BIT[name])
    words += _scopes(entry[scopes_at:], int.from_bytes(entry[6:8], "little"))
    return Part(name=" ".join(words), meaning=f"decode.dmar.{name}")


def _scopes(data: bytes, segment: int) -> Iterator[str]:
    """The path below a bridge is a pair of bytes a step; its start is a bus number."""
    at = 0
    while at + 6 <= len(data):
        kind, length, bus = data[at], data[at + 1], data[at + 5]
        path = data[at + 6 : at + length]
        if length < 8 or at + length > len(data) or len(path) % 2:  # noqa: PLR2004  (one step)
            return
        steps = "/".join(f"{path[i]:02x}.{path[i + 1]:x}" for i in range(0, len(path), 2))
        yield f"{_SCOPES.get(kind, kind)}={segment:04x}:{bus:02x}:{steps}"
        at += length


def _ivrs(table: bytes) -> Iterator[Part]:
    if len(table) < _FIXED:
        yield _broken(len(table))
        return
    info = int.from_bytes(table[36:40], "little")
    yield Part(name=f"{info >> 8 & 0x7F} bit", meaning="decode.ivrs.physical")
    yield Part(name=f"{info >> 15 & 0x7F} bit", meaning="decode.ivrs.virtual")
    at = _FIXED
    while at < len(table):
        length = int.from_bytes(table[at + 2 : at + 4], "little") if at + 4 <= len(table) else 0
        if length < 6 or at + length > len(table):  # noqa: PLR2004  (its own header)
            yield _broken(at)
            return
        yield _ivrs_entry(table[at : at + length], at)
        at += length


def _ivrs_entry(entry: bytes, at: int) -> Part:
    kind, flags, device = entry[0], entry[1], int.from_bytes(entry[4:6], "little")
    if kind in _IVHDS:
        if len(entry) < _IVHD_BYTES:
            return _broken(at)
        base, segment = struct.unpack_from("<QH", entry, 8)
        words = [f"IVHD {kind:#x} {segment:04x}:{_address(device)} 0x{base:x}"]
        return Part(name=" ".join(words + _names(flags, _IVHD_FLAGS)), meaning="decode.ivrs.ivhd")
    if kind not in _IVMDS:
        return Part(name=f"type {kind:#x}", meaning="decode.ivrs.other")
    if len(entry) < _IVMD_BYTES:
        return _broken(at)
    aux, start, length = *struct.unpack_from("<H", entry, 6), *struct.unpack_from("<QQ", entry, 16)
    of = {"all": "all", "one": _address(device), "range": f"{_address(device)}-{_address(aux)}"}
    # 65 bits would be needed for the end of a range that firmware made up
    words = [f"IVMD {of[_IVMDS[kind]]} 0x{start:x}+0x{length:x}", *_names(flags, _IVMD_FLAGS)]
    meaning = "decode.ivrs.exclusion" if flags & 8 else "decode.ivrs.ivmd"
    return Part(name=" ".join(words), meaning=meaning)


def _address(device: int) -> str:
    return f"{device >> 8:02x}:{device >> 3 & 0x1F:02x}.{device & 7}"


def _names(word: int, names: tuple[str, ...]) -> list[str]:
    return [name for bit, name in enumerate(names) if word >> bit & 1]


def _broken(at: int) -> Part:
    return Part(name=f"0x{at:x}", meaning="decode.table.broken")
