"""The entries of a generated grub.cfg, as far as they say which kernel boots with which words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from .words import split_words

# Everything that opens or closes an entry, and what names the default. Passwords, and the text
# of the administrator's own scripts, are no business of a reader.
_KEPT = re.compile(
    r"\s*(?:(?:menuentry|submenu|function)\s.*\{|\}|linux(?:16|efi)?\s.*|initrd(?:16|efi)?\s.*"
    r"|set\s+default=.*)$"
)
_ENTRY = re.compile(r"\s*(?:menuentry|submenu)\s+('(?:[^']|'\\'')*'|\"[^\"]*\")")
_ID = re.compile(r"\$menuentry_id_option\s+'([^']*)'|--id[= ]'?([^'\s{]+)")
_LINUX = re.compile(r"\s*linux(?:16|efi)?\s+(\S+)\s*(.*)")
_INITRD = re.compile(r"\s*initrd(?:16|efi)?\s+(.*)")
_DEFAULT = re.compile(r"\s*set\s+default=\"?([^\"]*)\"?")
_RELEASE = re.compile(r".*/vmlinuz-(\S+)")
_CUSTOM = re.compile(r"^\s*source\s+\S*/custom\.cfg\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrubEntry:
    """One menu entry that loads a kernel. ``path``: the ids of its submenus and its own, with
    the titles and positions by which a default may name them too.
    """

    names: tuple[tuple[str, ...], ...]
    kernel: str
    initrds: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def release(self) -> str | None:
        match = _RELEASE.match(self.kernel)
        return match[1] if match else None

    @property
    def is_recovery(self) -> bool:
        """10_linux gives its recovery entries GRUB_CMDLINE_LINUX alone, and this id."""
        return any("-recovery-" in name for name in self.names[-1])


def grub_lines(lines: Iterable[str]) -> Iterator[str]:
    """Those lines of a grub.cfg that ``parse_grub`` looks at."""
    return (line for line in lines if _KEPT.match(line))


def parse_grub(lines: Iterable[str]) -> tuple[GrubEntry, ...]:
    """Every entry that loads a Linux kernel, in the order of the menu."""
    found: list[GrubEntry] = []
    open_blocks: list[tuple[str, ...] | None] = []
    counts = [0]
    for line in lines:
        entry = _ENTRY.match(line)
        if entry:
            open_blocks.append(_names(entry[1], line, counts[-1]))
            counts[-1] += 1
            counts.append(0)
        elif line.split()[:1] == ["function"]:
            open_blocks.append(None)
        elif line.strip() == "}" and open_blocks:
            if open_blocks.pop() is not None:
                counts.pop()
        else:
            _load(found, line, tuple(each for each in open_blocks if each))
    return tuple(found)


def sources_custom(grub_config: str) -> bool:
    """Whether this grub.cfg, or the script 41_custom that writes it, goes on with custom.cfg."""
    return _CUSTOM.search(grub_config) is not None


def _names(title: str, line: str, position: int) -> tuple[str, ...]:
    identity = _ID.search(line)
    found = [title[1:-1].replace("'\\''", "'"), str(position)]
    return tuple([identity[1] or identity[2], *found] if identity else found)


def _load(found: list[GrubEntry], line: str, names: tuple[tuple[str, ...], ...]) -> None:
    kernel, initrd = _LINUX.match(line), _INITRD.match(line)
    if kernel and names:
        words = tuple(_unquoted(word) for word in split_words(kernel[2]))
        found.append(GrubEntry(names=names, kernel=kernel[1], initrds=(), words=words))
    elif initrd and found and found[-1].names == names:
        found[-1] = replace(found[-1], initrds=tuple(initrd[1].split()))


def _unquoted(word: str) -> str:
    """GRUB's own shell takes quotes off (root=ZFS="rpool/ROOT/pve-1"), unless they hold a blank."""
    return word if " " in word else word.replace('"', "").replace("'", "")


def default_of(lines: Iterable[str], environment: dict[str, str]) -> str | None:
    """Which entry boots next; None if grub.cfg leaves that to something we cannot know.

    ``next_entry`` of grubenv goes before everything (00_header.in), and GRUB_DEFAULT=saved
    reads ``saved_entry``.
    """
    if environment.get("next_entry"):
        return environment["next_entry"]
    said = [match[1] for line in lines if (match := _DEFAULT.match(line))]
    said = [each for each in said if each != "${next_entry}"]
    if said[-1:] == ["${saved_entry}"]:
        return environment.get("saved_entry") or "0"
    return None if not said or "$" in said[-1] else said[-1] or "0"


def entry_named(entries: tuple[GrubEntry, ...], default: str) -> GrubEntry | None:
    """The entry that a default (position, title or id, ``>`` between levels) leads to.

    A submenu as the default boots its own first entry. None if no such entry loads a kernel:
    GRUB then goes on with the first entry, and which that is depends on more than this file.
    """
    parts = default.split(">")
    for entry in entries:
        levels = entry.names[: len(parts)]
        rest = entry.names[len(parts) :]
        matches = len(levels) == len(parts) and all(
            part in names for part, names in zip(parts, levels, strict=True)
        )
        if matches and all("0" in names for names in rest):
            return entry
    return None
