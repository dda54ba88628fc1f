"""Serves the functions of one card, each on a UNIX socket of its own, in one process.

It waits in the kernel while nobody asks for anything, so idle cards cost no processor time.
"""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections.abc import Callable
from pathlib import Path

from lab.cards import protocol
from lab.cards.device import IRQ_COUNT, REGION_COUNT, Device, Event
from lab.cards.protocol import Command, MalformedError, Message
from lab.tables import Card

_RECEIVE_BYTES = 1 << 16
# A client that does not take its answers is dropped; it must not stop the other functions.
_SEND_TIMEOUT_S = 10


def handle(device: Device, message: Message) -> bytes | None:
    """Carry one message out; the answer's bytes, or None when none is wanted."""
    try:
        answer = _ACTIONS.get(message.command, _unknown)(device, message)
    except MalformedError as error:
        answer = protocol.reply(message, error=error.number)
    return answer if message.wants_reply else None


def _unknown(_: Device, message: Message) -> bytes:
    raise MalformedError(f"command {message.command}")


def _version(_: Device, message: Message) -> bytes:
    return protocol.version_reply(message)


def _accept(_: Device, message: Message) -> bytes:
    # DMA_MAP and SET_IRQS: this card neither reads memory nor interrupts. The descriptors that
    # came along were closed on arrival.
    return protocol.reply(message)


def _dma_unmap(_: Device, message: Message) -> bytes:
    return protocol.dma_unmap_reply(message)


def _device_info(_: Device, message: Message) -> bytes:
    return protocol.device_info_reply(message, regions=REGION_COUNT, irqs=IRQ_COUNT)


def _region_info(device: Device, message: Message) -> bytes:
    index = protocol.asked_index(message)
    if index >= REGION_COUNT:
        raise MalformedError(f"region {index}")
    size_bytes = device.region_size_bytes(index)
    return protocol.region_info_reply(message, index=index, size_bytes=size_bytes)


def _irq_info(device: Device, message: Message) -> bytes:
    index = protocol.asked_index(message)
    if index >= IRQ_COUNT:
        raise MalformedError(f"interrupt {index}")
    return protocol.irq_info_reply(message, index=index, count=device.irq_count(index))


def _read(device: Device, message: Message) -> bytes:
    wanted = protocol.read_request(message)
    data = device.read(wanted.region, wanted.offset, wanted.size_bytes)
    return protocol.read_reply(message, data)


def _write(device: Device, message: Message) -> bytes:
    wanted = protocol.write_request(message)
    device.write(wanted.region, wanted.offset, wanted.data)
    return protocol.write_reply(message)


def _multi_write(device: Device, message: Message) -> bytes:
    for wanted in protocol.multi_write_request(message):
        device.write(wanted.region, wanted.offset, wanted.data)
    return protocol.multi_write_reply(message)


def _reset(device: Device, message: Message) -> bytes:
    device.reset()
    return protocol.reply(message)


_ACTIONS: dict[int, Callable[[Device, Message], bytes]] = {
    Command.VERSION: _version,
    Command.DMA_MAP: _accept,
    Command.DMA_UNMAP: _dma_unmap,
    Command.DEVICE_GET_INFO: _device_info,
    Command.DEVICE_GET_REGION_INFO: _region_info,
    Command.DEVICE_GET_IRQ_INFO: _irq_info,
    Command.DEVICE_SET_IRQS: _accept,
    Command.REGION_READ: _read,
    Command.REGION_WRITE: _write,
    Command.DEVICE_RESET: _reset,
    Command.REGION_WRITE_MULTI: _multi_write,
}


class CardLog:
    """Lines of `UNIX-TIME FUNCTION EVENT`, for scenarios to read while the card runs."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("a", encoding="utf-8", buffering=1)

    def note(self, function: int, text: str) -> None:
        """Write one line, at once."""
        self._stream.write(f"{time.time():.3f} {function} {text}\n")


class _Connection:
    def __init__(self, peer: socket.socket, device: Device) -> None:
        peer.settimeout(_SEND_TIMEOUT_S)
        self._peer = peer
        self._device = device
        self._buffer = bytearray()

    def serve(self) -> bool:
        """Answer what has arrived; False when the client is gone."""
        data, descriptors, _, _ = socket.recv_fds(self._peer, _RECEIVE_BYTES, protocol.MAX_FDS)
        for descriptor in descriptors:
            os.close(descriptor)
        self._buffer += data
        while (message := protocol.take_message(self._buffer)) is not None:
            answer = handle(self._device, message)
            if answer is not None:
                self._peer.sendall(answer)
        return bool(data)


class Server:
    """All functions of one card."""

    def __init__(self, card: Card, *, sockets: Path, log: CardLog) -> None:
        self._log = log
        self._selector = selectors.DefaultSelector()
        for function in card.functions:
            number = function.number
            device = Device(function, report=self._reporter(number))
            self._listen(sockets.with_name(f"{sockets.name}.{number}"), number, device)

    def _reporter(self, number: int) -> Callable[[Event], None]:
        return lambda event: self._log.note(number, event.value)

    def _listen(self, path: Path, number: int, device: Device) -> None:
        listener = socket.socket(socket.AF_UNIX)
        # Bound under another name first: a socket that exists can be connected to.
        unready = path.with_name(f"{path.name}.unready")
        listener.bind(str(unready))
        listener.listen(1)
        unready.rename(path)
        self._selector.register(
            listener, selectors.EVENT_READ, lambda: self._accept(listener, number, device)
        )

    def _accept(self, listener: socket.socket, number: int, device: Device) -> None:
        peer, _ = listener.accept()
        connection = _Connection(peer, device)
        self._log.note(number, "CONNECTED")
        self._selector.register(
            peer, selectors.EVENT_READ, lambda: self._serve(peer, number, connection)
        )

    def _serve(self, peer: socket.socket, number: int, connection: _Connection) -> None:
        try:
            alive = connection.serve()
        except MalformedError as error:
            # Only from a stream that cannot be followed any longer.
            self._log.note(number, f"REJECTED {error}")
            alive = False
        except OSError as error:
            self._log.note(number, f"LOST {error}")
            alive = False
        if not alive:
            self._selector.unregister(peer)
            peer.close()
            self._log.note(number, "DISCONNECTED")

    def run(self) -> None:
        """Serve until the process is ended."""
        while True:
            for key, _ in self._selector.select():
                key.data()
