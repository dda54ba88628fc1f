"""An API token: from a file that nobody else can read, or from the environment; never an argument.

Every user of a host can read the arguments of every program on it. How to make one:
docs/pve-token.md.
"""

from __future__ import annotations

import os
import re
import stat

from .node import PveError

VARIABLE = "HOSTPCI_PVE_TOKEN"
_MAX_BYTES = 4096
_HEADER = "PVEAPIToken="
# pve-access-control PVE/AccessControl.pm token_full_regex: token ids begin with a letter; users of
# a directory may be addresses (a@example.org@ad); secrets are UUIDs
_TOKEN = re.compile(
    r"(?P<name>[^\s:/!=]+@[A-Za-z][A-Za-z0-9.\-_]+![A-Za-z][A-Za-z0-9.\-_]+)=(?P<secret>[\w-]+)",
    re.ASCII,
)
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Token:
    """``name`` may be told to anybody. The rest goes into one header and nowhere else."""

    __slots__ = ("_secret", "name")

    def __init__(self, text: str) -> None:
        match = _TOKEN.fullmatch(text.strip().removeprefix(_HEADER))
        if match is None:
            raise PveError("pve-bad-token")
        self.name = match["name"]
        self._secret = match["secret"]

    @property
    def header(self) -> str:
        return f"{_HEADER}{self.name}={self._secret}"

    def __repr__(self) -> str:
        return f"Token({self.name})"


def find_token(path: str | None) -> Token:
    """The token of the file, else of the environment. Raises PveError; no text of it holds one."""
    if path:
        return Token(_text_of(path))
    text = os.environ.get(VARIABLE, "")
    if not text:
        raise PveError("pve-no-token", variable=VARIABLE)
    return Token(text)


def _text_of(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise PveError("pve-token-file", path=path, reason=error.strerror) from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid not in {0, os.geteuid()}:
            raise PveError("pve-token-file", path=path, reason="not a file of yours")
        if found.st_mode & _OTHERS:
            raise PveError("pve-token-open", path=path, mode=f"{stat.S_IMODE(found.st_mode):o}")
        return os.read(descriptor, _MAX_BYTES).decode("utf-8", "replace")
    finally:
        os.close(descriptor)
