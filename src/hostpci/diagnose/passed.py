"""Which devices a log is about: those a machine is given, a file names, or a claim keeps."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .case import Case
from .lines import full_address
from .listings import Listed
from .settings import VmLine

_ALONE_LINES = 40
_PLACE = r"(?:[0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}(?:\.[0-7])?"
_IN_VALUE = re.compile(rf"(?:^|[,;=])(?P<place>{_PLACE})(?=$|[,;])")
_ON_QEMU_LINE = re.compile(rf"vfio-pci,(?:[^ ]*,)?host=(?P<place>{_PLACE})")


def places_of(line: VmLine) -> tuple[str, ...]:
    """Functions ``0000:01:00.0`` or slots ``0000:01:00`` of one hostpci line."""
    host = line.options.get("host", line.options.get("", ""))
    return tuple(full_address(each["place"]) for each in _IN_VALUE.finditer(host))


def passed_places(case: Case) -> tuple[str, ...]:
    """As ``places_of``, of every machine, QEMU command line and claim."""
    return tuple(dict.fromkeys(_places(case)))


def _places(case: Case) -> Iterator[str]:
    for line in case.hostpci:
        yield from places_of(line)
    for each in case.qemu_lines:
        yield from (full_address(m["place"]) for m in _ON_QEMU_LINE.finditer(each.text))
    if case.facts is not None:
        for claim in case.facts.claims.claims:
            yield claim.slot


def covers(place: str, address: str) -> bool:
    return address == place or address.startswith(f"{place}.")


def is_passed(case: Case, address: str) -> bool:
    return any(covers(place, address) for place in passed_places(case))


def is_meant(case: Case, each: Listed) -> bool:
    """Given to a machine, or named to vfio-pci by its ids."""
    return is_passed(case, each.address) or (bool(each.ids) and each.ids in case.ids)


def displays(case: Case) -> tuple[Listed, ...]:
    return tuple(each for each in case.listed if each.is_display)


def is_shown_alone(case: Case, display: Listed) -> bool:
    """Whether nothing else was posted than who has this card: then that is the question.

    In a guest the same listing is what it should be; there more than a listing is shown.
    """
    if not case.listed or case.total > _ALONE_LINES or display.address.startswith("0000:00:"):
        return False
    heads = {each.line.number for each in case.listed}
    others = [
        line for line in case.lines
        if line.number not in heads and line.text.strip() and not line.text.startswith((" ", "\t"))
    ]  # fmt: skip
    of_card = all(each.slot == display.slot for each in case.listed)
    return of_card and all("lspci" in line.text for line in others)


def companions(case: Case, display: Listed) -> tuple[Listed, ...]:
    """The other functions of a graphics card."""
    return tuple(each for each in case.of_slot(display.slot) if each.address != display.address)


def is_same_vendor(one: Listed, other: Listed) -> bool:
    """Whether a function is of the card itself: beside an APU sit functions of the processor."""
    if one.vendor and other.vendor:
        return one.vendor == other.vendor
    return ("NVIDIA" in one.name) == ("NVIDIA" in other.name)
