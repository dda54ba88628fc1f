"""Makes captures. What is in one is what the readers asked for, redacted, and nothing else."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

from .. import __version__
from ..host.capture import SCHEMA
from ..host.recording import RecordingRoot
from ..host.root import Root
from ..host.runner import RecordingRunner, Runner
from ..model.codec import encode
from ..model.journal import History
from .capture_network import TABLES, hide_network
from .collect import collect
from .hidden import own_names
from .logs import read_logs
from .look import Look
from .redact import Redactor
from .vocabulary import Vocabulary

# Written by the distribution, the kernel and the firmware; an administrator's words are not in them
_SYSTEM_FILES = (
    "/sys/", "/lib/modules/", "/usr/share/misc/", "/proc/modules", "/proc/cpuinfo",
    "/proc/sys/kernel/osrelease", "/boot/config-", "/etc/os-release",
)  # fmt: skip
# What an administrator, or a device that somebody named, says through the kernel
_NAMED_IN_SYS = re.compile(
    r"/sys/(?:class/(?:net|block|input|iscsi\w+)|block|module|fs|devices/virtual)/"
)
# Paths that are made of what a file says
_NAMED_BY_DATA = ("/var/log/pve/", "/dev/disk/", "/etc/pve/nodes/", "/proc/spl/")
_NET = "/sys/class/net"
_PATH_SECTIONS = ("files", "binary", "links", "directories", "times", "exists", "errors", "digests")
_MODULE_FILE = re.compile(r"([\w-]+)\.ko\b")
_TABLES_OF_ADDRESSES = (*TABLES, "/proc/iomem")


def make_capture(root: Root, runner: Runner, history: History) -> dict[str, Any]:
    """Read everything once and return the redacted capture as JSON data."""
    return Maker(root, runner, history).capture


class Maker:
    """A capture, and how many things of which kind were replaced in it."""

    def __init__(self, root: Root, runner: Runner, history: History) -> None:
        recording, recorder = RecordingRoot(root), RecordingRunner(runner)
        collect(recording, recorder)
        read_logs(Look(recording), recorder)
        data = {**recording.data, "commands": recorder.commands}
        host_name = _host_name(root)
        if _is_a_word_here(host_name, data):
            host_name = ""
        names = {
            name: kind
            for name, kind in own_names(root).items()
            if len(name) < _MAX_NAME and not _is_a_word_here(name, data)
        }
        redactor = Redactor(
            host_name, names=names, vocabulary=Vocabulary(_words_of_the_system(data))
        )
        hide_network(data, redactor.patterns)
        redacted = _Redacting(data, redactor).everything()
        redacted["history"] = redactor.value(encode(history))
        self.capture = {"schema": SCHEMA, "version": __version__, **redacted}
        self.replaced = redactor.counts


_MAX_NAME = 200


def _host_name(root: Root) -> str:
    try:
        return root.read_text("/proc/sys/kernel/hostname").strip()
    except OSError:
        return ""


class _Redacting:
    """Each part of a recording, the way it deserves."""

    def __init__(self, data: dict[str, Any], redactor: Redactor) -> None:
        self._data = data
        self._redactor = redactor
        self._paths: dict[str, str] = {"": ""}

    def everything(self) -> dict[str, Any]:
        data, path, text = self._data, self._path, self._redactor.text
        return {
            "files": {path(each): self._file(each, said) for each, said in data["files"].items()},
            "binary": {
                path(each): self._binary(each, said) for each, said in data["binary"].items()
            },
            "links": {path(each): self._link(each, to) for each, to in data["links"].items()},
            "directories": {
                path(each): [self._part(each, name) for name in names]
                for each, names in data["directories"].items()
            },
            "times": {path(each): time for each, time in data["times"].items()},
            "exists": {path(each): found for each, found in data["exists"].items()},
            "errors": {path(each): error for each, error in data["errors"].items()},
            "holders": {path(each): [text(name) for name in names]
                        for each, names in data["holders"].items()},
            # A file's hash gives away the few unknown words in it to whoever tries them all
            "digests": {path(each): text(digest) for each, digest in data["digests"].items()},
            "commands": [self._command(each) for each in data["commands"]],
        }  # fmt: skip

    def _path(self, path: str) -> str:
        known = self._paths.get(path)
        if known is None:
            parent, _, name = path.rpartition("/")
            known = self._paths[path] = f"{self._path(parent)}/{self._part(parent, name)}"
        return known

    def _part(self, parent: str, name: str) -> str:
        """A name within a directory. The kernel's names, and those that we ask for, are known."""
        is_of_kernel = parent.startswith("/sys/") and parent != _NET
        is_found = name in self._data["directories"].get(parent, ())
        if is_found and not is_of_kernel:
            return self._redactor.text(name)
        return self._redactor.patterns(name)

    def _file(self, path: str, text: str) -> str:
        if path in _TABLES_OF_ADDRESSES:
            return self._redactor.text(text, any_hex=True)
        if path.startswith(_SYSTEM_FILES) and not _NAMED_IN_SYS.match(path):
            return self._redactor.patterns(text)
        return self._redactor.text(text)

    def _link(self, path: str, target: str) -> str:
        if not path.startswith("/sys/"):
            return self._redactor.text(target)
        if path.startswith(f"{_NET}/"):
            place, _, name = target.rpartition("/")
            return (
                f"{self._redactor.patterns(place)}{'/' if place else ''}{self._redactor.text(name)}"
            )
        return self._redactor.patterns(target)

    def _binary(self, path: str, encoded: str) -> str:
        """What is no UTF-8 is somebody's text in another alphabet, but for the firmware's own."""
        if path.startswith("/sys/firmware/"):
            return encoded
        text = base64.b64decode(encoded).decode("utf-8", "surrogateescape")
        redacted = self._redactor.text(text).encode("utf-8", "surrogateescape")
        return base64.b64encode(redacted).decode("ascii")

    def _command(self, command: dict[str, Any]) -> dict[str, Any]:
        words = [
            self._path(word) if word.startswith("/") else self._redactor.patterns(word)
            for word in command["argv"]
        ]
        return {"argv": words, "stdout": self._redactor.text(command["stdout"])}


