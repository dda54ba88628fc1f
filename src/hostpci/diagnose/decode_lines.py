"""Finds the numbers in lines of a log that ``decode`` can explain."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..model.decoded import Decoded
from .decode import AER_CORRECTABLE, NotDecodableError, decode, number

_MOST = 8
_SIMPLE = (
    ("rminit", re.compile(r"RmInitAdapter failed! \((0x[0-9a-f]+:0x[0-9a-f]+:[0-9]+)\)")),
    ("xid", re.compile(r"NVRM: Xid \([^)]{0,40}\): ([0-9]{1,4})\b")),
    ("acs", re.compile(r"ACS(?:Cap|Ctl):\s*((?:[A-Za-z]+[+-] ?)+)")),
    ("aer-id", re.compile(r"PCIe Bus Error: .*\bid=([0-9a-f]{4})\b")),
    ("reset-method", re.compile(r"reset_method['\"]?:? +([a-z_ ]+)$")),
    ("rebar", re.compile(r"resource[0-5]_resize['\"]?: *([0-9a-f]{16})\b")),
)
_SEVERITY = re.compile(r"PCIe Bus Error: severity=(Corrected|Uncorrected)")
_AER = re.compile(r"error status/mask=(?P<word>[0-9a-f]{8}/[0-9a-f]{8})")
# drivers/acpi/apei and cper_print_aer: the severity is in the name
_CPER = re.compile(r"aer_(?P<kind>cor|uncor)_status: (?P<word>0x[0-9a-f]{8})")
_KINDS = {"cor": "aer-correctable", "uncor": "aer-uncorrectable"}


def decoded_in(lines: Iterable[str]) -> tuple[Decoded, ...]:
    """What these lines hold, each once. A status word is read with the severity of the line
    before it, for the word itself does not say of which register it is."""
    found: dict[tuple[str, str], Decoded] = {}
    severity = ""
    for line in lines:
        if said := _SEVERITY.search(line):
            severity = said[1]
        for kind, value in _in_line(line, severity):
            try:
                found.setdefault((kind, value), decode(kind, value))
            except NotDecodableError:
                continue
    return tuple(found.values())[:_MOST]


def _in_line(line: str, severity: str) -> Iterator[tuple[str, str]]:
    for kind, pattern in _SIMPLE:
        for each in pattern.finditer(line):
            yield kind, each[1].strip()
    for each in _CPER.finditer(line):
        yield _KINDS[each["kind"]], each["word"]
    if found := _AER.search(line):
        yield from ((kind, found["word"]) for kind in _registers(found["word"], severity))


def _registers(word: str, severity: str) -> tuple[str, ...]:
    if severity:
        return (_KINDS["cor" if severity == "Corrected" else "uncor"],)
    status = number(word.partition("/")[0])
    could_be_correctable = not any(
        status >> bit & 1 and bit not in AER_CORRECTABLE for bit in range(32)
    )
    return (*([_KINDS["cor"]] if could_be_correctable else []), _KINDS["uncor"])
