"""A VM's configuration file: text <-> sections, and what PVE drops on the way without an error.

Source: qemu-server src/PVE/QemuServer.pm (parse_vm_config, write_vm_config): a line that cannot
be read is warned of and gone, and the next write of the file by PVE removes it for good.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from .hostpci import PVE9
from .schema import SPACE, FormatError, Schema, Value, parse_property_string
from .vmoptions import formats, is_drive, options, read_option

Options = Mapping[str, Value]

# Perl's \s on text; Python's takes in four control characters more
_WHITE = " \t\n\r\f\v\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
_BLANK = re.compile(rf"{SPACE}*\Z")
_PENDING = re.compile(rf"\[PENDING\]{SPACE}*$", re.IGNORECASE)
# only the word before the colon may be in any case
_SPECIAL = re.compile(rf"\[(?i:special):(cloudinit|fleecing)\]{SPACE}*$")
_SNAPSHOT = re.compile(rf"\[([a-z][a-z0-9_\-]+)\]{SPACE}*$", re.IGNORECASE | re.ASCII)
_UNKNOWN_SECTION = re.compile(rf"\[([^\]]*)\]{SPACE}*$")
_COMMENT = re.compile(r"#(.*)$")
_DESCRIPTION = re.compile(rf"description:{SPACE}*(.*\S){SPACE}*$", re.ASCII)
_SNAPSTATE = re.compile(rf"snapstate:{SPACE}*(prepare|delete){SPACE}*$")
_ARGS = re.compile(rf"args:{SPACE}*(.*\S){SPACE}*$", re.ASCII)
_DELETE = re.compile(rf"delete:{SPACE}*(.*\S){SPACE}*$", re.ASCII)
_OPTION = re.compile(rf"([a-z][a-z_\-]*\d*):{SPACE}*(.+?){SPACE}*$", re.ASCII)
_CLOUD_INIT = re.compile(
    r"[:/](?:vm-\d+-)?cloudinit(?:\.(?:raw|qcow|qcow2|qed|vmdk|cloop))?$", re.ASCII
)
# pve-common PVE/ParseUtils.pm encode_text: printable ASCII stays, but for the colon and what an
# escape begins with
_STAYS = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) not in ":%")
_FLEECING: Mapping[str, Schema] = {
    "fleecing-images": {"type": "string", "format": "pve-volume-id-list", "optional": 1}
}
_NOT_A_SETTING = ("description", "snapstate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """One line that PVE does not keep. ``message``: PVE's words, ``reason``: why, of a value.

    ``section``: "" for the machine itself. ``key`` "": not even that could be read.
    """

    line_number: int
    section: str
    line: str
    key: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VmConfig:
    """``pending``: what the next start will change; ``special``: notes of PVE's own.

    ``replaced``: earlier lines of a key that stands there again; the last one counts.
    """

    main: Options = field(default_factory=dict)
    pending: Options = field(default_factory=dict)
    snapshots: Mapping[str, Options] = field(default_factory=dict)
    special: Mapping[str, Options] = field(default_factory=dict)
    dropped: tuple[Dropped, ...] = ()
    replaced: tuple[Dropped, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(each.message for each in self.dropped)

    def document(self) -> dict[str, object]:
        """One value, as PVE's own readers see it; sections that are empty are left out."""
        sections = {
            "pending": dict(self.pending),
            "snapshots": {name: dict(each) for name, each in self.snapshots.items()},
            "special-sections": {name: dict(each) for name, each in self.special.items()},
        }
        return {**self.main, **{name: each for name, each in sections.items() if each}}


def parse_vm_config(text: str, *, vmid: int = 100, pve: int = PVE9) -> VmConfig:
    return _Reader(vmid, pve).read(text)


