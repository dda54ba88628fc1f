"""/etc/kernel/cmdline, of which proxmox-boot-tool reads the first line and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import EditError
from ...facts.loader import KERNEL_CMDLINE, without_loader_words
from ...model.words import add_words, first_line, split_words, take_words

_ROOT = "root="


def add(text: str | None, words: Sequence[str], running: Sequence[str] = ()) -> str:
    """The file with ``words`` at the end of its first line; all other bytes as they are.

    A file that is not there is made from the ``running`` words, less what the loader itself put
    before them: that is what the tool falls back to as long as there is no file.
    Raises EditError for a first line that would not boot (zz-proxmox-boot gives up without a
    ``root=``, and takes a comment for a command line).
    """
    if text is None:
        text = " ".join(without_loader_words(running)) + "\n"
    _require_root(text)
    return add_words(text, words)


def take(text: str, words: Sequence[str]) -> str:
    """The file without exactly these words in its first line. Raises EditError as ``add``, and
    for a word that holds the root file system."""
    for word in words:
        if word.startswith(_ROOT):
            raise EditError("edit-cmdline-root", path=KERNEL_CMDLINE)
    _require_root(text)
    return take_words(text, words)


def words_in(text: str | None) -> tuple[str, ...]:
    """The words of the first line."""
    return split_words(first_line(text or ""))


def _require_root(text: str) -> None:
    words = words_in(text)
    if words[:1] and words[0].startswith("#"):
        raise EditError("edit-cmdline-comment", path=KERNEL_CMDLINE)
    if not any(word.startswith(_ROOT) for word in words):
        raise EditError("edit-cmdline-root", path=KERNEL_CMDLINE)