# The words of the host's own system


def _is_a_word_here(name: str, data: dict[str, Any]) -> bool:
    """True if the host is called like a directory, a driver or a device: replacing that name
    would make another host of the capture, and left in place it tells nothing."""
    short = name.partition(".")[0]
    pattern = re.compile(rf"(?<!\w){re.escape(short)}(?!\w)", re.IGNORECASE)
    return any(pattern.search(text) for text in _system_texts(data))


def _words_of_the_system(data: dict[str, Any]) -> Iterator[str]:
    for text in _system_texts(data):
        yield from re.findall(r"[^\W_]+", text)
    releases = [data["files"].get("/proc/sys/kernel/osrelease", "")]
    releases += [
        name for path in ("/boot", "/lib/modules") for name in data["directories"].get(path, ())
    ]
    for release in releases:
        yield from re.findall(r"[^\W_]+", release)


def _system_texts(data: dict[str, Any]) -> Iterator[str]:
    release = data["files"].get("/proc/sys/kernel/osrelease", "").strip()

    def cleaned(text: str) -> str:
        # A kernel of one's own may well be named after the host
        return text.replace(release, "") if release else text

    for section in _PATH_SECTIONS:
        for path in data[section]:
            yield from map(cleaned, _parts_of_the_system(path, data["directories"]))
    for path, text in data["files"].items():
        if path.startswith(_SYSTEM_FILES) and not _NAMED_IN_SYS.match(path):
            yield cleaned(text)
    for path, target in data["links"].items():
        if path.startswith("/sys/") and not path.startswith(f"{_NET}/"):
            yield target
    for command in data["commands"]:
        yield from _MODULE_FILE.findall(command["stdout"])


def _parts_of_the_system(path: str, directories: dict[str, list[str]]) -> Iterator[str]:
    """The parts of a path that the program or the kernel chose, not whoever named a file."""
    if path.startswith(_NAMED_BY_DATA):
        return
    parent = ""
    for part in path.split("/")[1:]:
        is_found = part in directories.get(parent, ())
        is_of_kernel = parent.startswith("/sys/") and parent != _NET
        if is_of_kernel or not is_found:
            yield part
        parent = f"{parent}/{part}"


def dump_capture(capture: dict[str, Any]) -> str:
    return json.dumps(capture, indent=0, sort_keys=True, ensure_ascii=True) + "\n"