class _Reader:
    """One reading: the section that lines go to, and the description that has begun in it."""

    def __init__(self, vmid: int, pve: int) -> None:
        self._vmid = vmid
        self._pve = pve
        self._schemas: Mapping[str, Schema] = options(pve)
        self._main: dict[str, Value] = {}
        self._pending: dict[str, Value] | None = None
        self._snapshots: dict[str, dict[str, Value]] = {}
        self._special: dict[str, dict[str, Value]] = {}
        self._values = self._main
        self._section: str | None = ""
        self._kind = "main"
        self._description: str | None = None
        self._dropped: list[Dropped] = []
        self._kept: dict[tuple[str, str], Dropped] = {}
        self._replaced: list[Dropped] = []
        self._line_number, self._line = 0, ""

    def read(self, text: str) -> VmConfig:
        for number, line in enumerate(text.split("\n"), 1):
            self._line_number, self._line = number, line
            if not _BLANK.match(line) and not self._begin_section(line):
                self._take(line)
        self._finish_description()
        self._main.pop("snapstate", None)
        return VmConfig(
            main=self._main, pending=self._pending or {}, snapshots=self._snapshots,
            special=self._special, dropped=tuple(self._dropped), replaced=tuple(self._replaced),
        )  # fmt: skip

    def _here(self, message: str, key: str, reason: str) -> Dropped:
        return Dropped(
            line_number=self._line_number, section=self._section or "", line=self._line, key=key,
            reason=reason or message, message=f"vm {self._vmid} - {message}",
        )  # fmt: skip

    def _drop(self, message: str, key: str = "", reason: str = "") -> None:
        self._dropped.append(self._here(message, key, reason))

    def _keep(self, key: str, value: Value) -> None:
        place = (self._section or "", key)
        if key in self._values and place in self._kept:
            self._replaced.append(self._kept[place])
        self._kept[place] = self._here("", key, "")
        self._values[key] = value

    # sections

    def _begin_section(self, line: str) -> bool:
        special, snapshot = _SPECIAL.match(line), _SNAPSHOT.match(line)
        unknown = _UNKNOWN_SECTION.match(line)
        if _PENDING.match(line):
            self._begin("pending", "pending")
            if self._pending is not None:
                self._drop("duplicate section: pending\n")
            self._pending = self._values = {}
        elif special:
            self._begin("special", special[1])
            self._values = self._fresh(self._special, special[1], "special section")
        elif snapshot:
            self._begin("snapshot", snapshot[1])
            self._values = self._fresh(self._snapshots, snapshot[1], "snapshot section")
        elif unknown:
            self._begin("unknown", None)
            self._drop(f"skipping unknown section: '{unknown[1]}'\n")
        return bool(unknown)

    def _begin(self, kind: str, name: str | None) -> None:
        self._finish_description()
        self._kind, self._section = kind, name
        self._schemas = options(self._pve)
        if kind == "special":
            self._schemas = _FLEECING if name == "fleecing" else self._schemas

    def _fresh(
        self, sections: dict[str, dict[str, Value]], name: str, what: str
    ) -> dict[str, Value]:
        if name in sections:
            self._drop(f"duplicate {what}: {name}\n")
        sections[name] = {}
        return sections[name]

    # lines

    def _take(self, line: str) -> None:
        if self._section is None:
            return
        comment, description = _COMMENT.match(line), _DESCRIPTION.match(line)
        snapstate, args = _SNAPSTATE.search(line), _ARGS.match(line)
        deleted, option = _DELETE.match(line), _OPTION.match(line)
        if comment:
            self._describe(comment[1], "\n")
        elif description:
            self._describe(description[1], "")
        elif snapstate:
            self._values["snapstate"] = snapstate[1]
        elif args:
            self._keep("args", args[1])
        elif deleted:
            self._delete(deleted[1])
        elif option:
            self._set(option[1], option[2])
        else:
            self._drop(f"unable to parse config: {line}\n")

    def _describe(self, text: str, end: str) -> None:
        self._description = (self._description or "") + unquote(text) + end

    def _finish_description(self) -> None:
        if self._description is not None:
            self._values["description"] = self._description.rstrip(_WHITE)
        self._description = None

    def _delete(self, text: str) -> None:
        if self._kind == "pending":
            self._values["delete"] = text
        else:
            self._drop("property 'delete' is only allowed in [PENDING]\n", "delete")

    def _set(self, key: str, text: str) -> None:
        if self._kind == "special" and self._section == "cloudinit":
            self._keep(key, text)
            return
        try:
            value = read_option(key, text, self._schemas, self._pve)
        except FormatError as error:
            reason = str(error)
            self._drop(f"unable to parse value of '{key}' - {reason}", key, reason)
        else:
            self._keep("ide2" if key == "cdrom" else key, value)


