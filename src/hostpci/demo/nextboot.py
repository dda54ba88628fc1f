"""What a boot would bind: reads the rule files as udev does and applies them to the devices.

Understands exactly the words our own rules use and refuses any other, so that a change of the
rule text that this file does not know is an error and not a silent agreement. The lab holds it
against the real udev.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from ..model.pci import VFIO, Inventory

_ASSIGNMENT = re.compile(r'([A-Z]+)(?:\{([^}]*)\})?(==|!=|\+=|=)"([^"]*)"')
_OF_DEVICE = re.compile(r"\[pci/([^\]]+)\](.+)")
_OUTCOMES = ("==", "!=")


class Boot:
    """One simulated boot of the devices in ``inventory``."""

    def __init__(self, inventory: Inventory, command_line: Sequence[str]) -> None:
        self._devices = {each.address: each for each in inventory.functions}
        self._words = dict(word.partition("=")[::2] for word in command_line)
        self.overrides: dict[str, str] = {}

    def run(self, rules: Mapping[str, str]) -> dict[str, str | None]:
        """Send an add event of every device through all rule files; return address -> driver.

        A function without override goes to the driver it had; None means nobody.
        """
        for address in self._devices:
            for path in sorted(rules):
                self._event(address, rules[path])
        return {
            address: self.overrides.get(address)
            or (None if device.driver == VFIO else device.driver)
            for address, device in self._devices.items()
        }

    def _event(self, kernel: str, text: str) -> None:
        lines = list(_logical_lines(text))
        labels = {}
        for number, line in enumerate(lines):
            for key, _, _, value in line:
                if key == "LABEL":
                    labels[value] = number
        properties: dict[str, str] = {}
        number = 0
        while number < len(lines):
            target = self._line(kernel, lines[number], properties)
            number = labels[target] if target else number + 1

    def _line(
        self, kernel: str, line: list[tuple[str, str, str, str]], properties: dict[str, str]
    ) -> str:
        """Apply one rule; return the label to go to, empty for the next line."""
        for key, argument, operator, value in line:
            if operator in _OUTCOMES:
                found = self._match(kernel, key, argument, value, properties)
                if found is not (operator == "=="):
                    return ""
            elif key == "IMPORT" and argument == "cmdline":
                if value not in self._words:
                    return ""
                properties[value] = self._words[value] or "1"
        return self._assign(line)

    def _match(
        self, kernel: str, key: str, argument: str, value: str, properties: Mapping[str, str]
    ) -> bool:
        match key:
            case "ACTION":
                return value == "add"
            case "SUBSYSTEM":
                return value == "pci"
            case "KERNEL":
                return kernel in value.split("|")
            case "ENV":
                return properties.get(argument, "") == value
            case "ATTR":
                return self._attribute(argument) == value
            case _:
                raise ValueError(f"unknown match {key}")

    def _attribute(self, argument: str) -> str | None:
        match = _OF_DEVICE.fullmatch(argument)
        if match is None:
            raise ValueError(f"unknown attribute {argument}")
        device = self._devices.get(match[1])
        return None if device is None else f"0x{getattr(device.identity, match[2])}"

    def _assign(self, line: list[tuple[str, str, str, str]]) -> str:
        target = ""
        for key, argument, operator, value in line:
            if operator in _OUTCOMES or key in ("LABEL", "IMPORT"):
                continue
            override = _OF_DEVICE.fullmatch(argument or "")
            if key == "GOTO":
                target = value
            elif key == "ATTR" and override and override[2] == "driver_override":
                self.overrides[override[1]] = value
            elif (key, argument) not in {("ATTR", "subsystem/drivers_probe"), ("RUN", "builtin")}:
                raise ValueError(f"unknown assignment {key}{{{argument}}}")
        return target


def _logical_lines(text: str) -> Iterator[list[tuple[str, str, str, str]]]:
    joined = text.replace("\\\n", " ")
    for line in joined.splitlines():
        words = line.strip()
        if words and not words.startswith("#"):
            found = [match.groups(default="") for match in _ASSIGNMENT.finditer(words)]
            if len(found) != len(shlex.split(words.replace('",', '" '))):
                raise ValueError(f"cannot understand rule: {words}")
            yield [(key, argument, operator, value) for key, argument, operator, value in found]
