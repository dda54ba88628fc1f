from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.cards import protocol
from lab.cards.protocol import Command

REPOSITORY = Path(__file__).resolve().parents[2]


@contextmanager
def served(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    argv = [
        sys.executable, "-m", "lab.cards", "--card", "rtx5060ti",
        "--sockets", str(folder / "card"), "--log", str(folder / "log"),
    ]  # fmt: skip
    with subprocess.Popen(argv, cwd=REPOSITORY) as server:
        try:
            deadline = time.monotonic() + 20
            while not (folder / "card.1").exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            yield server
        finally:
            server.terminate()


def ask(peer: socket.socket, command: int, payload: bytes = b"") -> tuple[int, bytes]:
    size = protocol.HEADER.size + len(payload)
    peer.sendall(protocol.HEADER.pack(1, command, size, 0, 0) + payload)
    answer = peer.recv(65536)
    return protocol.HEADER.unpack_from(answer)[4], answer[protocol.HEADER.size :]


def connected(path: Path) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(10)
    peer.connect(str(path))
    return peer


def test_both_functions_are_served_logged_and_outlive_a_bad_client(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        with connected(tmp_path / "card.0") as rude:
            rude.sendall(protocol.HEADER.pack(1, Command.VERSION, 3, 0, 0))
            assert rude.recv(16) == b""
        with connected(tmp_path / "card.0") as gpu, connected(tmp_path / "card.1") as audio:
            assert ask(gpu, Command.DEVICE_RESET) == (0, b"")
            assert ask(audio, 999)[0] != 0
            assert ask(audio, Command.DEVICE_RESET) == (0, b"")
        assert server.poll() is None
    events = [line.split(maxsplit=1)[1] for line in (tmp_path / "log").read_text().splitlines()]
    assert "0 REJECTED a message of 3 bytes" in events
    assert "0 RESET" in events
    assert "1 RESET" in events


def test_descriptors_that_come_along_are_closed(tmp_path: Path) -> None:
    with served(tmp_path) as server, connected(tmp_path / "card.0") as peer:
        folder = Path(f"/proc/{server.pid}/fd")
        ask(peer, Command.DEVICE_RESET)
        before = len(list(folder.iterdir()))
        header = protocol.HEADER.pack(1, Command.DMA_MAP, protocol.HEADER.size + 32, 0, 0)
        for _ in range(5):
            descriptor = os.open(os.devnull, os.O_RDONLY)
            socket.send_fds(peer, [header + bytes(32)], [descriptor])
            os.close(descriptor)
            peer.recv(65536)
        assert len(list(folder.iterdir())) == before
