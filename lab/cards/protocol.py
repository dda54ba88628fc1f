"""The vfio-user protocol's messages, as bytes.

Specification: QEMU's docs/interop/vfio-user.rst. Everything here is a pure function; what a
client sends is untrusted, so every length is checked before it is used.
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass
from enum import IntEnum

HEADER = struct.Struct("<HHIII")
MAX_TRANSFER_BYTES = 1 << 20
# The largest valid message is a write of MAX_TRANSFER_BYTES; room for its structs on top.
MAX_MESSAGE_BYTES = MAX_TRANSFER_BYTES + 4096
MAX_FDS = 8

_TYPE_MASK, _TYPE_COMMAND, _TYPE_REPLY = 0xF, 0, 1
_FLAG_NO_REPLY, _FLAG_ERROR = 0x10, 0x20

_VERSION = struct.Struct("<HH")
_DEVICE_INFO = struct.Struct("<IIII")
_REGION_INFO = struct.Struct("<IIIIQQ")
_IRQ_INFO = struct.Struct("<IIII")
_REGION_ACCESS = struct.Struct("<QII")
_DMA_UNMAP = struct.Struct("<IIQQ")
_COUNT = struct.Struct("<Q")
_MULTI_ENTRY = struct.Struct("<QII8s")

CAPABILITIES = b'{"capabilities":{"max_msg_fds":%d,"max_data_xfer_size":%d}}\0' % (
    MAX_FDS,
    MAX_TRANSFER_BYTES,
)


class Command(IntEnum):
    """The commands a client sends; the numbers are the protocol's."""

    VERSION = 1
    DMA_MAP = 2
    DMA_UNMAP = 3
    DEVICE_GET_INFO = 4
    DEVICE_GET_REGION_INFO = 5
    DEVICE_GET_IRQ_INFO = 7
    DEVICE_SET_IRQS = 8
    REGION_READ = 9
    REGION_WRITE = 10
    DEVICE_RESET = 13
    REGION_WRITE_MULTI = 15


class MalformedError(Exception):
    """A message that cannot be carried out; the client gets `number` as its error."""

    def __init__(self, text: str, *, number: int = errno.EINVAL) -> None:
        super().__init__(text)
        self.number = number


@dataclass(frozen=True, kw_only=True)
class Message:
    """One whole message from a client."""

    ident: int
    command: int
    flags: int
    payload: bytes

    @property
    def wants_reply(self) -> bool:
        """Posted writes ask for no reply, not even for an error."""
        return not self.flags & _FLAG_NO_REPLY


@dataclass(frozen=True, kw_only=True)
class Write:
    """One write to a region."""

    region: int
    offset: int
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Read:
    """One read from a region."""

    region: int
    offset: int
    size_bytes: int


def take_message(buffer: bytearray) -> Message | None:
    """Cut the first whole message off the buffer; None while it is not whole.

    Raises MalformedError where the stream cannot be followed any longer.
    """
    if len(buffer) < HEADER.size:
        return None
    ident, command, size_bytes, flags, _ = HEADER.unpack_from(buffer)
    if not HEADER.size <= size_bytes <= MAX_MESSAGE_BYTES:
        raise MalformedError(f"a message of {size_bytes} bytes")
    if len(buffer) < size_bytes:
        return None
    payload = bytes(buffer[HEADER.size : size_bytes])
    del buffer[:size_bytes]
    if flags & _TYPE_MASK != _TYPE_COMMAND:
        raise MalformedError("a reply where a command belongs")
    return Message(ident=ident, command=command, flags=flags, payload=payload)


def reply(message: Message, payload: bytes = b"", *, error: int = 0) -> bytes:
    """The bytes of an answer; with `error`, an errno instead of a result."""
    flags = _TYPE_REPLY | (_FLAG_ERROR if error else 0)
    header = HEADER.pack(message.ident, message.command, HEADER.size + len(payload), flags, error)
    return header + payload


