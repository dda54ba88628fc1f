"""What a host calls its own: read to know what must not be in a capture, and never recorded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..host.root import Root

_MAX_NAMES = 4000
_FIRST_PERSON, _NOBODY = 1000, 65534
_PVE_ACCOUNT = re.compile(r"(user|token|group|pool|role):([^:@!]+)(?:@([^:!]+))?(?:!([^:]+))?:")
_STORAGE = re.compile(r"[a-z]+: (\S+)")
_STORAGE_WORDS = re.compile(
    r"\s+(pool|vgname|thinpool|server|share|username|datastore|export|fs-name|namespace|target)"
    r"\s+(\S+)"
)
_GUEST_NAME = re.compile(r"(?:name|hostname|searchdomain|ciuser):\s*(\S+)")
_GUEST_TAGS = re.compile(r"tags:\s*(\S.*)")
_VOLUME_GROUP = re.compile(r"[\w+.-]+")
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")


def own_names(root: Root) -> dict[str, str]:
    """Name -> kind of thing. Of two kinds the first found counts."""
    found: dict[str, str] = {}
    for kind, name in _all(root):
        if len(found) >= _MAX_NAMES:
            break
        found.setdefault(name, kind)
    return found


def _all(root: Root) -> Iterator[tuple[str, str]]:
    yield from _network_names(root)
    yield from _accounts(root)
    yield from _storages(root)
    yield from _guests(root)
    yield from (("node", name) for name in _names(root, "/etc/pve/nodes"))
    for name in _names(root, "/dev/disk/by-label"):
        yield "label", _ESCAPED.sub(lambda m: chr(int(m[1], 16)), name)
    for name in _names(root, "/dev/disk/by-partlabel"):
        yield "label", _ESCAPED.sub(lambda m: chr(int(m[1], 16)), name)


def _lines(root: Root, path: str) -> list[str]:
    """Absent, unreadable, not captured: then there is nothing to hide from there."""
    try:
        return root.read_text(path).splitlines()
    except OSError:
        return []


def _names(root: Root, path: str) -> Iterable[str]:
    try:
        return root.list_directory(path)
    except OSError:
        return ()


def _network_names(root: Root) -> Iterator[tuple[str, str]]:
    for line in _lines(root, "/etc/hosts"):
        for name in line.partition("#")[0].split()[1:]:
            yield "node", name
            yield "node", name.partition(".")[0]
            yield "domain", name.partition(".")[2]
    for line in _lines(root, "/etc/resolv.conf"):
        if line.split()[:1] in (["search"], ["domain"]):
            yield from (("domain", name) for name in line.split()[1:])


def _accounts(root: Root) -> Iterator[tuple[str, str]]:
    for line in _lines(root, "/etc/passwd"):
        fields = line.split(":")
        number = fields[2] if len(fields) > 4 else ""  # noqa: PLR2004
        if number.isdecimal() and _FIRST_PERSON <= int(number) < _NOBODY:
            yield "user", fields[0]
            yield from (("user", word) for word in re.split(r"[\s,]+", fields[4]))
    for line in _lines(root, "/etc/pve/user.cfg"):
        match = _PVE_ACCOUNT.match(line)
        if match:
            yield "user" if match[1] in ("user", "token") else "pool", match[2]
            yield "domain", match[3] or ""
            yield "token", match[4] or ""
            yield from (("user", word) for word in line.split(":")[4:7])


def _storages(root: Root) -> Iterator[tuple[str, str]]:
    for line in _lines(root, "/etc/pve/storage.cfg"):
        header, entry = _STORAGE.fullmatch(line), _STORAGE_WORDS.match(line)
        if header:
            yield "storage", header[1]
        elif entry:
            yield "pool", entry[2]


def _guests(root: Root) -> Iterator[tuple[str, str]]:
    for directory in ("/etc/pve/qemu-server", "/etc/pve/lxc"):
        for name in _names(root, directory):
            for line in _lines(root, f"{directory}/{name}"):
                named, tagged = _GUEST_NAME.match(line), _GUEST_TAGS.match(line)
                if named:
                    yield "vm", named[1]
                elif tagged:
                    yield from (("label", tag) for tag in re.split(r"[;, ]+", tagged[1]))
