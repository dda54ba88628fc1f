"""Named formats of PVE: each is a function that raises FormatError with PVE's own words.

Sources: pve-common src/PVE/JSONSchema.pm, pve-storage, qemu-server.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .schema import FormatError

_Checker = Callable[[str], object]


def _pattern(pattern: str, message: str, flags: int = 0) -> _Checker:
    """Perl's m/^...$/, or the message; ``{}`` in it stands for the value."""
    compiled = re.compile(f"^(?:{pattern})$", re.ASCII | flags)

    def check(text: str) -> str:
        if compiled.search(text) is None:
            raise FormatError(message.replace("{}", text) + "\n")
        return text

    return check


FORMATS: dict[str, _Checker] = {
    "pve-configid": _pattern("[a-z][a-z0-9_-]+", "invalid configuration ID '{}'", re.IGNORECASE),
    "pve-node": _pattern(
        "[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?", "value does not look like a valid node name"
    ),
}
