"""Records what readers ask and what a root answers: the making of a capture."""

from __future__ import annotations

import errno

from .root import Keep, Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")


class RecordingRoot(Root):
    """Passes every question on to another root and writes down question and answer."""

    def __init__(self, inner: Root) -> None:
        self.inner = inner
        self.is_live = inner.is_live
        self.data: dict[str, Any] = {
            "files": {}, "binary": {}, "links": {}, "directories": {},
            "times": {}, "exists": {}, "errors": {}, "holders": {},
            "digests": {},
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
        try:
            # Text stays text, so that it can be redacted and read by whoever gets the capture.
            self.data["files"][path] = content.decode("utf-8")
        except UnicodeDecodeError:
            self.data["binary"][path] = base64.b64encode(content).decode("ascii")
        return content

    def read_text(self, path: str) -> str:
        text = self._asked(path, lambda: self.inner.read_text(path))
        self.data["files"][path] = text
        return text

    def digest(self, path: str) -> str:
        digest = self._asked(path, lambda: self.inner.digest(path))
        self.data["digests"][path] = digest
        return digest

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
        self.data["exists"][path] = found
        return found

    def modified_ns(self, path: str) -> int:
        stamp = self._asked(path, lambda: self.inner.modified_ns(path))
        self.data["times"][path] = stamp
        return stamp

    def device_holders(self) -> dict[str, tuple[str, ...]]:
        holders = self.inner.device_holders()
        self.data["holders"] = {path: list(names) for path, names in holders.items()}
        return holders
