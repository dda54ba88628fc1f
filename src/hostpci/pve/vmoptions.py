"""Every option that a VM's configuration can hold, and how PVE 8.4 and 9 check its value.

The published API schema says most of it (``data/pve-vm-options.json``, distilled by
``tools/vm_options.py``); it names some formats and leaves them out, so they stand here.
Sources: qemu-server src/PVE/QemuServer.pm (check_type), QemuServer/{Network,RNG,CPUConfig}.pm.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

from ..data import document
from . import hostpci
from .cpu import parse_cpu
from .formats import FORMATS, Checker
from .schema import FormatError, Formats, Properties, Schema, Value, check_format

_INTEGER = re.compile(r"\d+$", re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d+)?$", re.ASCII)
_YES = re.compile(r"(?:on|yes|true)$", re.IGNORECASE)
_NO = re.compile(r"(?:off|no|false)$", re.IGNORECASE)
_QUOTED = re.compile(r'"(.*)"$')
_BASE64: Schema = {"optional": 1, "type": "string", "pattern": r"[A-Za-z0-9+\/]+={0,2}"}
_VOLUME: Schema = {"optional": 1, "type": "string", "format": "pve-volume-id"}
_SWITCH: Schema = {"optional": 1, "type": "boolean"}
_INT: Schema = {"optional": 1, "type": "integer"}
_UUID = "[a-fA-F0-9]{8}(?:-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}"
_LEFT_OUT_BY_THE_SCHEMA: dict[str, Properties] = {
    "pve-qm-watchdog": {
        "model": {
            "default_key": 1, "optional": 1, "type": "string", "enum": ["i6300esb", "ib700"],
        },
        "action": {
            "optional": 1, "type": "string",
            "enum": ["reset", "shutdown", "poweroff", "pause", "debug", "none"],
        },
    },
    "pve-qm-boot": {
        "legacy": {"default_key": 1, "optional": 1, "type": "string", "pattern": "[acdn]{1,4}"},
        "order": {"optional": 1, "type": "string", "format": "pve-qm-bootdev-list"},
    },
    "pve-qm-cicustom": dict.fromkeys(("meta", "network", "user", "vendor"), _VOLUME),
    "pve-qm-ipconfig": {
        "ip": {"optional": 1, "type": "string", "format": "pve-ipv4-config"},
        "gw": {"optional": 1, "type": "string", "format": "ipv4", "requires": "ip"},
        "ip6": {"optional": 1, "type": "string", "format": "pve-ipv6-config"},
        "gw6": {"optional": 1, "type": "string", "format": "ipv6", "requires": "ip6"},
    },
    "pve-qm-rng": {
        "source": {
            "default_key": 1, "type": "string",
            "enum": ["/dev/urandom", "/dev/random", "/dev/hwrng"],
        },
        "max_bytes": _INT,
        "period": _INT,
    },
    "pve-qm-smbios1": {
        "uuid": {"optional": 1, "type": "string", "pattern": _UUID},
        **dict.fromkeys(
            ("version", "serial", "manufacturer", "product", "sku", "family"), _BASE64
        ),
        "base64": _SWITCH,
    },
    "pve-qemu-sev-fmt": {
        "type": {"default_key": 1, "type": "string", "enum": ["std", "es", "snp"], "maxLength": 3},
        **dict.fromkeys(("no-debug", "no-key-sharing", "allow-smt", "kernel-hashes"), _SWITCH),
    },
    "pve-qemu-tdx-fmt": {
        "type": {"default_key": 1, "type": "string", "enum": ["tdx"]},
        "attestation": {"type": "boolean"},
        "vsock-cid": {"optional": 1, "type": "integer", "minimum": 2},
        "vsock-port": {"optional": 1, "type": "integer", "minimum": 0},
    },
}  # fmt: skip
_NO_DISKS_FOR_BOOT = ("efidisk", "tpmstate")
DRIVES = re.compile(r"(?:ide|sata|scsi|virtio)\d+|efidisk0|tpmstate0")


@cache
def options(pve: int) -> Mapping[str, Schema]:
    """Key (``hostpci0``, ``memory``) -> its schema."""
    data = document("pve-vm-options.json")
    given: dict[str, Any] = dict(data["pve9"])
    if pve <= hostpci.PVE8:
        given |= data["pve8"]
    found: dict[str, Schema] = {}
    for name, schema in given.items():
        base = name.removesuffix("[n]")
        keys = [f"{base}{n}" for n in range(data["counts"][base])] if name != base else [name]
        found |= dict.fromkeys(keys, schema) if schema else {}
    return found


@cache
def formats(pve: int) -> Formats:
    known = options(pve)
    code: dict[str, Checker] = {
        "pve-qm-bootdev": partial(_check_boot_device, known),
        "pve-qm-bootdisk": partial(_check_boot_disk, known),
        "pve-vm-cpu-conf": partial(parse_cpu, pve=pve),
    }
    return {
        **FORMATS,
        **code,
        **_LEFT_OUT_BY_THE_SCHEMA,
        "pve-qm-hostpci": hostpci.properties(pve),
        "pve-qm-ide": known["ide0"]["format"],
    }


def is_drive(key: str, known: Mapping[str, Schema]) -> bool:
    return key in known and DRIVES.fullmatch(key) is not None


def _check_boot_disk(known: Mapping[str, Schema], text: str) -> str:
    if not is_drive(text, known):
        raise FormatError(f"invalid boot disk '{text}'\n")
    return text


def _check_boot_device(known: Mapping[str, Schema], text: str) -> str:
    is_disk = is_drive(text, known) and not text.startswith(_NO_DISKS_FOR_BOOT)
    is_other = re.fullmatch(r"(?:net|usb|hostpci)\d+", text) is not None and text in known
    if not is_disk and not is_other:
        raise FormatError(f"invalid boot device '{text}'\n")
    return text


def read_option(key: str, text: str, schemas: Mapping[str, Schema], pve: int) -> Value:
    """The value as PVE keeps it when it reads a configuration. Raises FormatError.

    Only the type and the format count there: enumerations, patterns and limits are the API's.
    """
    if key not in schemas:
        raise FormatError(f"unknown setting '{key}'\n")
    if "\n" in text or "\r" in text:
        raise FormatError("property contains a line feed\n")
    schema = schemas[key]
    kind = schema["type"]
    if kind == "string":
        return _read_string(schema, text, pve)
    value = _read_number(kind, text)
    if value is None:
        raise FormatError(f"type check ('{kind}') failed - got '{text}'\n")
    return value


def _read_number(kind: str, text: str) -> Value | None:
    if kind == "boolean":
        if text == "1" or _YES.match(text):
            return 1
        return 0 if text == "0" or _NO.match(text) else None
    if kind == "integer":
        return int(text) if _INTEGER.match(text) else None
    return text if _NUMBER.match(text) else None


def _read_string(schema: Schema, text: str, pve: int) -> str:
    if schema.get("format"):
        check_format(schema["format"], text, formats=formats(pve))
        return text
    quoted = _QUOTED.match(text)
    return quoted[1] if quoted else text
