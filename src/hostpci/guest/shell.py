"""How a guest is asked: a script goes in, what it said comes out. One interface, two ways.

Everything that comes back was made by the guest. It is cut to a size, its control characters are
replaced, and an answer that is none ("exited" without a status, garbage in the place of a number)
is an error that says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ToolError

MAX_SAID_CHARS = 1 << 20
_TAIL_CHARS = 800


class GuestError(ToolError):
    """The guest cannot be asked, or what it answered is no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a script printed, and how it ended. ``is_cut``: there was more than we keep."""

    code: int
    out: str
    err: str = ""
    is_cut: bool = False

    @property
    def last_words(self) -> str:
        """The end of what it said, for an error."""
        return (self.err.strip() or self.out.strip())[-_TAIL_CHARS:]


class GuestShell:
    """The interface. ``run`` takes a POSIX sh script, in ASCII, that reads nothing from stdin."""

    def run(self, script: str, *, timeout_s: float) -> Said:
        raise NotImplementedError

    def is_there(self) -> bool:
        """True if the guest answers now; False while it starts or restarts."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """How this guest is called in talk: ``VM 100``, ``user@host``."""
        raise NotImplementedError


def clean(text: object) -> tuple[str, bool]:
    """What a guest said, without control characters and cut to a size."""
    if not isinstance(text, str):
        return "", False
    kept = text[:MAX_SAID_CHARS]
    if not kept.isprintable():
        kept = "".join(each if each.isprintable() or each in "\n\t" else "�" for each in kept)
    return kept, len(text) > MAX_SAID_CHARS


def wrapped(script: str, root: str = "") -> str:
    """The script as one command, read whole before it runs: a child must not eat the rest of it.

    ``root`` is where the guest's files are: empty in a guest, a scratch tree in tests.
    """
    return (
        f"R='{root}'\n"
        'PATH="$PATH:/usr/sbin:/usr/bin:/sbin:/bin"\n'
        "LC_ALL=C\nexport PATH LC_ALL\n"
        f"main() {{\n{script}\n}}\nmain </dev/null\n"
    )
