"""A host in one file: what the readers read, recorded once and replayed anywhere.

Format ``hostpci.capture/1`` (JSON): ``files`` path -> text, ``binary`` path -> base64,
``links`` path -> target, ``directories`` path -> names, ``times`` path -> ns, ``exists`` path ->
bool, ``errors`` path -> errno name (ENOENT says the path is absent), ``holders``, ``commands``,
``digests`` path -> SHA-256 of the file before it was redacted (older captures have none).
A path that stands nowhere was not looked at, which is not the same as absent.
"""

from __future__ import annotations

import errno
import json
import os

from ..errors import CorruptError, UsageError
from .root import NotCapturedError, Root, regular_only

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SCHEMA = "hostpci.capture/1"
_MAX_BYTES = 64 << 20
# A file of empty lists would take thirty times its size in memory
_MAX_VALUES = 4_000_000
_MAX_DEPTH = 40
_GZIP = b"\x1f\x8b"
_TEXT_MAPS = ("files", "binary", "links", "errors")
_LIST_MAPS = ("directories", "holders")


class CaptureRoot(Root):
    """Replays a capture. ``data`` was checked by ``load_capture``."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    def _recorded(self, section: str, path: str) -> Any:  # noqa: ANN401  (JSON)
        found = self.data[section].get(path)
        if found is not None:
            return found
        self._raise_recorded_error(path)
        raise NotCapturedError(path)

    def _raise_recorded_error(self, path: str) -> None:
        name = self.data["errors"].get(path)
        if name is not None:
            number = getattr(errno, name, None)
            # The module holds more than numbers, and a capture may say any word
            number = number if isinstance(number, int) else errno.EIO
            raise OSError(number, os.strerror(number), path)

    def read_bytes(self, path: str) -> bytes:
        if path in self.data["binary"]:
            import base64

            return base64.b64decode(self.data["binary"][path])
        text: str = self._recorded("files", path)
        return text.encode("utf-8", "surrogatepass")

    def read_text(self, path: str) -> str:
        if path in self.data["files"]:
            text: str = self.data["files"][path]
            return text
        return super().read_text(path)

    def digest(self, path: str) -> str:
        """Of the file as it was: what the capture holds of it is redacted."""
        found: str | None = self.data.get("digests", {}).get(path)
        return super().digest(path) if found is None else found

    def list_directory(self, path: str) -> tuple[str, ...]:
        return tuple(self._recorded("directories", path))

    def read_link(self, path: str) -> str:
        target: str = self._recorded("links", path)
        return target

    def exists(self, path: str) -> bool:
        found: bool | None = self.data["exists"].get(path)
        if found is not None:
            return found
        if any(path in self.data[kind] for kind in ("files", "binary", "directories", "links")):
            return True
        if self.data["errors"].get(path) in {"ENOENT", "ENOTDIR"}:
            return False
        self._raise_recorded_error(path)
        raise NotCapturedError(path)

    def modified_ns(self, path: str) -> int:
        stamp: int = self._recorded("times", path)
        return stamp

    def device_holders(self) -> dict[str, tuple[str, ...]]:
        return {path: tuple(names) for path, names in self.data["holders"].items()}


def load_capture(path: str) -> dict[str, Any]:
    """Read and check a capture file: somebody else wrote it, so nothing in it is believed.

    Raises UsageError if there is no such file, CorruptError if it is no capture.
    """
    try:
        if os.path.getsize(path) > _MAX_BYTES:
            raise CorruptError("capture-corrupt", path=path, reason="larger than 64 MiB")
        with open(path, "rb", opener=regular_only) as stream:
            data = _parsed(stream.read(_MAX_BYTES + 1))
        _check(data)
    except OSError as error:
        raise UsageError("no-such-file", path=path, reason=error.strerror) from error
    except (ValueError, RecursionError) as error:
        raise CorruptError("capture-corrupt", path=path, reason=str(error)[:200]) from error
    checked: dict[str, Any] = data
    return checked


def _parsed(raw: bytes) -> Any:  # noqa: ANN401  (JSON)
    """JSON, compressed or not, that cannot fill the memory. Raises ValueError."""
    if raw.startswith(_GZIP):
        raw = _unpacked(raw)
    if len(raw) > _MAX_BYTES:
        raise ValueError("larger than 64 MiB")
    if sum(raw.count(sign) for sign in (b"[", b"{", b",")) > _MAX_VALUES:
        raise ValueError(f"more than {_MAX_VALUES} values")
    data = json.loads(raw.decode("utf-8"))
    _check_depth(data)
    return data


def _unpacked(raw: bytes) -> bytes:
    import zlib

    unpacker = zlib.decompressobj(wbits=31)  # gzip
    try:
        return unpacker.decompress(raw, _MAX_BYTES + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error


def _check_depth(data: Any) -> None:  # noqa: ANN401  (JSON)
    level = [data]
    for _ in range(_MAX_DEPTH):
        inner = [each for each in level if isinstance(each, dict | list)]
        if not inner:
            return
        level = [
            value for each in inner for value in (each.values() if isinstance(each, dict) else each)
        ]
    raise ValueError(f"nested deeper than {_MAX_DEPTH}")


def _check(data: Any) -> None:  # noqa: ANN401  (JSON)
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise ValueError(f"not a {SCHEMA} document")
    for section in (*_TEXT_MAPS, *_LIST_MAPS, "times", "exists"):
        if not isinstance(data.get(section), dict):
            raise ValueError(f"{section}: expected an object")  # noqa: TRY004
        for path in data[section]:
            _check_path(section, path)
    if not isinstance(data.setdefault("digests", {}), dict):
        raise ValueError("digests: expected an object")  # noqa: TRY004
    for section in (*_TEXT_MAPS, "digests"):
        _check_values(section, data[section], _is_text)
    for section in _LIST_MAPS:
        _check_values(section, data[section], _is_text_list)
    _check_values("times", data["times"], lambda value: type(value) is int)
    _check_values("exists", data["exists"], lambda value: type(value) is bool)
    _check_commands(data.get("commands"))
    _check_base64(data["binary"])


def _check_path(section: str, path: str) -> None:
    if not path.startswith("/") or "\0" in path or ".." in path.split("/"):
        raise ValueError(f"{section}: {path!r} is not an absolute path")


def _check_values(section: str, values: dict[str, Any], is_good: Any) -> None:  # noqa: ANN401
    for path, value in values.items():
        if not is_good(value):
            raise ValueError(f"{section}: {path}: unexpected value")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_text_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _check_commands(commands: Any) -> None:  # noqa: ANN401  (JSON)
    if not isinstance(commands, list):
        raise ValueError("commands: expected a list")  # noqa: TRY004
    for each in commands:
        if not isinstance(each, dict) or set(each) != {"argv", "stdout"}:
            raise ValueError("commands: expected argv and stdout")
        if not _is_text_list(each["argv"]) or not _is_text(each["stdout"]):
            raise ValueError("commands: unexpected value")


def _check_base64(binary: dict[str, str]) -> None:
    if binary:
        import base64

        for text in binary.values():
            base64.b64decode(text, validate=True)