def version_reply(message: Message) -> bytes:
    """We speak version 0.0 and offer nothing optional."""
    _need(message, _VERSION.size)
    major, _ = _VERSION.unpack_from(message.payload)
    if major != 0:
        raise MalformedError(f"protocol version {major}", number=errno.ENOTSUP)
    return reply(message, _VERSION.pack(0, 0) + CAPABILITIES)


def device_info_reply(message: Message, *, regions: int, irqs: int) -> bytes:
    """A PCI device (flag 2) that can be reset (flag 1)."""
    return reply(message, _DEVICE_INFO.pack(_DEVICE_INFO.size, 0x3, regions, irqs))


def asked_index(message: Message) -> int:
    """The region or interrupt that an info request is about: third word of both structs."""
    _need(message, 12)
    index: int = struct.unpack_from("<I", message.payload, 8)[0]
    return index


def region_info_reply(message: Message, *, index: int, size_bytes: int) -> bytes:
    """Readable and writable where it exists; never mappable, so that every access is ours."""
    flags = 0x3 if size_bytes else 0
    info = _REGION_INFO.pack(_REGION_INFO.size, flags, index, 0, size_bytes, 0)
    return reply(message, info)


def irq_info_reply(message: Message, *, index: int, count: int) -> bytes:
    """Interrupts are signalled by eventfd (flag 1)."""
    return reply(message, _IRQ_INFO.pack(_IRQ_INFO.size, 1 if count else 0, index, count))


def dma_unmap_reply(message: Message) -> bytes:
    """DMA_UNMAP is answered by the request's own struct."""
    _need(message, _DMA_UNMAP.size)
    return reply(message, message.payload[: _DMA_UNMAP.size])


def read_request(message: Message) -> Read:
    """The read that a REGION_READ asks for."""
    _need(message, _REGION_ACCESS.size)
    offset, region, size_bytes = _REGION_ACCESS.unpack_from(message.payload)
    if size_bytes > MAX_TRANSFER_BYTES:
        raise MalformedError(f"a read of {size_bytes} bytes")
    return Read(region=region, offset=offset, size_bytes=size_bytes)


def read_reply(message: Message, data: bytes) -> bytes:
    """The request's struct, then the data."""
    return reply(message, message.payload[: _REGION_ACCESS.size] + data)


def write_request(message: Message) -> Write:
    """The write that a REGION_WRITE asks for."""
    _need(message, _REGION_ACCESS.size)
    offset, region, size_bytes = _REGION_ACCESS.unpack_from(message.payload)
    data = message.payload[_REGION_ACCESS.size :]
    if len(data) != size_bytes:
        raise MalformedError(f"a write of {size_bytes} bytes that carries {len(data)}")
    return Write(region=region, offset=offset, data=data)


def write_reply(message: Message) -> bytes:
    """The request's struct without the data."""
    return reply(message, message.payload[: _REGION_ACCESS.size])


def multi_write_request(message: Message) -> list[Write]:
    """The writes of a REGION_WRITE_MULTI, which QEMU 11 sends for posted writes."""
    _need(message, _COUNT.size)
    (count,) = _COUNT.unpack_from(message.payload)
    if len(message.payload) != _COUNT.size + count * _MULTI_ENTRY.size:
        raise MalformedError(f"{count} writes do not fit {len(message.payload)} bytes")
    writes = []
    entries = _MULTI_ENTRY.iter_unpack(message.payload[_COUNT.size :])
    for offset, region, size_bytes, data in entries:
        if size_bytes > len(data):
            raise MalformedError(f"a write of {size_bytes} bytes in a slot of {len(data)}")
        writes.append(Write(region=region, offset=offset, data=data[:size_bytes]))
    return writes


def multi_write_reply(message: Message) -> bytes:
    """The number of writes."""
    return reply(message, message.payload[: _COUNT.size])


def _need(message: Message, size_bytes: int) -> None:
    if len(message.payload) < size_bytes:
        raise MalformedError(f"{len(message.payload)} bytes where {size_bytes} are needed")
