"""What PVE makes of a hostpci value or of a file of mappings, before anybody starts a machine."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..model.finding import Finding, Level
from ..pve.hostpci import PVE8, PVE9, FormatError, Hostpci, parse_hostpci
from ..pve.mapping import MapEntry, Mappings, Section, why_invalid
from ..pve.showcmd import ROM_DIRECTORY
from ..pve.start import HostView, StartError, resolve
from .say import fails, holds

_ADDRESS = re.compile(r"[a-f0-9]{4,}:[a-f0-9]{2}:[a-f0-9]{2}(?:\.[a-f0-9])?$")
_FIRST_FUNCTION_ONLY = ("x_vga", "romfile", "vendor_id", "device_id")


def one_line(reason: str) -> str:
    """PVE's message as one sentence: its lines, without the word that says nothing."""
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    told = [line for line in lines if line != "format error"] or lines
    return "; ".join(told)


def lint_value(
    text: str, *, pve: int, host: HostView | None = None, subject: str = "hostpci"
) -> Iterator[Finding]:
    """One value: is it taken, what is odd in it, and does it start on ``host`` (if there is one).

    What hangs on the rest of a machine's configuration is ``checks/lintvm.py``.
    """
    try:
        device = parse_hostpci(text, pve=pve)
    except FormatError as error:
        yield refused_value(text, one_line(str(error)), pve=pve, subject=subject)
        return
    yield holds("lint-value", subject, text)
    yield from lint_device(device, subject)
    if host is not None:
        yield from _lint_start(text, device, host, pve=pve, subject=subject)


def refused_value(text: str, reason: str, *, pve: int, subject: str) -> Finding:
    """Why PVE does not take it; a key of a newer PVE is told apart from a wrong one."""
    if pve <= PVE8:
        try:
            parse_hostpci(text, pve=PVE9)
        except FormatError:
            pass
        else:
            return fails("lint-newer-key", Level.FAIL, subject, text)
    return fails("lint-value", Level.FAIL, subject, text, reason=reason)


def lint_device(device: Hostpci, subject: str) -> Iterator[Finding]:
    """What the value itself says, wherever it stands."""
    if device.host and device.mapping:
        yield fails("lint-host-and-mapping", Level.FAIL, subject)
    elif not device.host and not device.mapping:
        yield fails("lint-no-host", Level.FAIL, subject)
    yield from _lint_rom(device, subject)
    several = len(device.addresses) > 1
    if several and device.mdev:
        yield fails("lint-mdev-several", Level.FAIL, subject, mdev=device.mdev)
    if several and any(getattr(device, name) for name in _FIRST_FUNCTION_ONLY):
        yield fails("lint-first-only", Level.NOTICE, subject, first=device.addresses[0])


def _lint_rom(device: Hostpci, subject: str) -> Iterator[Finding]:
    name = device.romfile
    if not name:
        return
    path = ROM_DIRECTORY + name
    if name.startswith("/"):
        yield fails("lint-romfile-absolute", Level.FAIL, subject, path=path)
    elif ".." in name.split("/"):
        yield fails("lint-romfile-outside", Level.FAIL, subject, path=path)
    elif name != name.strip():
        yield fails("lint-romfile-blank", Level.WARN, subject, path=path)


def _lint_start(
    text: str, device: Hostpci, host: HostView, *, pve: int, subject: str
) -> Iterator[Finding]:
    is_name = device.romfile and "/" not in device.romfile
    if is_name and host.roms is not None and device.romfile not in host.roms:
        path = ROM_DIRECTORY + device.romfile
        yield fails("lint-romfile-missing", Level.FAIL, subject, path=path)
    if bool(device.host) == bool(device.mapping):
        return  # already said
    try:
        found = resolve(text, host, pve=pve)
    except (StartError, FormatError) as error:
        if not (device.mdev and len(device.addresses) > 1):
            yield fails("lint-start", Level.FAIL, subject, text, reason=one_line(str(error)))
        return
    sets = [", ".join(each) for each in found.alternatives]
    yield holds("lint-start", subject, *sets)


# mappings


def lint_mappings(mappings: Mappings, host: HostView | None = None) -> Iterator[Finding]:
    for warning in mappings.warnings:
        yield fails("lint-mapping-dropped", Level.FAIL, "", reason=one_line(warning))
    for name, section in mappings.sections.items():
        if section is None:
            yield fails("lint-mapping-lost", Level.FAIL, name)
        else:
            yield from _lint_section(name, section, host)


def _lint_section(name: str, section: Section, host: HostView | None) -> Iterator[Finding]:
    entries = section.entries()
    yield holds("lint-mapping", name, *(f"{each.node} {each.path}" for each in entries))
    for entry in entries:
        yield from _lint_entry(name, entry)
    mine = section.entries(host.node) if host is not None else ()
    for entry in mine:
        wrong = why_invalid(name, section, entry, host.devices) if host is not None else ""
        if wrong:
            yield fails("lint-mapping-hardware", Level.FAIL, name, reason=one_line(wrong))


def _lint_entry(name: str, entry: MapEntry) -> Iterator[Finding]:
    given = {"iommugroup": entry.iommugroup, "subsystem-id": entry.subsystem_id}
    missing = [key for key, value in given.items() if not value]
    node = entry.node
    if missing:
        yield fails("lint-mapping-incomplete", Level.WARN, name, node=node, keys=", ".join(missing))
    ids = (entry.id, entry.subsystem_id)
    if any(each != each.lower() for each in ids):
        yield fails(
            "lint-mapping-case", Level.FAIL, name, node=node, ids=", ".join(filter(None, ids))
        )
    if not all(map(_ADDRESS.match, entry.paths)):
        yield fails("lint-mapping-path", Level.FAIL, name, node=node, path=entry.path)