def write_vm_config(config: VmConfig, *, pve: int = PVE9) -> str:
    """The file as PVE would write it. Raises FormatError where PVE would refuse to."""
    main = _without_old_names(dict(config.main))
    main = _checked(main, pve)
    pending = _checked(dict(config.pending), pve, may_delete=True)
    snapshots = {name: _checked(dict(each), pve) for name, each in config.snapshots.items()}
    used = {*_volumes(main, pve), *_volumes(pending, pve)}
    main = {
        key: value for key, value in main.items()
        if not (key.startswith("unused") and value in used)
    }  # fmt: skip
    text = _lines(main)
    if pending:
        text += "\n[PENDING]\n" + _lines(pending, is_pending=True)
    for name in sorted(config.special):
        if name != "cloudinit" or _has_cloud_init(main, pve):
            text += f"\n[special:{name}]\n" + _lines(config.special[name])
    for name in sorted(snapshots):
        text += f"\n[{name}]\n" + _lines(snapshots[name])
    return text


def _without_old_names(values: dict[str, Value]) -> dict[str, Value]:
    """``cdrom`` is ``ide2``; ``smp`` was the number of sockets."""
    values.pop("snapstate", None)
    if _is_true(values.get("cdrom")):
        if _is_true(values.get("ide2")):
            raise FormatError("option ide2 conflicts with cdrom\n")
        values["ide2"] = values.pop("cdrom")
    if _is_true(values.get("sockets")):
        values.pop("smp", None)
    elif _is_true(values.get("smp")):
        values["sockets"] = values.pop("smp")
        values.pop("cores", None)
    return values


def _is_true(value: Value | None) -> bool:
    return value not in (None, 0, "0", "")


def _checked(values: dict[str, Value], pve: int, *, may_delete: bool = False) -> dict[str, Value]:
    for key, value in sorted(values.items()):
        if key == "delete" and not may_delete:
            raise FormatError("propertry 'delete' is only allowed in [PENDING]\n")  # sic
        if key == "delete" or key in _NOT_A_SETTING:
            continue
        try:
            values[key] = read_option(key, str(value), options(pve), pve)
        except FormatError as error:
            raise FormatError(f"unable to parse value of '{key}' - {error}") from error
    return values


def _volumes(values: Options, pve: int) -> Iterator[str]:
    """The volumes of the drives, where a drive's value can be read."""
    known = options(pve)
    for key, value in values.items():
        if not is_drive(key, known):
            continue
        try:
            drive = parse_property_string(known[key]["format"], str(value), formats=formats(pve))
        except FormatError:
            continue
        yield str(drive["file"])


def _has_cloud_init(values: Options, pve: int) -> bool:
    return any(_CLOUD_INIT.search(each) for each in _volumes(values, pve))


def _lines(values: Options, *, is_pending: bool = False) -> str:
    description = str(values.get("description", ""))
    comments = description.rstrip("\n").split("\n") if description not in ("", "0") else []
    text = "".join(f"#{quote(line, safe=_STAYS)}\n" for line in comments)
    if is_pending and not comments and "description" in values:
        text = "#\n"
    return text + "".join(
        f"{key}: {values[key]}\n" for key in sorted(values) if key != "description"
    )
