"""stdout and stderr as they may be: a reader that went away, a full disk, a lost terminal, closed.

None of that may stop a change half-way, and none of it may pass for work that was done.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO


def put(stream: TextIO | None, text: str, *, flush: bool = True) -> OSError | None:
    """Write to a stream, or say what came in the way. A closed one (None) takes everything."""
    try:
        if stream is not None:
            stream.write(text)
            if flush:
                stream.flush()
    except OSError as error:
        return error
    return None


def is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def terminal_columns(stream: TextIO | None) -> int:
    """0 where it is no terminal, or one that does not say."""
    if stream is None or not is_terminal(stream):
        return 0
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 0


def fill_closed() -> None:
    """Open what the caller closed: a file of ours must not become number 0, 1 or 2."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004  (stderr)
        pass
    os.close(number)


def settle(stream: TextIO | None) -> None:
    """Drop what cannot be written, or the interpreter fails at exit with a code of its own."""
    if stream is not None and put(stream, ""):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
