"""A host in one file: what the readers read, recorded once and replayed anywhere.

Format ``hostpci.capture/1`` (JSON): ``files`` path -> text, ``binary`` path -> base64,
``links`` path -> target, ``directories`` path -> names, ``times`` path -> ns, ``errors`` path ->
errno name (ENOENT says the path is absent), ``holders``, ``commands``. A path that stands
nowhere was not looked at, which is not the same as absent.
"""

from __future__ import annotations

import errno
import os

from .root import Keep, NotCapturedError, Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")

SCHEMA = "hostpci.capture/1"
_ABSENT = (errno.ENOENT, errno.ENOTDIR)


class CaptureRoot(Root):
    """Replays a capture. ``data`` was checked by ``facts.capture.load``."""

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
            number = getattr(errno, name, errno.EIO)
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

    def list_directory(self, path: str) -> tuple[str, ...]:
        return tuple(self._recorded("directories", path))

    def read_link(self, path: str) -> str:
        target: str = self._recorded("links", path)
        return target

    def exists(self, path: str) -> bool:
        if any(path in self.data[kind] for kind in ("files", "binary", "directories", "links")):
            return True
        if self.data["errors"].get(path) in {"ENOENT", "ENOTDIR"}:
            return False
        raise NotCapturedError(path)

    def modified_ns(self, path: str) -> int:
        stamp: int = self._recorded("times", path)
        return stamp

    def device_holders(self) -> dict[str, tuple[str, ...]]:
        return {path: tuple(names) for path, names in self.data["holders"].items()}


class RecordingRoot(Root):
    """Passes every question on to another root and writes down question and answer."""

    def __init__(self, inner: Root) -> None:
        self.inner = inner
        self.is_live = inner.is_live
        self.data: dict[str, Any] = {
            "files": {}, "binary": {}, "links": {}, "directories": {},
            "times": {}, "errors": {}, "holders": {},
        }  # fmt: skip

    def _asked(self, path: str, question: Callable[[], T]) -> T:
        try:
            return question()
        except OSError as error:
            self.data["errors"][path] = errno.errorcode.get(error.errno or errno.EIO, "EIO")
            raise

    def read_bytes(self, path: str) -> bytes:
        import base64

        content = self._asked(path, lambda: self.inner.read_bytes(path))
        self.data["binary"][path] = base64.b64encode(content).decode("ascii")
        return content

    def read_text(self, path: str) -> str:
        text = self._asked(path, lambda: self.inner.read_text(path))
        self.data["files"][path] = text
        return text

    def filtered_lines(self, path: str, keep: Keep) -> tuple[str, ...]:
        lines = self._asked(path, lambda: self.inner.filtered_lines(path, keep))
        self.data["files"][path] = "".join(f"{line}\n" for line in lines)
        return lines

    def list_directory(self, path: str) -> tuple[str, ...]:
        names = self._asked(path, lambda: self.inner.list_directory(path))
        self.data["directories"][path] = list(names)
        return names

    def read_link(self, path: str) -> str:
        target = self._asked(path, lambda: self.inner.read_link(path))
        self.data["links"][path] = target
        return target

    def exists(self, path: str) -> bool:
        found = self._asked(path, lambda: self.inner.exists(path))
        if not found:
            self.data["errors"].setdefault(path, "ENOENT")
        elif not any(path in self.data[kind] for kind in ("files", "binary", "links")):
            self.data["directories"].setdefault(path, [])
        return found

    def modified_ns(self, path: str) -> int:
        stamp = self._asked(path, lambda: self.inner.modified_ns(path))
        self.data["times"][path] = stamp
        return stamp

    def device_holders(self) -> dict[str, tuple[str, ...]]:
        holders = self.inner.device_holders()
        self.data["holders"] = {path: list(names) for path, names in holders.items()}
        return holders
