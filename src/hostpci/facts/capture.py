"""Makes captures. What is in one is what the readers asked for, redacted, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from .. import __version__
from ..host.capture import SCHEMA
from ..host.recording import RecordingRoot
from ..host.root import Root
from ..host.runner import RecordingRunner, Runner
from ..model.baseline import BASELINE
from ..model.codec import encode
from ..model.journal import History
from .capture_network import hide_network
from .collect import collect
from .logs import read_logs
from .look import Look

# Names that say nothing about a host, and words that stand in files for something else: the
# words that this host's own system uses are found in the recording (see _is_a_word_here).
_COMMON_NAMES = {
    "pve", "debian", "proxmox", "localhost", "host", "server", "root", "linux", "grub", "boot",
    "initrd", "vmlinuz", "config", "dev", "etc", "kernel", "conf", "rules", "quiet", "options",
    "blacklist", "install", "softdep", "alias", "vfio", "vfio-pci", "hostpci", "kvm", "iommu",
    "nvidia", "nouveau", "amdgpu", "radeon", "i915", "claim", "slot", "function", "functions",
    "subsystem", "address", "device", "vendor", "on", "off", "up", "ro", "rw", "amd64", "console",
}  # fmt: skip
# 10de, 0000, 01, and the empty name
_MAY_BE_AN_ID = re.compile(r"[0-9A-Fa-f]{0,4}|[0-9]+")
# Behind the host's name in the name of a file, these are no part of a domain
_FILE_SUFFIXES = {"conf", "cfg", "rules", "d", "img", "bak", "old", "txt", "list", "service", "sh"}
_SECRET_KEYS = r"[\w.-]*(?:secret|token|api_?key|psk|serial|key)"  # noqa: S105  (a pattern)
_PHRASE_KEYS = r"[\w.-]*(?:passw(?:or)?d|passphrase)"
_LAST_DOCUMENTED = 254
# key=value, key: value, ATTRS{key}=="value", "key": "value"; of base64 the "==" is the end
_SETS = r"\}?\\*[\"']?\s*(?:[+:!=]?=|:)\s*"
_QUOTED = r"\\*\"[^\"\n]*\"?|\\*'[^'\n]*'?"
_SECRETS = (
    re.compile(rf"(?i)\b({_SECRET_KEYS}{_SETS})(?!ttyS|tty\d)(?:{_QUOTED}|[^\s,\"'=][^\s,\"']*)"),
    re.compile(rf"(?i)\b({_PHRASE_KEYS}(?:{_SETS}|[ \t]+))(?:{_QUOTED}|[^\s\"'=:][^\s\"']*)"),
)
_PUBLIC_KEY = re.compile(r"\b(ssh-(?:rsa|ed25519|dss)|ecdsa-sha2-\S+) [A-Za-z0-9+/=]{16,}")
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL)
_MAC = re.compile(r"\b(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\b")
_MAC_IN_NAME = re.compile(r"\b(en|wl)x[0-9a-f]{12}\b")
_UUID = re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")
_DOTTED = r"(?:\d{1,3}\.){3}\d{1,3}"
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
_IPV4 = re.compile(rf"(?<![\d.]){_DOTTED}(?![\d.])")
_HEX = r"[0-9A-Fa-f]{1,4}"
_IPV6 = re.compile(
    rf"(?<![\w.:])(?:(?:{_HEX}:){{6}}{_DOTTED}|(?:{_HEX}:){{7}}{_HEX}"
    rf"|(?:{_HEX}(?::{_HEX}){{0,6}})?::(?:(?:{_HEX}:){{0,6}}(?:{_DOTTED}|{_HEX}))?)(?!\w|:[\w:])"
)
_SAYS_NOTHING = {"::", "::1"}
# Keys of a history whose values are the program's own words
_OUR_WORDS = {"kind", "verb", "code", "reboot", "level", "outcome"}


class Redactor:
    """Replaces what identifies a host or opens a door; equal things get equal replacements."""

    def __init__(self, host_name: str) -> None:
        self._seen: dict[tuple[str, str], int] = {}
        self._name = _pattern_of(host_name)

    def _number(self, kind: str, found: str) -> int:
        return self._seen.setdefault((kind, found.lower()), len(self._seen) + 1)

    def _mac(self, found: str) -> str:
        digits = f"{self._number('mac', found):08x}"
        return ":".join(("02", "00", *(digits[at : at + 2] for at in range(0, 8, 2))))

    def _ipv4(self, found: str) -> str:
        """Of the network for documentation, and of the reserved one when that is used up."""
        number = self._number("ip", found)
        if number <= _LAST_DOCUMENTED:
            return f"192.0.2.{number}"
        return f"240.{number >> 16 & 0xFF}.{number >> 8 & 0xFF}.{number & 0xFF}"

    def _ipv6(self, found: str) -> str:
        if found in _SAYS_NOTHING:
            return found
        number = self._number("ip6", found)
        return f"2001:db8::{number >> 16:x}:{number & 0xFFFF:x}"

    def text(self, text: str) -> str:
        text = _PEM.sub("REDACTED", text)
        text = _PUBLIC_KEY.sub(r"\1 REDACTED", text)
        for secret in _SECRETS:
            text = secret.sub(r"\1REDACTED", text)
        text = _IPV6.sub(lambda m: self._ipv6(m[0]), text)
        text = _MAC.sub(lambda m: self._mac(m[0]), text)
        text = _MAC_IN_NAME.sub(lambda m: f"{m[1]}x{self._number('mac', m[0]):012x}", text)
        text = _UUID.sub(
            lambda m: f"00000000-0000-0000-0000-{self._number('uuid', m[0]):012x}", text
        )
        text = _IPV4.sub(lambda m: self._ipv4(m[0]), text)
        return self._name.sub(_without_domain, text) if self._name else text

    def hashes(self, text: str) -> str:
        """A file's hash gives away the few unknown words in it to whoever tries them all."""
        return _DIGEST.sub(lambda m: f"{self._number('digest', m[0]):064x}", text)

    def value(self, value: Any) -> Any:  # noqa: ANN401  (JSON)
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if isinstance(value, dict):
            return {self._key(key): self._under(key, each) for key, each in value.items()}
        return value

    def _key(self, key: str) -> str:
        return self.text(key) if key.startswith("/") else key

    def _under(self, key: str, value: Any) -> Any:  # noqa: ANN401  (JSON)
        return value if key in _OUR_WORDS else self.value(value)


