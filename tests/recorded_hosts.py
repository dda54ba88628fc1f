"""Hosts described in ``tests/recorded/NAME.toml``, built into a root that readers can look at.

A description says what is peculiar to a host; everything else is as on an ordinary node of
Proxmox VE 8.4. What it says of hardware comes from a published listing, which it names.

The PCI functions are a table, one a line, like ``lspci -nn``::

    ADDRESS CLASS VENDOR:DEVICE SUBSYSTEM GROUP DRIVER [WORD...] [# NAME]

``-`` for no group or no driver; ``=`` as subsystem for the function's own ids. Words: ``bus=01``
(a bridge, with its secondary bus), ``reset=flr,bus``, ``modules=a,b`` (who could drive it, if not
the usual), ``boot_vga``, ``rev=a1``, ``builtin`` (the driver is no module), ``override=vfio-pci``,
``power=D3cold``, ``vfs=4``, ``pf=ADDRESS``, ``under=ADDRESS`` (its root bus hangs below it).
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hostpci import __version__
from hostpci.facts.claims import PATH as CLAIMS
from hostpci.facts.claims import with_claim, with_host_options
from hostpci.facts.collect import collect
from hostpci.host.capture import SCHEMA
from hostpci.host.recording import RecordingRoot
from hostpci.host.runner import RecordingRunner, ReplayRunner
from hostpci.model.claim import Claim, ClaimedFunction
from hostpci.model.facts import Facts
from hostpci.model.rule import rule_path, rule_text

from . import recorded_boot, recorded_devices
from .recorded_tree import MemoryRoot

RECORDED = Path(__file__).parent / "recorded"
_DEFAULTS: dict[str, Any] = {
    "pve": "8.4.14",
    "kernel": "6.8.12-9-pve",
    "vendor": "intel",
    "cpu": "",
    "virtualization": True,
    "firmware": "uefi",
    "secure_boot": False,
    "iommu": True,
    "remapping": True,
    "root": "lvm sda3",
    "words": "quiet",
    "route": "vmbr0",
    "modules_in_image": "",
    "loaded": "",
    "framebuffer": "",
}


@dataclass(kw_only=True)
class Function:
    """One line of the table of PCI functions."""

    address: str
    class_code: str
    ids: tuple[str, str]
    subsystem: tuple[str, str]
    group: str
    driver: str
    words: dict[str, str]
    name: str

    @property
    def bus(self) -> str:
        """``0000:01``"""
        return self.address.rpartition(":")[0]

    @property
    def is_display(self) -> bool:
        return self.class_code.startswith("03")


@dataclass(kw_only=True)
class Description:
    """A TOML file, with the defaults filled in."""

    name: str
    data: dict[str, Any]
    functions: list[Function]
    host: dict[str, Any] = field(default_factory=dict)

    def rows(self, key: str) -> list[list[str]]:
        """A table of words; what follows ``#`` is for people."""
        lines = [line.partition("#")[0].split() for line in self.data.get(key, "").splitlines()]
        return [words for words in lines if words]

    @property
    def kernel(self) -> str:
        release: str = self.host["kernel"]
        return release

    @property
    def kernels(self) -> list[str]:
        return [*self.host.get("kernels", [self.kernel])]

    @property
    def is_intel(self) -> bool:
        return bool(self.host["vendor"] == "intel")


class BuiltHost:
    """A described host: its root and what its programs answer."""

    def __init__(self, description: Description) -> None:
        self.description = description
        self.root = MemoryRoot()
        self.commands: list[dict[str, Any]] = []
        recorded_devices.build(description, self.root)
        recorded_boot.build(description, self.root, self.commands)
        for path, text in description.data.get("files", {}).items():
            self.root.file(path, text)
        for path in description.data.get("absent", ()):
            self.root.remove(path)
        for words, text in description.data.get("commands", {}).items():
            self.answer(words.split(), text)
        for slot in description.host.get("applied", ()):
            self.apply(slot)

    def answer(self, argv: list[str], stdout: str) -> None:
        self.commands = [each for each in self.commands if each["argv"] != argv]
        self.commands.append({"argv": argv, "stdout": stdout})

    def facts(self) -> Facts:
        return collect(self.root, ReplayRunner(self.commands))

    def claim(self, slot: str, accept: Sequence[str] = (), options: Sequence[str] = ()) -> Claim:
        """Claim a slot as it is plugged in, without asking whether that is wise."""
        facts = self.facts()
        functions = tuple(
            ClaimedFunction(address=each.address, identity=each.identity)
            for each in facts.inventory.of_slot(slot)
        )
        wanted = Claim(slot=slot, functions=functions, accept=tuple(accept), options=tuple(options))
        self.root.file(CLAIMS, with_claim(facts.claims.text, wanted))
        return wanted

    def set_options(self, options: Sequence[str]) -> None:
        """Knobs of the host in the claims file."""
        text = with_host_options(self.facts().claims.text, tuple(options)) if options else None
        if text is not None:
            self.root.file(CLAIMS, text)

    def apply(self, slot: str) -> None:
        """Claimed, and the rule on the root and in every image."""
        claim = self.claim(slot)
        self.root.file(rule_path(slot), rule_text(claim))
        name = rule_path(slot).rpartition("/")[2]
        for each in self.commands:
            if each["argv"][0] == "lsinitramfs":
                each["stdout"] += f"usr/lib/udev/rules.d/{name}\n"

    def capture(self) -> dict[str, Any]:
        """What ``hostpci capture`` would write, without its redaction."""
        recording = RecordingRoot(self.root)
        runner = RecordingRunner(ReplayRunner(self.commands))
        collect(recording, runner)
        return {
            "schema": SCHEMA,
            "version": __version__,
            "commands": runner.commands,
            "history": {"runs": []},
            **recording.data,
        }


def names() -> list[str]:
    return sorted(path.stem for path in RECORDED.glob("*.toml"))


def describe(name: str) -> Description:
    data = tomllib.loads((RECORDED / f"{name}.toml").read_text(encoding="utf-8"))
    lines = [line for line in data["pci"].splitlines() if line.split("#")[0].strip()]
    return Description(
        name=name,
        data=data,
        functions=[_function(line) for line in lines],
        host={**_DEFAULTS, **data.get("host", {})},
    )


def _function(line: str) -> Function:
    row, _, name = line.partition("#")
    address, class_code, ids, subsystem, group, driver, *words = row.split()
    vendor, device = ids.split(":")
    own = ids if subsystem == "=" else "0000:0000" if subsystem == "-" else subsystem
    pairs = (word.partition("=") for word in words)
    return Function(
        address=address if address.count(":") == 2 else f"0000:{address}",
        class_code=f"{class_code:0<6}",
        ids=(vendor, device),
        subsystem=(own.split(":")[0], own.split(":")[1]),
        group="" if group == "-" else group,
        driver="" if driver == "-" else driver,
        words={key: value for key, _, value in pairs},
        name=name.strip(),
    )
