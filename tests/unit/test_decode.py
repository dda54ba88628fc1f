"""Numbers of the kernel, the firmware and NVIDIA's driver are told as their sources name them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostpci.diagnose import decode as module
from hostpci.diagnose.decode import KINDS, NotDecodableError, decode
from hostpci.diagnose.decode_lines import decoded_in
from hostpci.diagnose.engine import diagnose
from hostpci.diagnose.tables import decode_table
from hostpci.i18n import Catalog, all_texts
from hostpci.model.decoded import Decoded
from hostpci.render.diagnoses import render_decoded


def names(found: Decoded) -> list[str]:
    return [part.name for part in found.parts]


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("acs", "0x1d", ["SrcValid", "ReqRedir", "CmpltRedir", "UpstreamFwd", ""]),
        ("acs", "0x0011", ["SrcValid", "UpstreamFwd", "ReqRedir CmpltRedir"]),
        (
            "acs",
            "SrcValid+ TransBlk- ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-",
            ["SrcValid", "ReqRedir", "CmpltRedir", "UpstreamFwd", ""],
        ),
        ("aer-correctable", "00000040/0000e000", ["BadTLP"]),
        ("aer-correctable", "00003001/00002000", ["RxErr", "Timeout"]),
        ("aer-uncorrectable", "0x00104000", ["CmpltTO", "UnsupReq"]),
        ("aer-uncorrectable", "0x00000002", ["[1]"]),
        ("aer-id", "00e5", ["00:1c.5"]),
        ("aer-id", "0100", ["01:00.0"]),
        ("reset-method", "flr bus", ["flr", "bus"]),
        # Documentation/ABI/testing/sysfs-bus-pci: bit n is 2^(n+20) bytes
        ("rebar", "0000000000007f00", [f"{1 << n} MiB" for n in (8, 9)]
         + [f"{1 << n} GiB" for n in range(5)]),
        ("rebar-cap", "0x0007f000", [f"{1 << n} MiB" for n in (8, 9)]
         + [f"{1 << n} GiB" for n in range(5)]),
        ("rebar-ctl", "0x00000821", ["BAR 1", "256 MiB"]),
        ("rminit", "0x62:0xffff:2028", ["RM_INIT_FIRMWARE_INIT_FAILED", "NV_ERR_GENERIC", "2028"]),
        ("rminit", "0x22:0x56:894",
         ["RM_INIT_GPU_GPUMGR_ATTACH_GPU_FAILED", "NV_ERR_NOT_SUPPORTED", "894"]),
        ("rminit", "0x77:0x0f", ["0x77", "NV_ERR_GPU_IS_LOST"]),
        ("xid", "79", ["ROBUST_CHANNEL_GPU_HAS_FALLEN_OFF_THE_BUS"]),
        ("xid", "999", ["999"]),
        # str.strip takes more than int does
        ("xid", "79\x1f", ["ROBUST_CHANNEL_GPU_HAS_FALLEN_OFF_THE_BUS"]),
    ],
)  # fmt: skip
def test_a_value_is_decoded(kind: str, value: str, expected: list[str]) -> None:
    assert names(decode(kind, value)) == expected


def test_what_is_not_published_is_said_to_be_so() -> None:
    assert decode("xid", "999").parts[0].meaning == module.NOT_PUBLIC
    assert decode("rminit", "0x77:0x0f").parts[0].meaning == module.NOT_PUBLIC


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text(max_size=60) | st.from_regex(r"(0x)?[0-9a-f]{1,20}", fullmatch=True))
def test_no_value_makes_it_fail_and_every_meaning_has_a_text(kind: str, text: str) -> None:
    try:
        found = decode(kind, text)
    except NotDecodableError:
        return
    for language in ("en", "zh_CN"):
        assert list(render_decoded(found, Catalog(language)))


def test_every_name_has_a_text() -> None:
    texts = all_texts("en")
    for area, values in (
        ("acs", module.ACS),
        ("aer-correctable", module.AER_CORRECTABLE.values()),
        ("aer-uncorrectable", module.AER_UNCORRECTABLE.values()),
        ("reset", module.RESET_METHODS),
        ("rm-stage", module.RM_STAGES.values()),
        ("nv-status", module.NV_STATUSES.values()),
        ("xid", module.XIDS.values()),
    ):
        assert {f"decode.{area}.{each}" for each in values} <= set(texts)
    assert all(f"{kind}" in texts["option.decode"] for kind in (*KINDS, "dmar", "ivrs"))


AER = (
    "pcieport 0000:00:1c.5: PCIe Bus Error: severity={}, type=Physical Layer, id=00e5(Receiver ID)",
    "pcieport 0000:00:1c.5:   device [8086:a115] error status/mask=00001000/00002000",
)


@pytest.mark.parametrize(
    ("severity", "name"), [("Corrected", "Timeout"), ("Uncorrected (Non-Fatal)", "TLP")]
)
def test_a_status_word_is_read_with_the_severity_before_it(severity: str, name: str) -> None:
    by_kind = {each.kind: names(each) for each in decoded_in([AER[0].format(severity), AER[1]])}
    assert by_kind.pop("aer-id") == ["00:1c.5"]
    assert list(by_kind.values()) == [[name]]


def test_without_a_severity_both_readings_are_given() -> None:
    assert [each.kind for each in decoded_in(AER[1:])] == ["aer-correctable", "aer-uncorrectable"]


def test_a_diagnosis_says_what_its_numbers_mean() -> None:
    (found, *_) = diagnose(["NVRM: GPU 0000:01:00.0: RmInitAdapter failed! (0x62:0x65:2028)"])
    assert names(found.decoded[0])[1] == "NV_ERR_TIMEOUT"


@given(st.lists(st.text(max_size=200), max_size=5))
def test_no_line_makes_it_fail(lines: list[str]) -> None:
    decoded_in(lines)


# tables


def table(name: bytes, fixed: bytes, *entries: bytes) -> bytes:
    body = fixed.ljust(12, b"\0") + b"".join(entries)
    return name + struct.pack("<I", 36 + len(body)) + bytes(28) + body


def scope(kind: int, bus: int, *path: int) -> bytes:
    return bytes((kind, 6 + len(path), 0, 0, 0, bus, *path))


def dmar_entry(kind: int, body: bytes) -> bytes:
    return struct.pack("<HH", kind, 4 + len(body)) + body


DMAR = table(
    b"DMAR", bytes((38, 5)),
    dmar_entry(0, struct.pack("<BBHQ", 0, 0, 0, 0xFED90000) + scope(1, 0, 2, 0)),
    dmar_entry(0, struct.pack("<BBHQ", 1, 0, 0, 0xFED91000) + scope(3, 0, 0x1E, 7)),
    dmar_entry(1, struct.pack("<HHQQ", 0, 0, 0x8D800000, 0x8FFFFFFF) + scope(1, 0, 2, 0)),
    dmar_entry(2, struct.pack("<BBH", 1, 0, 0)),
    dmar_entry(5, struct.pack("<BBH", 1, 0, 0) + scope(1, 0, 4, 0)),
)  # fmt: skip
IVRS = table(
    b"IVRS", struct.pack("<I", 0x203040),
    struct.pack("<BBHHHQHHIQQ", 0x11, 0x30, 40, 2, 0x40, 0xFEB80000, 0, 0, 0, 0, 0),
    struct.pack("<BBHHHQQQ", 0x22, 7, 32, 0x0300, 0x0307, 0, 0xBF000000, 0x100000),
    struct.pack("<BBHHHQQQ", 0x20, 8, 32, 0, 0, 0, 0x1000, 0x1000),
)  # fmt: skip


def test_a_dmar_says_which_memory_which_device_insists_on() -> None:
    assert names(decode_table(DMAR)) == [
        "39 bit", "INTR_REMAP", "DMA_CTRL_PLATFORM_OPT_IN_FLAG",
        "DRHD 0xfed90000 endpoint=0000:00:02.0",
        "DRHD 0xfed91000 INCLUDE_PCI_ALL IOAPIC=0000:00:1e.7",
        "RMRR 0x8d800000-0x8fffffff endpoint=0000:00:02.0",
        "ATSR ALL_PORTS", "SATC ATC_REQUIRED endpoint=0000:00:04.0",
    ]  # fmt: skip


def test_an_ivrs_too() -> None:
    assert names(decode_table(IVRS)) == [
        "48 bit", "64 bit", "IVHD 0x11 0000:00:00.2 0xfeb80000 IotlbSup",
        "IVMD 03:00.0-03:00.7 0xbf000000+0x100000 Unity IR IW",
        "IVMD all 0x1000+0x1000 ExclusionRange",
    ]  # fmt: skip


@given(
    which=st.sampled_from((DMAR, IVRS)),
    changes=st.lists(st.tuples(st.integers(4, 200), st.integers(0, 255)), max_size=8),
    cut=st.integers(0, 300),
    tail=st.binary(max_size=40),
)
def test_no_table_makes_it_fail(
    which: bytes, changes: list[tuple[int, int]], cut: int, tail: bytes
) -> None:
    data = bytearray(which[:cut] + tail)
    for place, value in changes:
        if place < len(data):
            data[place] = value
    try:
        found = decode_table(bytes(data))
    except NotDecodableError:
        return
    assert len(found.parts) < 500
    assert list(render_decoded(found, Catalog("zh_CN")))


def test_a_broken_entry_is_told_and_ends_it() -> None:
    found = decode_table(DMAR[:-3])
    assert [part.meaning for part in found.parts[-2:]] == [
        "decode.table.broken", "decode.table.cut",
    ]  # fmt: skip
