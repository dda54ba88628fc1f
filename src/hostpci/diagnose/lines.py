"""Lines of any log: what is in front of the message, made harmless and of bounded length."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_CHARS = 4096
SHOWN_CHARS = 400
ADDRESS = r"([0-9a-f]{4}:)?[0-9a-f]{2}:[01][0-9a-f]\.[0-7]"
_ADDRESS = re.compile(rf"(?<![0-9a-f:.]){ADDRESS}(?![0-9a-f]|:[0-9a-f]{{2}}[:.])")
_ESCAPE_SEQUENCE = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|[@-_])")
# intel/dmar.c of Linux 5.14 to 5.16 wrote the requester in this form
_WRITTEN_AS_NUMBERS = re.compile(r"\[0x([0-9a-f]{2}):0x([01][0-9a-f]\.[0-7])\]")
# What forums and word processors make of quotes and spaces
TYPOGRAPHIC = "\u2018\u2019\u201c\u201d\u00a0"
_PLAIN = str.maketrans(TYPOGRAPHIC, "''\"\" ")
# A log inside an answered mail
_QUOTED = re.compile(r"^(> ?)+(?=\S)")
# journald and rsyslog write the line breaks of one message like this
_WRITTEN_BREAK = re.compile(r"\\x0a|\\n(?=NVRM)|#012")
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_TIMES = re.compile(
    rf"\[ *(?P<kernel>[0-9]+\.[0-9]{{3,6}})\]"
    rf"|(?P<syslog>({_MONTHS}) +[0-9]+ [0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}})"
    r"|(?P<iso>[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One message; several may stand in one line of the file and share its ``number``."""

    number: int
    text: str
    source: str = ""

    @property
    def is_of_past_boot(self) -> bool:
        """Of a boot before the one that runs, as facts.logs names its sources."""
        return " --boot=-" in self.source


def messages(lines: Iterable[str], source: str = "", first: int = 1) -> Iterator[Line]:
    for number, raw in enumerate(lines, first):
        yield from split(number, raw, source)


def split(number: int, raw: str, source: str = "") -> Iterator[Line]:
    """What one line of a file says. Its end is cut off, however long it is."""
    text = raw[:MAX_CHARS].rstrip()
    if not text.isascii():
        text = text.translate(_PLAIN).rstrip()
    if text.startswith(">"):
        text = _QUOTED.sub("", text)
    if "\x1b" in text:
        text = _ESCAPE_SEQUENCE.sub("", text)
    if "\\x0a" in text or "\\nNVRM" in text or "#012" in text:
        for part in _WRITTEN_BREAK.split(text):
            yield Line(number=number, text=part, source=source)
    else:
        yield Line(number=number, text=text, source=source)


def shown(text: str) -> str:
    """Fit for a terminal: no control characters, not endless."""
    clipped = text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 1]}…"
    return "".join(char if char.isprintable() else " " for char in clipped).strip()


def device_in(text: str) -> str:
    """The first PCI address, with its domain; empty if there is none."""
    found = _ADDRESS.search(_usual(text))
    return full_address(found[0]) if found else ""


def devices_in(text: str) -> tuple[str, ...]:
    return tuple(full_address(each[0]) for each in _ADDRESS.finditer(_usual(text)))


def _usual(text: str) -> str:
    return _WRITTEN_AS_NUMBERS.sub(r"[\1:\2]", text) if "[0x" in text else text


def full_address(address: str) -> str:
    return address if address.count(":") > 1 else f"0000:{address}"


def time_in(text: str) -> str:
    """The time in front of a message, as it was written."""
    found = _TIMES.search(text[:80])
    return found[found.lastgroup or 0] if found else ""


def kernel_seconds(text: str) -> float | None:
    """Seconds since that kernel started, where the line says."""
    found = _TIMES.search(text[:80])
    if found and not found["kernel"]:
        found = re.compile(r"\[ *(?P<kernel>[0-9]+\.[0-9]{3,6})\]").search(text[:120])
    return float(found["kernel"]) if found and found["kernel"] else None
