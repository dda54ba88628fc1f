"""GRUB's settings under /etc/default: shell text that grub-mkconfig sources."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...errors import EditError

_HEADER = '# Written by "hostpci apply", taken back by "hostpci undo": words for the kernel.\n'
_DROP_IN = re.compile(
    r'(?:#[^\n]*\n)*GRUB_CMDLINE_LINUX_DEFAULT="\$GRUB_CMDLINE_LINUX_DEFAULT ([^"`$\\\n]+)"\n'
)
# Nothing that means something to a shell can be among our words
_SAFE_WORD = re.compile(r"[A-Za-z0-9._,:=@/+-]+")


def drop_in(words: Sequence[str]) -> str:
    """The text of our own file in grub.d: it appends ``words`` to whatever was set before it.

    Raises EditError for a word that the shell would not read as it is.
    """
    for word in words:
        if not _SAFE_WORD.fullmatch(word):
            raise EditError("edit-unsafe-word", word=word)
    return f'{_HEADER}GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT {" ".join(words)}"\n'


def drop_in_words(text: str | None) -> tuple[str, ...] | None:
    """The words of a file that ``drop_in`` wrote; None if it is of any other form."""
    match = _DROP_IN.fullmatch(text or "")
    return tuple(match[1].split()) if match else None
