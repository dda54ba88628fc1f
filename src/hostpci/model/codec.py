"""Values to JSON and back, with the path of whatever does not fit.

Covers exactly what the models use: dataclasses, tuples, string dicts, optionals, string enums,
scalars, and unions of dataclasses told apart by their ``KIND``. Unknown keys are refused: a
plan or journal of a newer version must not be half understood.
"""

from __future__ import annotations

import types
import typing
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar

from ..errors import CorruptError

T = TypeVar("T")
Json = Any  # what json.loads returns; checked piece by piece below


class DecodeError(ValueError):
    """``path`` of the bad value within the document, and what was expected there."""

    def __init__(self, path: str, expected: str) -> None:
        super().__init__(f"{path or '.'}: {expected}")


def encode(value: object) -> Json:
    """Return ``value`` as plain JSON data; derived properties are not part of it."""
    if is_dataclass(value) and not isinstance(value, type):
        body = {item.name: encode(getattr(value, item.name)) for item in fields(value)}
        kind = getattr(value, "KIND", None)
        return body if kind is None else {"kind": kind, **body}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    if isinstance(value, dict):
        return {key: encode(item) for key, item in value.items()}
    return value


def decode(expected: type[T], data: Json, path: str = "") -> T:
    """Return ``data`` as an ``expected``. Raises DecodeError with the path of the first misfit."""
    result: T = _decode(expected, data, path)
    return result


def document(schema: str, value: object) -> dict[str, Json]:
    """Wrap an encoded value with the name and version of its schema."""
    return {"schema": schema, **encode(value)}


def open_document(expected: type[T], schema: str, data: Json, source: str) -> T:
    """Reverse of ``document``. Raises CorruptError naming ``source``."""
    try:
        if not isinstance(data, dict) or data.get("schema") != schema:
            raise DecodeError("schema", f"expected {schema}")
        body = {key: item for key, item in data.items() if key != "schema"}
        return decode(expected, body)
    except DecodeError as error:
        raise CorruptError("corrupt-document", path=source, reason=str(error)) from error


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _decode(expected: Any, data: Json, path: str) -> Any:  # noqa: ANN401
    origin = typing.get_origin(expected)
    if origin in (types.UnionType, typing.Union):
        return _decode_union(typing.get_args(expected), data, path)
    if origin is tuple:
        return _decode_tuple(typing.get_args(expected), data, path)
    if origin is dict:
        return _decode_dict(typing.get_args(expected)[1], data, path)
    if is_dataclass(expected):
        return _decode_dataclass(expected, data, path)
    if isinstance(expected, type) and issubclass(expected, Enum):
        return _decode_enum(expected, data, path)
    # bool is an int in Python, but not in JSON
    if type(data) is not expected:
        raise DecodeError(path, f"expected {expected.__name__}, found {type(data).__name__}")
    return data


def _decode_union(options: tuple[Any, ...], data: Json, path: str) -> Any:  # noqa: ANN401
    if data is None and type(None) in options:
        return None
    present = [option for option in options if option is not type(None)]
    if len(present) == 1:
        return _decode(present[0], data, path)
    kind = data.get("kind") if isinstance(data, dict) else None
    for option in present:
        if getattr(option, "KIND", None) == kind and kind is not None:
            return _decode(option, data, path)
    raise DecodeError(path, f"unknown kind {kind!r}")


def _decode_tuple(args: tuple[Any, ...], data: Json, path: str) -> tuple[Any, ...]:
    if not isinstance(data, list):
        raise DecodeError(path, "expected a list")
    return tuple(_decode(args[0], item, f"{path}[{index}]") for index, item in enumerate(data))


def _decode_dict(item_type: Any, data: Json, path: str) -> dict[str, Any]:  # noqa: ANN401
    if not isinstance(data, dict):
        raise DecodeError(path, "expected an object")
    return {key: _decode(item_type, item, f"{path}.{key}") for key, item in data.items()}


def _decode_enum(expected: type[Enum], data: Json, path: str) -> Enum:
    try:
        return expected(data)
    except ValueError as error:
        raise DecodeError(path, f"{data!r} is no {expected.__name__}") from error


def _decode_dataclass(expected: Any, data: Json, path: str) -> Any:  # noqa: ANN401
    if not isinstance(data, dict):
        raise DecodeError(path, f"expected an object ({expected.__name__})")
    known = {item.name: item for item in fields(expected)}
    for key in data:
        if key not in known and not (key == "kind" and hasattr(expected, "KIND")):
            raise DecodeError(f"{path}.{key}", f"no such key in {expected.__name__}")
    values = {}
    for name, item in known.items():
        if name in data:
            values[name] = _decode(_hints(expected)[name], data[name], f"{path}.{name}")
        elif item.default is MISSING and item.default_factory is MISSING:
            raise DecodeError(f"{path}.{name}", "missing")
    return expected(**values)
