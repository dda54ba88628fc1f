"""The value of ``hostpci0`` ... ``hostpci15``: text <-> model, as PVE 8.4 and 9 read it.

Source: qemu-server src/PVE/QemuServer/PCI.pm ($hostpci_fmt). The two differ in one key only:
``driver`` is there from qemu-server 9.0.25 on.
"""

from __future__ import annotations

from dataclasses import dataclass

from .formats import FORMATS
from .schema import (
    FormatError,
    Properties,
    Schema,
    Value,
    check_text,
    parse_property_string,
    print_property_string,
)

MAX_DEVICES = 16
KEYS = tuple(f"hostpci{index}" for index in range(MAX_DEVICES))
PVE8, PVE9 = 8, 9

_PCI_ID = r"(?:[a-f0-9]{4,}:)?[a-f0-9]{2}:[a-f0-9]{2}(?:\.[a-f0-9])?"
_SWITCH: Schema = {"type": "boolean", "optional": 1}
_PRETENDED_ID: Schema = {"type": "string", "optional": 1, "pattern": "^0x[0-9a-fA-F]{4}$"}
_OF_BOTH: dict[str, Schema] = {
    "host": {
        "default_key": 1, "optional": 1, "type": "string", "pattern": f"{_PCI_ID}(;{_PCI_ID})*",
    },
    "mapping": {"optional": 1, "type": "string", "format": "pve-configid"},
    "rombar": _SWITCH,
    "romfile": {"optional": 1, "type": "string", "pattern": "[^,;]+"},
    "pcie": _SWITCH,
    "x-vga": _SWITCH,
    "legacy-igd": _SWITCH,
    "mdev": {"optional": 1, "type": "string", "pattern": r"[^/\.:]+"},
    "vendor-id": _PRETENDED_ID,
    "device-id": _PRETENDED_ID,
    "sub-vendor-id": _PRETENDED_ID,
    "sub-device-id": _PRETENDED_ID,
}  # fmt: skip
_DRIVER: Schema = {"optional": 1, "type": "string", "enum": ["vfio", "keep"]}


def properties(pve: int) -> Properties:
    return _OF_BOTH if pve <= PVE8 else {**_OF_BOTH, "driver": _DRIVER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostpci:
    """One device of a VM. None and "": not given, PVE's default holds.

    ``host``: addresses as they stand there, ``;`` between them; ``mapping``: a resource mapping.
    PVE takes a value with both, or with neither, and refuses to start the VM.
    """

    host: str = ""
    mapping: str = ""
    pcie: bool | None = None
    x_vga: bool | None = None
    rombar: bool | None = None
    romfile: str = ""
    legacy_igd: bool | None = None
    mdev: str = ""
    vendor_id: str = ""
    device_id: str = ""
    sub_vendor_id: str = ""
    sub_device_id: str = ""
    driver: str = ""

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(each for each in self.host.split(";") if each)


def parse_values(text: str, *, pve: int = PVE9, path: str = "") -> dict[str, Value]:
    """What PVE makes of the text, in its own names. Raises FormatError with PVE's words."""
    return parse_property_string(properties(pve), text, path=path, formats=FORMATS)


def parse_hostpci(text: str, *, pve: int = PVE9) -> Hostpci:
    """Raises FormatError with PVE's words."""
    values = parse_values(text, pve=pve)
    fields = {
        key.replace("-", "_"): bool(value) if _is_switch(key) else value
        for key, value in values.items()
    }
    return Hostpci(**fields)  # type: ignore[arg-type]


def write_hostpci(device: Hostpci) -> str:
    """The value as PVE itself prints one: the address bare, then the keys in alphabetical order."""
    values = {key: _given(device, key) for key in properties(PVE9)}
    given = {key: value for key, value in values.items() if value is not None}
    return print_property_string(properties(PVE9), given)


def api_error(key: str, text: str, *, pve: int = PVE9) -> str | None:
    """What the API answers for the parameter ``key`` with this value; None if it takes it."""
    schema: Schema = {"optional": 1, "type": "string", "format": properties(pve)}
    return check_text(schema, text, key, FORMATS).get(key)


def host_form(address: str) -> str:
    """``01:00.0`` -> ``0000:01:00.0``: a domain that was left out is the first one."""
    return address if address.count(":") > 1 else f"0000:{address}"


def _is_switch(key: str) -> bool:
    return _OF_BOTH.get(key) is _SWITCH


def _given(device: Hostpci, key: str) -> Value | None:
    value: str | bool | None = getattr(device, key.replace("-", "_"))
    if isinstance(value, bool):
        return int(value)
    return value or None


__all__ = [
    "KEYS", "MAX_DEVICES", "PVE8", "PVE9", "FormatError", "Hostpci", "api_error", "host_form",
    "parse_hostpci", "parse_values", "properties", "write_hostpci",
]  # fmt: skip
