"""How readers look at a root: absent is an answer, unreadable is remembered."""

from __future__ import annotations

import errno

from ..errors import CorruptError
from ..host.root import Keep, Root
from ..model.pci import Unmeasured

_ABSENT = {errno.ENOENT, errno.ENOTDIR}
_MAX_DIGITS = 20


class Look:
    """A root together with the list of what could not be read on it."""

    def __init__(self, root: Root) -> None:
        self.root = root
        self._gaps: dict[str, str] = {}

    @property
    def gaps(self) -> tuple[Unmeasured, ...]:
        return tuple(Unmeasured(what=path, why=why) for path, why in sorted(self._gaps.items()))

    def note(self, what: str, why: str) -> None:
        self._gaps[what] = why

    def _note_error(self, path: str, error: OSError) -> None:
        if error.errno not in _ABSENT:
            self.note(path, errno.errorcode.get(error.errno or 0, str(error)))

    def text(self, path: str) -> str | None:
        """Content without surrounding white space; None if absent or unreadable."""
        raw = self.raw(path)
        return None if raw is None else raw.strip()

    def raw(self, path: str) -> str | None:
        try:
            return self.root.read_text(path)
        except OSError as error:
            self._note_error(path, error)
            return None

    def own_text(self, path: str) -> str | None:
        """A file of ours, to the byte: taken for something else, no change of it would match.

        Raises CorruptError if it is no text.
        """
        raw = self.binary(path)
        try:
            return None if raw is None else raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CorruptError("rule-unreadable", path=path) from error

    def binary(self, path: str) -> bytes | None:
        try:
            return self.root.read_bytes(path)
        except OSError as error:
            self._note_error(path, error)
            return None

    def digest(self, path: str) -> str | None:
        """SHA-256 of the content; None if absent or unreadable."""
        try:
            return self.root.digest(path)
        except OSError as error:
            self._note_error(path, error)
            return None

    def number(self, path: str, base: int = 10) -> int | None:
        text = self.text(path)
        if text is None:
            return None
        try:
            # No number in sysfs is longer; int() and str() refuse some that a capture could hold
            if len(text) <= _MAX_DIGITS:
                return int(text, base)
        except ValueError:
            pass
        self.note(path, f"not a number: {text[:_MAX_DIGITS]!r}")
        return None

    def lines(self, path: str, keep: Keep) -> tuple[str, ...] | None:
        try:
            return self.root.filtered_lines(path, keep)
        except OSError as error:
            self._note_error(path, error)
            return None

    def names(self, path: str) -> tuple[str, ...]:
        return self.names_or_none(path) or ()

    def names_or_none(self, path: str) -> tuple[str, ...] | None:
        try:
            return self.root.list_directory(path)
        except OSError as error:
            self._note_error(path, error)
            return None

    def link(self, path: str) -> str | None:
        try:
            return self.root.read_link(path)
        except OSError as error:
            # EINVAL: there, but not a link
            if error.errno != errno.EINVAL:
                self._note_error(path, error)
            return None

    def link_name(self, path: str) -> str | None:
        target = self.link(path)
        return None if target is None else target.rpartition("/")[2]

    def exists(self, path: str) -> bool:
        try:
            return self.root.exists(path)
        except OSError as error:
            self._note_error(path, error)
            return False

    def modified_ns(self, path: str) -> int:
        try:
            return self.root.modified_ns(path)
        except OSError as error:
            self._note_error(path, error)
            return 0
