from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import tables
from lab.cards.device import CONFIG_BYTES, CONFIG_REGION, ROM_REGION, Device, Event
from lab.cards.protocol import MalformedError
from lab.tables import Bar, Function

ALL_ONES = b"\xff\xff\xff\xff"


def make(*, bars: tuple[Bar, ...] = (), resets: tuple[str, ...] = ("flr",)) -> Function:
    return Function(
        number=0, vendor=0x10DE, device=0x2D04, subsystem_vendor=0x10B0, subsystem_device=0x205E,
        class_code=0x030000, revision=0xA1, capabilities=("pm", "msi", "pcie"), resets=resets,
        bars=bars,
    )  # fmt: skip


def device(function: Function) -> tuple[Device, list[Event]]:
    events: list[Event] = []
    return Device(function, report=events.append), events


def config(under_test: Device, offset: int, form: str) -> int:
    data = under_test.read(CONFIG_REGION, offset, struct.calcsize(form))
    value: int = struct.unpack(form, data)[0]
    return value


def test_the_header_says_what_the_table_says() -> None:
    under_test, _ = device(tables.card("rtx5060ti").functions[0])
    assert config(under_test, 0x00, "<I") == 0x2D0410DE
    assert config(under_test, 0x08, "<I") == 0x030000A1
    assert config(under_test, 0x2C, "<I") == 0x205E10B0


def test_identity_cannot_be_written() -> None:
    under_test, _ = device(make())
    under_test.write(CONFIG_REGION, 0, ALL_ONES)
    assert config(under_test, 0, "<I") == 0x2D0410DE


@given(st.integers(4, 31))
def test_a_32_bit_bar_answers_all_ones_with_its_size(bits: int) -> None:
    bar = Bar(
        index=0, size_bytes=1 << bits, is_io=False, is_64bit=False, is_prefetchable=False,
        registers=(),
    )  # fmt: skip
    under_test, _ = device(make(bars=(bar,)))
    under_test.write(CONFIG_REGION, 0x10, ALL_ONES)
    answer = config(under_test, 0x10, "<I")
    assert (~(answer & ~0xF) & 0xFFFFFFFF) + 1 == 1 << bits


@given(st.integers(4, 40))
def test_a_64_bit_bar_answers_in_both_halves(bits: int) -> None:
    bar = Bar(
        index=1, size_bytes=1 << bits, is_io=False, is_64bit=True, is_prefetchable=True,
        registers=(),
    )  # fmt: skip
    under_test, _ = device(make(bars=(bar,)))
    under_test.write(CONFIG_REGION, 0x14, ALL_ONES)
    under_test.write(CONFIG_REGION, 0x18, ALL_ONES)
    answer = config(under_test, 0x14, "<Q")
    assert answer & 0xF == 0xC
    assert (~(answer & ~0xF) & 0xFFFFFFFFFFFFFFFF) + 1 == 1 << bits


def test_the_capability_list_is_whole_and_ends() -> None:
    under_test, _ = device(make())
    found, at = [], config(under_test, 0x34, "<B")
    while at:
        found.append(config(under_test, at, "<B"))
        at = config(under_test, at + 1, "<B")
    assert found == [0x01, 0x05, 0x10]


def test_a_function_level_reset_clears_registers_and_settings() -> None:
    under_test, events = device(tables.card("rtx5060ti").functions[0])
    under_test.write(0, 0x200, b"stale")
    under_test.write(CONFIG_REGION, 0x04, b"\x07\x00")
    under_test.write(CONFIG_REGION, 0x80, b"\x30\xa9")
    assert events == [Event.FLR]
    assert under_test.read(0, 0x200, 5) == bytes(5)
    assert config(under_test, 0x04, "<H") == 0
    assert config(under_test, 0x80, "<H") == 0x2930
    assert under_test.read(0, 0, 4) == struct.pack("<I", 0x1B6000A1)


def test_a_card_without_flr_ignores_the_bit() -> None:
    under_test, events = device(make(resets=()))
    under_test.write(CONFIG_REGION, 0x80, b"\x30\xa9")
    assert events == []
    assert not config(under_test, 0x7C, "<I") & 1 << 28


def test_leaving_d3hot_resets_only_a_card_that_says_so() -> None:
    for resets, expected in ((("flr",), []), (("pm",), [Event.PM_RESET])):
        under_test, events = device(make(resets=resets))
        under_test.write(CONFIG_REGION, 0x64, b"\x03\x00")
        under_test.write(CONFIG_REGION, 0x64, b"\x00\x00")
        assert events == expected


