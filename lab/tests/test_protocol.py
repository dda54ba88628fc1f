from __future__ import annotations

import errno
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import tables
from lab.cards import protocol
from lab.cards.device import Device, Event
from lab.cards.protocol import Command, MalformedError, Message
from lab.cards.server import handle


def device() -> Device:
    reports: list[Event] = []
    return Device(tables.card("rtx5060ti").functions[0], report=reports.append)


def message(command: int, payload: bytes = b"", *, flags: int = 0) -> Message:
    return Message(ident=7, command=command, flags=flags, payload=payload)


def wire(sent: Message) -> bytes:
    size = protocol.HEADER.size + len(sent.payload)
    return protocol.HEADER.pack(sent.ident, sent.command, size, sent.flags, 0) + sent.payload


def error_of(answer: bytes | None) -> int:
    assert answer is not None
    _, _, _, flags, number = protocol.HEADER.unpack_from(answer)
    assert bool(flags & 0x20) == (number != 0)
    return int(number)


@given(st.binary(max_size=200), st.integers(0, 200))
def test_a_message_is_cut_off_only_when_it_is_whole(payload: bytes, held_back: int) -> None:
    whole = wire(message(Command.REGION_WRITE, payload))
    arrived = bytearray(whole[: max(0, len(whole) - held_back)])
    taken = protocol.take_message(arrived)
    if held_back:
        assert taken is None
    else:
        assert taken == message(Command.REGION_WRITE, payload)
        assert not arrived


def test_two_messages_in_one_buffer_are_taken_one_by_one() -> None:
    buffer = bytearray(
        wire(message(Command.DEVICE_RESET)) + wire(message(Command.VERSION, b"abcd"))
    )
    first, second = protocol.take_message(buffer), protocol.take_message(buffer)
    assert first is not None
    assert second is not None
    assert (first.command, second.payload) == (Command.DEVICE_RESET, b"abcd")
    assert protocol.take_message(buffer) is None


@pytest.mark.parametrize("size", [0, 15, protocol.MAX_MESSAGE_BYTES + 1, 0xFFFFFFFF])
def test_a_size_that_cannot_be_followed_ends_the_stream(size: int) -> None:
    buffer = bytearray(protocol.HEADER.pack(1, Command.REGION_READ, size, 0, 0))
    with pytest.raises(MalformedError):
        protocol.take_message(buffer)


@given(command=st.integers(0, 0xFFFF), payload=st.binary(max_size=80))
def test_no_payload_of_any_command_gets_anything_but_an_answer(
    command: int, payload: bytes
) -> None:
    answer = handle(device(), message(command, payload))
    assert answer is not None
    ident, answered, size, flags, _ = protocol.HEADER.unpack_from(answer)
    assert (ident, answered, size) == (7, command, len(answer))
    assert flags & 0xF == 1


@given(
    command=st.sampled_from([Command.REGION_READ, Command.REGION_WRITE]),
    offset=st.integers(0, 2**64 - 1),
    region=st.integers(0, 2**32 - 1),
    size=st.integers(0, 2**32 - 1),
    data=st.binary(max_size=16),
)
def test_no_access_leaves_its_region(
    command: Command, offset: int, region: int, size: int, data: bytes
) -> None:
    under_test = device()
    payload = struct.pack("<QII", offset, region, size)
    is_write = command == Command.REGION_WRITE
    answer = handle(under_test, message(command, payload + (data if is_write else b"")))
    room = under_test.region_size_bytes(region)
    inside = room > 0 and offset + size <= room
    if not inside or (is_write and size != len(data)) or size > protocol.MAX_TRANSFER_BYTES:
        assert error_of(answer) == errno.EINVAL


def test_a_posted_write_gets_no_answer_even_when_it_is_wrong() -> None:
    assert handle(device(), message(Command.REGION_WRITE, b"short", flags=0x10)) is None


def test_the_version_answer_is_json_ending_in_nul() -> None:
    answer = handle(device(), message(Command.VERSION, struct.pack("<HH", 0, 3) + b"{}\0"))
    assert answer is not None
    text = answer[protocol.HEADER.size + 4 :]
    assert text.endswith(b"\0")
    assert json.loads(text[:-1])["capabilities"]["max_msg_fds"] == protocol.MAX_FDS


def test_another_major_version_is_refused() -> None:
    assert error_of(handle(device(), message(Command.VERSION, b"\1\0\0\0"))) == errno.ENOTSUP


def test_device_info_is_exactly_sixteen_bytes() -> None:
    answer = handle(device(), message(Command.DEVICE_GET_INFO, bytes(16)))
    assert answer is not None
    assert answer[protocol.HEADER.size :] == struct.pack("<IIII", 16, 3, 9, 5)


def test_several_writes_in_one_message_all_arrive() -> None:
    entries = b"".join(
        struct.pack("<QII8s", 0x100 + 4 * number, 0, 4, bytes([number] * 4)) for number in range(3)
    )
    under_test = device()
    sent = message(Command.REGION_WRITE_MULTI, struct.pack("<Q", 3) + entries)
    assert error_of(handle(under_test, sent)) == 0
    assert under_test.read(0, 0x100, 12) == b"\0\0\0\0\1\1\1\1\2\2\2\2"


def test_a_count_of_writes_that_lies_is_refused() -> None:
    sent = message(Command.REGION_WRITE_MULTI, struct.pack("<Q", 2**61) + bytes(24))
    assert error_of(handle(device(), sent)) == errno.EINVAL