def _pattern_of(host_name: str) -> re.Pattern[str] | None:
    """The host's name with whatever domain follows it; None if the name says nothing.

    A kernel that knows the short name says nothing of the domain, and files may.
    """
    short = host_name.partition(".")[0]
    if _MAY_BE_AN_ID.fullmatch(short) or short.lower() in _COMMON_NAMES:
        return None
    return re.compile(rf"(?<![\w.]){re.escape(short)}((?:\.[\w-]+)*)(?!\w)", re.IGNORECASE)


def _without_domain(match: re.Match[str]) -> str:
    last = match[1].rpartition(".")[2]
    return f"host.{last}" if last in _FILE_SUFFIXES else "host"


def make_capture(root: Root, runner: Runner, history: History) -> dict[str, Any]:
    """Read everything once and return the redacted capture as JSON data."""
    recording, recorder = RecordingRoot(root), RecordingRunner(runner)
    collect(recording, recorder)
    read_logs(Look(recording), recorder)
    try:
        host_name = root.read_text("/proc/sys/kernel/hostname").strip()
    except OSError:
        host_name = ""
    if _is_a_word_here(host_name, recording.data, recorder.commands):
        host_name = ""
    data = {**recording.data, "commands": recorder.commands, "history": encode(history)}
    redactor = Redactor(host_name)
    hide_network(data, redactor.text)
    redacted = redactor.value(data)
    _replace_hashes(redacted, Redactor(""))
    return {"schema": SCHEMA, "version": __version__, **redacted}


# Written by the distribution and the kernel; an administrator's words are not in them
_SYSTEM_FILES = (
    "/sys/bus/", "/sys/kernel/", "/lib/modules/", "/usr/share/", "/proc/modules", "/proc/cpuinfo",
    "/boot/config-", "/etc/os-release",
)  # fmt: skip
_PATH_SECTIONS = ("files", "binary", "links", "directories", "times", "exists", "errors")
_MODULE_FILE = re.compile(r"([\w-]+)\.ko\b")


def _is_a_word_here(host_name: str, data: dict[str, Any], commands: list[dict[str, Any]]) -> bool:
    """True if the host is called like a directory, a driver or a device: replacing that name
    would make another host of the capture, and left in place it tells nothing."""
    name = _pattern_of(host_name)
    return name is not None and any(name.search(text) for text in _system_texts(data, commands))


def _system_texts(data: dict[str, Any], commands: list[dict[str, Any]]) -> Iterator[str]:
    release = data["files"].get("/proc/sys/kernel/osrelease", "").strip()
    for section in _PATH_SECTIONS:
        for path in data[section]:
            for part in _parts_of_the_system(path, data["directories"]):
                # A kernel of one's own may well be named after the host
                yield part.replace(release, "") if release else part
    for section in ("files", "links"):
        for path, text in data[section].items():
            if path.startswith(_SYSTEM_FILES):
                yield text
    for command in commands:
        yield from _MODULE_FILE.findall(command["stdout"])


def _parts_of_the_system(path: str, directories: dict[str, list[str]]) -> Iterator[str]:
    """The parts of a path that the program or the kernel chose, not whoever named a file."""
    parent = ""
    for part in path.split("/")[1:]:
        is_found = part in directories.get(parent, ())
        is_of_kernel = parent.startswith("/sys/") and parent != "/sys/class/net"
        if is_of_kernel or not is_found:
            yield part
        parent = f"{parent}/{part}"


def _replace_hashes(data: dict[str, Any], redactor: Redactor) -> None:
    """Those of now and those of the baseline alike, so that they still compare."""
    digests = data["digests"].items()
    data["digests"] = {path: redactor.hashes(digest) for path, digest in digests}
    if BASELINE in data["files"]:
        data["files"][BASELINE] = redactor.hashes(data["files"][BASELINE])


def dump_capture(capture: dict[str, Any]) -> str:
    return json.dumps(capture, indent=0, sort_keys=True, ensure_ascii=True) + "\n"