def test_error_bits_are_cleared_by_writing_one() -> None:
    under_test, _ = device(make())
    under_test.write(CONFIG_REGION, 0x06, b"\xff\xff")
    assert config(under_test, 0x06, "<H") == 0x0010


@given(st.integers(0, 2**64 - 1), st.integers(1, 8))
def test_nothing_outside_the_config_space_is_touched(offset: int, size: int) -> None:
    under_test, _ = device(make())
    if offset + size <= CONFIG_BYTES:
        assert len(under_test.read(CONFIG_REGION, offset, size)) == size
        return
    with pytest.raises(MalformedError):
        under_test.read(CONFIG_REGION, offset, size)
    with pytest.raises(MalformedError):
        under_test.write(CONFIG_REGION, offset, bytes(size))


def test_a_greedy_client_cannot_fill_the_memory() -> None:
    under_test, _ = device(tables.card("rtx5060ti").functions[0])
    for page in range(5000):
        under_test.write(1, page * 4096, b"x")
    assert under_test.read(1, 4999 * 4096, 1) == b"\0"


def test_a_card_with_the_reset_bug_is_silent_until_the_power_is_cut() -> None:
    under_test, events = device(tables.card("rtx5060ti-reset-bug").functions[0])
    under_test.write(CONFIG_REGION, 0x80, b"\x30\xa9")
    assert config(under_test, 0x00, "<I") == 0xFFFFFFFF
    assert under_test.read(0, 0, 4) == ALL_ONES
    under_test.write(CONFIG_REGION, 0x80, b"\x30\xa9")
    under_test.reset()
    assert events == [Event.FLR, Event.RESET]
    assert config(under_test, 0x00, "<I") == 0x2D0410DE


def test_a_controller_in_reset_forgets_its_registers() -> None:
    """What one driver left in them must be no answer for the next one."""
    under_test, events = device(tables.card("rtx5060ti").functions[1])
    under_test.write(0, 0x0E, b"\xff\x7f")
    under_test.write(0, 0x08, b"\x01\0\0\0")
    assert under_test.read(0, 0x0E, 2) == b"\xff\x7f"
    under_test.write(0, 0x08, b"\0\0\0\0")
    assert under_test.read(0, 0x0E, 2) == b"\0\0"
    assert events == []


BUS_RESET_BUG = "rtx4060-bus-reset-bug"


def test_a_function_that_dies_of_a_bus_reset_survives_the_power_being_switched_on() -> None:
    under_test, _ = device(tables.card(BUS_RESET_BUG).functions[0])
    under_test.reset()
    assert config(under_test, 0x00, "<I") == 0x288210DE
    under_test.write(CONFIG_REGION, 0x04, b"\x07\x00")
    under_test.reset()
    assert config(under_test, 0x00, "<I") == 0xFFFFFFFF
    under_test.reset()
    assert config(under_test, 0x00, "<I") == 0x288210DE


def test_a_function_that_never_wakes_up_is_silent_from_d3_on() -> None:
    under_test, _ = device(tables.card("rtx4060-sleeper").functions[0])
    under_test.write(CONFIG_REGION, 0x64, b"\x00\x00")
    assert config(under_test, 0x00, "<I") == 0x288210DE
    under_test.write(CONFIG_REGION, 0x64, b"\x03\x00")
    under_test.write(CONFIG_REGION, 0x64, b"\x00\x00")
    assert config(under_test, 0x00, "<I") == 0xFFFFFFFF


def test_an_option_rom_has_a_window_and_its_content() -> None:
    under_test, _ = device(tables.card("rtx4060-broken-rom").functions[0])
    under_test.write(CONFIG_REGION, 0x30, b"\xfe\xff\xff\xff")
    assert config(under_test, 0x30, "<I") == 0xFFFE0000
    assert under_test.read(ROM_REGION, 0, 6) == b"NVGI\0\0"
    under_test.write(ROM_REGION, 0, b"\x55\xaa")
    assert under_test.read(ROM_REGION, 0, 2) == b"NV"


def test_an_unreadable_option_rom_has_a_window_only() -> None:
    under_test, _ = device(tables.card("rtx4060-silent-rom").functions[0])
    under_test.write(CONFIG_REGION, 0x30, b"\xfe\xff\xff\xff")
    assert config(under_test, 0x30, "<I") == 0xFFFE0000
    assert under_test.region_size_bytes(ROM_REGION) == 0
    with pytest.raises(MalformedError):
        under_test.read(ROM_REGION, 0, 2)


def test_a_card_without_a_rom_has_no_window() -> None:
    under_test, _ = device(make())
    under_test.write(CONFIG_REGION, 0x30, ALL_ONES)
    assert config(under_test, 0x30, "<I") == 0
