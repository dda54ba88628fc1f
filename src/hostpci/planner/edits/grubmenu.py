"""A menu entry of our own: what booted before, word for word, kept beside what is on trial.

Text to text. The entry is a copy of one of grub.cfg's own, so that it finds its disk with the
very commands that found it until now.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from ...model.grubcfg import GrubEntry, parse_grub
from ...model.words import split_words

ENTRY_ID = "hostpci-known-good"
ENV_NAME = "hostpci.env"
ESCAPE = "hostpci=off"
_BEGIN = '### BEGIN hostpci: written by "hostpci apply", taken back by confirm and undo'
_END = "### END hostpci"
_HEAD = re.compile(r"\s*menuentry\s")
_LINUX = re.compile(r"(\s*linux(?:16|efi)?\s+\S+)(.*)")
_INITRD = re.compile(r"(\s*initrd(?:16|efi)?)(\s+.*)")
# What means nothing to GRUB's shell; everything else is put between quotes
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_.,:=@/+%-]+")
# GRUB's environment block has this length, or GRUB does not write it (include/grub/lib/envblk.h)
_ENV_BYTES = 1024
_ENV_HEAD = "# GRUB Environment Block\n"

# A name beside grub.cfg, found as Debian's 41_custom finds custom.cfg
_ONE_SHOT = """\
if [ -n "${config_directory}" ]; then
  set hostpci_env="${config_directory}/hostpci.env"
else
  set hostpci_env="${prefix}/hostpci.env"
fi
if [ -s "${hostpci_env}" ]; then
  load_env -f "${hostpci_env}" hostpci_trial
  if [ "${hostpci_trial}" = "pending" ]; then
    set hostpci_trial=started
    save_env -f "${hostpci_env}" hostpci_trial
  elif [ "${hostpci_trial}" = "started" ]; then
    set default=hostpci-known-good
  fi
fi
"""


def known_good(
    grub_config: str,
    running: tuple[str, ...],
    release: str,
    *,
    title: str,
    initrds: Mapping[str, str],
) -> str | None:
    """The entry that boots what runs now, with ``hostpci=off``; None if grub.cfg has none.

    ``running``: this boot's words. ``initrds``: file name of an image -> file name of its copy
    below ``hostpci/`` beside it.
    """
    found = [
        (entry, block)
        for block in _blocks(grub_config)
        for entry in parse_grub(block.splitlines())
        if entry.release == release and not entry.is_recovery
    ]
    exact = [block for entry, block in found if _same_words(entry, running)]
    chosen = [*exact, *(block for _, block in found)]
    return _rewritten(chosen[0], title, initrds) if chosen else None


def known_good_on_esp(
    uuid: str, kernel: str, initrd: str, words: Iterable[str], *, title: str, options: str
) -> str | None:
    """The entry that boots two images of one boot partition, with the commands of 10_linux.

    ``words``: the running kernel's, but for the loader's own. None if one of them cannot be said
    to GRUB so that the kernel gets it as it is. The partition is looked for as grub.cfg does it:
    ``config_directory`` is gone again when an entry runs (read_config_file() in GRUB's
    normal/main.c), and ``root`` may be anything by then.
    """
    said = [grub_word(word) for word in words if word != ESCAPE]
    if None in said:
        return None
    lines = (
        f"menuentry '{title}' --class gnu-linux --class os{options} --id {ENTRY_ID} {{",
        "\tload_video",
        f"\tsearch --no-floppy --fs-uuid --set=root {uuid}",
        f"\tlinux /{kernel} {' '.join([*filter(None, said), ESCAPE])}",
        f"\tinitrd /{initrd}",
        "}",
    )
    return "\n".join([*lines, ""])


def grub_word(word: str) -> str | None:
    """One word of a running command line as GRUB's shell must read it; None where that is unclear.

    GRUB puts quotes around a word with a blank, and backslashes before its quotes and backslashes
    (grub_create_loader_cmdline): the former are taken off again, the latter nobody guesses.
    """
    is_quoted = len(word) > 1 and word.startswith('"') and word.endswith('"')
    inner = word[1:-1] if is_quoted else word
    if not inner or not inner.isascii() or not inner.isprintable() or set("'\"\\") & set(inner):
        return None
    return inner if _PLAIN_WORD.fullmatch(inner) else f"'{inner}'"


def _same_words(entry: GrubEntry, running: tuple[str, ...]) -> bool:
    return entry.words == running


def _blocks(grub_config: str) -> Iterator[str]:
    """The text of each menuentry, from its line to the brace that ends it."""
    lines: list[str] = []
    for line in grub_config.splitlines():
        if _HEAD.match(line):
            lines = [line]
        elif lines:
            lines.append(line)
            if line.strip() == "}":
                yield "\n".join(lines)
                lines = []


def _rewritten(block: str, title: str, initrds: Mapping[str, str]) -> str:
    head, *body = block.splitlines()
    options = " --unrestricted" if re.search(r"\s--unrestricted\b", head) else ""
    lines = [f"menuentry '{title}' --class gnu-linux --class os{options} --id {ENTRY_ID} {{"]
    for line in body[:-1]:
        linux, initrd = _LINUX.fullmatch(line), _INITRD.fullmatch(line)
        if linux:
            words = [word for word in split_words(linux[2]) if word != ESCAPE]
            lines.append(f"\t{linux[1].strip()} {' '.join([*words, ESCAPE])}")
        elif initrd:
            lines.append(f"\t{initrd[1].strip()} {' '.join(_moved(initrd[2], initrds))}")
        else:
            lines.append(f"\t{line.strip()}")
    return "\n".join([*lines, "}", ""])


def _moved(paths: str, initrds: Mapping[str, str]) -> Iterator[str]:
    for path in paths.split():
        directory, _, name = path.rpartition("/")
        yield f"{directory}/hostpci/{initrds[name]}" if name in initrds else path


def with_entry(custom_config: str | None, entry: str, *, one_shot: bool) -> str:
    """custom.cfg with our part after whatever the administrator has in it."""
    theirs = custom_config or ""
    newline = "" if not theirs or theirs.endswith("\n") else "\n"
    tail = _ONE_SHOT if one_shot else ""
    return f"{theirs}{newline}{_BEGIN}\n{entry}{tail}{_END}\n"


def has_our_part(custom_config: str | None) -> bool:
    return _BEGIN in (custom_config or "")


def pending_block() -> str:
    """An environment block that says: the next boot is the trial."""
    said = f"{_ENV_HEAD}hostpci_trial=pending\n"
    return said + "#" * (_ENV_BYTES - len(said))
