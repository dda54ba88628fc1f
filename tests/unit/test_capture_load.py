"""A capture is somebody else's file: compressed or nested, it cannot fill the memory."""

from __future__ import annotations

import gzip
import json
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostpci.cli.main import main
from hostpci.errors import CorruptError
from hostpci.host.capture import load_capture

from ..hosts import RecordedHost

HOST = json.dumps(RecordedHost().data).encode()


def test_a_compressed_capture_is_read(tmp_path: Path) -> None:
    path = tmp_path / "host.json.gz"
    path.write_bytes(gzip.compress(HOST))
    assert load_capture(str(path)) == json.loads(HOST) | {"digests": {}} | json.loads(HOST)


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(b" " * ((64 << 20) + 1)),
        gzip.compress(HOST)[:-400],
        b"\x1f\x8bnonsense",
        b"[" + b"[]," * 4_000_000 + b"[]]",
        b'{"a":' * 60 + b"1" + b"}" * 60,
        b"[" * 60 + b"]" * 60,
    ],
    ids=["bomb", "cut", "nonsense", "many values", "deep objects", "deep lists"],
)
def test_what_would_fill_the_memory_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "host.json"
    path.write_bytes(content)
    with pytest.raises(CorruptError) as caught:
        load_capture(str(path))
    assert caught.value.code == "capture-corrupt"


PIECES = st.lists(
    st.tuples(st.integers(0, len(HOST)), st.integers(0, 40), st.binary(max_size=12)), max_size=6
)


@settings(max_examples=40, deadline=None)
@given(pieces=PIECES)
def test_a_damaged_capture_ends_in_words_of_ours(
    pieces: list[tuple[int, int, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = HOST
    for at, length, instead in pieces:
        content = content[:at] + instead + content[at + length :]
    path = tmp_path_factory.mktemp("fuzz") / "host.json"
    path.write_bytes(content)
    for words in (["check", "01:00"], ["plan"], ["history"], ["capture", "--preview"]):
        assert main([*words, f"--host={path}"]) in {0, 2, 3, 4, 5, 10}, words


def test_a_preview_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    host, out = tmp_path / "host.json", tmp_path / "out.json"
    host.write_bytes(HOST)
    assert main(["capture", "--preview", f"--host={host}", "-o", str(out), "--lang=en"]) == 0
    said = capsys.readouterr().out
    assert "/etc/default/grub" in said
    assert "Replaced in it: " in said
    assert not out.exists()


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    host, out = tmp_path / "host.json", tmp_path / "out.json.gz"
    host.write_bytes(HOST)
    assert main(["capture", f"--host={host}", "-o", str(out)]) == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    before = out.read_bytes()
    assert load_capture(str(out))["schema"] == "hostpci.capture/1"
    assert main(["capture", f"--host={host}", "-o", str(out)]) == 2
    assert out.read_bytes() == before
