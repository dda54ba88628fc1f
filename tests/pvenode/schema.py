"""The published schema: which methods there are, and whether a call's parameters are right."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from hostpci.pve import vmoptions
from hostpci.pve.schema import FormatError, check_text, check_value, split_list

from .errors import PARAMETERS, Refusal

# How many of hostpci[n] there are [qemu-server PVE/QemuServer.pm and below]
_COUNTS = {
    "hostpci": 16, "net": 32, "ide": 4, "sata": 6, "scsi": 31, "virtio": 16, "usb": 14, "serial": 4,
    "parallel": 3, "numa": 8, "unused": 256, "ipconfig": 32, "virtiofs": 10,
}  # fmt: skip
_UNDEFINED = "property is not defined in schema and the schema does not allow additional properties"


def _vmid(text: str) -> str:
    if re.fullmatch(r"[1-9][0-9]{2,8}", text) is None:
        raise FormatError("value does not look like a valid VM ID\n")
    return text


@cache
def paths(version: int) -> dict[str, dict[str, Any]]:
    text = (Path(__file__).parent / "schema.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, Any]] = json.loads(text)[str(version)]
    return found


@cache
def _patterns(version: int) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Fixed names before those with a placeholder."""
    found = []
    for path in paths(version):
        words = [
            f"(?P<{part[1:-1].replace('-', '_')}>[^/]+)"
            if part.startswith("{")
            else re.escape(part)
            for part in path.split("/")
        ]
        found.append((re.compile("/".join(words)), path))
    return tuple(sorted(found, key=lambda each: each[1].count("{")))


def find(version: int, method: str, path: str) -> tuple[str, dict[str, str], dict[str, Any]] | None:
    """(path with its placeholders, what they are, the method), or None: PVE has no such call."""
    slim = "/" + "/".join(part for part in path.split("/") if part)
    for pattern, template in _patterns(version):
        match = pattern.fullmatch(slim)
        if match is not None and method in paths(version)[template]:
            named = {key.replace("_", "-"): value for key, value in match.groupdict().items()}
            return template, named, paths(version)[template][method]
    return None


@cache
def formats(version: int) -> dict[str, Any]:
    """The grammar that hostpci ships, and the numbers of machines."""
    return {**vmoptions.formats(version), "pve-vmid": _vmid}


@cache
def _expanded(version: int, method: str, template: str) -> dict[str, Any]:
    found = {}
    for key, schema in paths(version)[template][method]["parameters"].items():
        if key.endswith("[n]"):
            name = key.removesuffix("[n]")
            found.update({f"{name}{index}": schema for index in range(_COUNTS.get(name, 8))})
        else:
            found[key] = schema
    return found


def properties(version: int, method: str, template: str) -> dict[str, Any]:
    return _expanded(version, method, template)


def checked(version: int, method: str, template: str, params: dict[str, Any]) -> dict[str, Any]:
    """The parameters as PVE's code gets them. Raises Refusal, 400, with a text for each field."""
    known = properties(version, method, template)
    given = {key: _as_text(value) for key, value in params.items()}
    errors: dict[str, str] = {}
    for key, schema in known.items():
        value = given.get(key)
        if schema.get("type") == "array" and isinstance(value, str):
            given[key] = value = [value]
        elif isinstance(value, list) and str(schema.get("format", "")).endswith("-list"):
            given[key] = value = ",".join(value)
        _check(version, schema, value, key, errors)
    for key in given:
        if key not in known:
            errors[key] = _UNDEFINED
        elif (needed := known[key].get("requires")) and needed not in given:
            errors[needed] = f"missing property - '{key}' requires this property"
    if errors:
        raise Refusal(PARAMETERS, status=400, errors=errors)
    return given


def _check(version: int, schema: Any, value: Any, path: str, errors: dict[str, str]) -> None:
    if isinstance(value, list) and schema.get("type") == "array":
        for index, each in enumerate(value):
            _check(version, {**schema["items"], "optional": 1}, each, f"{path}[{index}]", errors)
        return
    name = schema.get("format")
    known = formats(version)
    if isinstance(name, str) and not _is_known(name, known):
        schema = {key: each for key, each in schema.items() if key != "format"}
    if isinstance(value, list):
        errors[path] = f"type check ('{schema.get('type')}') failed"
        return
    if value is None:
        if not schema.get("optional"):
            errors[path] = "property is missing and it is not optional"
        return
    errors.update(check_text(_tolerant(schema, known), value, path, known))


def _is_known(name: str, known: dict[str, Any]) -> bool:
    base, _, suffix = name.rpartition("-")
    return name in known or (suffix in {"list", "opt"} and base in known)


def _tolerant(schema: Any, known: dict[str, Any]) -> Any:
    """Inner properties whose named format is not known here are taken as they are."""
    inner = schema.get("format")
    if not isinstance(inner, dict):
        return schema
    return {**schema, "format": {key: _without(each, known) for key, each in inner.items()}}


def _without(schema: Any, known: dict[str, Any]) -> Any:
    name = schema.get("format")
    if isinstance(name, str) and not _is_known(name, known):
        return {key: each for key, each in schema.items() if key != "format"}
    return schema


def _as_text(value: Any) -> Any:
    """As Perl sees what came as JSON or as a form."""
    if isinstance(value, list | tuple):
        return [_as_text(each) for each in value]
    return str(int(value)) if isinstance(value, bool) else str(value)


def typed(schema: Any, text: str) -> str | int:
    """A value of a configuration as PVE's answers hold it."""
    kind = schema.get("type")
    is_number = kind in {"boolean", "integer"} and re.fullmatch(r"-?\d+", text) is not None
    return int(text) if is_number else text


__all__ = ["check_value", "checked", "find", "paths", "properties", "split_list", "typed"]
