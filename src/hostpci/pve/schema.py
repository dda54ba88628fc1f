"""PVE's property strings and the checks behind them, as PVE::JSONSchema does them.

``01:00,pcie=1`` is ``host=01:00,pcie=1``. The rules are those of pve-common
src/PVE/JSONSchema.pm (parse_property_string, check_object, check_prop), including what surprises:
``.`` and ``$`` are Perl's, so one newline at the end is overlooked, and white space is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Value = str | int
Schema = Mapping[str, Any]
# property name -> its schema
Properties = Mapping[str, Schema]
# Named formats: a function that raises FormatError, or the properties of a property string
Formats = Mapping[str, "Callable[[str], object] | Properties"]

# Perl's \s on the bytes of a file; Python's takes in the spaces of Unicode
SPACE = r"[ \t\n\r\f\v]"
# what errors of a value without a path stand under
ROOT = "_root"
_BLANK = re.compile(rf"{SPACE}*\Z")
_PAIR = re.compile(r"([^=]+)=(.+)$")
_TRUE = re.compile(r"(?:1|on|yes|true)$", re.IGNORECASE | re.ASCII)
_FALSE = re.compile(r"(?:0|off|no|false)$", re.IGNORECASE | re.ASCII)
_INTEGER = re.compile(r"[+-]?\d+$", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.\d+|\d+\.|\.\d+|\d+)(?:[eE][+-]?\d+)?$", re.ASCII)
_PERL_GROUP = re.compile(r"\(\?\^:")
_LIST_SEPARATOR = re.compile(r"[ \t\n\r\f\v,;\0]+")


class FormatError(Exception):
    """What PVE says of a value; ``str`` is its text, one line for each property that is wrong."""

    def __init__(self, message: str, errors: Mapping[str, str] | None = None) -> None:
        # Perl's hashes have no order: of several lines PVE's own is another on every call
        lines = [f"{path}: {errors[path]}\n" for path in sorted(errors)] if errors else []
        super().__init__(message + "".join(lines))
        self.message = message
        self.errors = dict(errors or {})


def parse_boolean(text: str) -> int | None:
    if _TRUE.match(text):
        return 1
    return 0 if _FALSE.match(text) else None


def is_number(text: str) -> bool:
    return _NUMBER.match(text) is not None


def is_integer(text: str) -> bool:
    return _INTEGER.match(text) is not None


def matches(pattern: str, text: str) -> bool:
    """Perl's ``=~ m/^PATTERN$/``: alternatives of the pattern are not bracketed."""
    return re.search(f"^{_PERL_GROUP.sub('(?:', pattern)}$", text, re.ASCII) is not None


def split_list(text: str) -> list[str]:
    """PVE::Tools::split_list: commas, semicolons, NULs and white space."""
    return [each for each in _LIST_SEPARATOR.split(text) if each]


def parse_property_string(
    properties: Properties, text: str, *, path: str = "", formats: Formats | None = None
) -> dict[str, Value]:
    """The properties that ``text`` gives; booleans as 0 and 1. Raises FormatError."""
    found = split_property_string(properties, text)
    errors = check_properties(properties, found, path=path, formats=formats)
    if errors:
        raise FormatError("format error\n", errors)
    return found


def split_property_string(properties: Properties, text: str) -> dict[str, Value]:
    """The same without judging them, in their order; also those that ``properties`` lacks."""
    found: dict[str, Value] = {}
    has_bare = False
    for part in _perl_split(text):
        if _BLANK.match(part):
            continue
        pair = _PAIR.match(part)
        if pair:
            _add_pair(properties, found, pair[1], pair[2])
        elif "=" in part:
            raise FormatError("missing key in comma-separated list property\n")
        else:
            _add_bare(properties, found, part, has_bare=has_bare)
            has_bare = True
    return found


def print_property_string(properties: Properties, values: Mapping[str, Value]) -> str:
    """As PVE writes it: the value of the default key bare, then required keys, then the rest."""
    default = default_key(properties)
    bare = [str(values[default])] if default is not None and default in values else []
    rest = sorted(set(values) - {default})
    rest.sort(key=lambda key: bool(properties[key].get("optional")))
    for key, value in values.items():
        if "," in str(value):
            raise FormatError(f"illegal value with commas for {key}\n")
    return ",".join([*bare, *(f"{key}={values[key]}" for key in rest)])


def _perl_split(text: str) -> list[str]:
    return text.split(",")  # the empty parts that Perl leaves out at the end are blank anyway


def _add_pair(properties: Properties, found: dict[str, Value], key: str, text: str) -> None:
    if key in found:
        raise FormatError(f"duplicate key in comma-separated list property: {key}\n")
    schema = properties.get(key, {})
    alias = schema.get("alias")
    if alias:
        named = schema.get("keyAlias")
        if named and named in found:
            raise FormatError(f"key alias '{named}' is already defined\n")
        if named:
            found[named] = key
        key, schema = alias, properties[alias]
    boolean = parse_boolean(text) if schema.get("type") == "boolean" else None
    found[key] = text if boolean is None else boolean


def _add_bare(
    properties: Properties, found: dict[str, Value], text: str, *, has_bare: bool
) -> None:
    default = default_key(properties)
    if default is None:
        raise FormatError("value without key, but schema does not define a default key\n")
    # "0" is untrue in Perl: it may be given a second time
    if has_bare or found.get(default) not in (None, 0, "0"):
        raise FormatError(f"duplicate key in comma-separated list property: {default}\n")
    found[default] = text


def default_key(properties: Properties) -> str | None:
    return next((key for key, each in properties.items() if each.get("default_key")), None)


class _Errors(dict[str, str]):
    def add(self, path: str, message: str) -> None:
        path = path if path not in ("", "0") else ROOT  # both are untrue in Perl
        # sic: JSONSchema.pm joins with the two characters backslash and n
        self[path] = rf"{self[path]}\n{message}" if path in self else message


def check_properties(
    properties: Properties,
    values: Mapping[str, Value],
    *,
    path: str = "",
    formats: Formats | None = None,
) -> dict[str, str]:
    """Path of a property -> what is wrong with it."""
    errors = _Errors()
    for key, schema in properties.items():
        check_value(schema, values.get(key), _join(path, key), errors, formats or {})
    for key in values:
        if key not in properties:
            errors.add(
                _join(path, key),
                "property is not defined in schema and the schema does not allow"
                " additional properties",
            )
            continue
        required = properties[key].get("requires")
        if isinstance(required, str) and required not in values:
            errors.add(
                _join(path, required),
                f"missing property - '{_join(path, key)}' requires this property",
            )
    return errors


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def check_value(
    schema: Schema, value: Value | None, path: str, errors: _Errors, formats: Formats
) -> None:
    """One property (check_prop): its type, then format, pattern, length, limits, enumeration."""
    if value is None:
        if not (schema.get("optional") or schema.get("alias") or schema.get("group")):
            errors.add(path, "property is missing and it is not optional")
        return
    text = str(value)
    for check in (_wrong_type, _wrong_pattern, _wrong_length, _wrong_number, _wrong_choice):
        wrong = check(schema, text)
        if not wrong and check is _wrong_type:
            wrong = _wrong_format(schema.get("format"), text, path, formats)
        if wrong:
            errors.add(path, wrong)
            return


def check_text(
    schema: Schema, text: str, path: str, formats: Formats | None = None
) -> dict[str, str]:
    """One value on its own, as the API checks a parameter: path -> what is wrong."""
    errors = _Errors()
    check_value(schema, text, path, errors, formats or {})
    return errors


_IS_OF_TYPE: Mapping[str, Callable[[str], bool]] = {
    "boolean": lambda text: text in ("0", "1"),
    "integer": is_integer,
    "number": is_number,
}


def _wrong_type(schema: Schema, text: str) -> str:
    kind = str(schema.get("type"))
    is_right = kind not in _IS_OF_TYPE or _IS_OF_TYPE[kind](text)
    return "" if is_right else f"type check ('{kind}') failed - got '{text}'"


def _wrong_format(name: str | Properties | None, text: str, path: str, formats: Formats) -> str:
    if not name:
        return ""
    try:
        check_format(name, text, path=path, formats=formats)
    except FormatError as error:
        return f"invalid format - {error}"
    return ""


def check_format(
    name: str | Properties, text: str, *, path: str = "", formats: Formats | None = None
) -> object:
    """A named format (``-list``: of each element, ``-opt``: unless empty) or properties."""
    formats = formats or {}
    if not isinstance(name, str):
        return parse_property_string(name, text, path=path, formats=formats)
    if name in formats:
        checker = formats[name]
        if callable(checker):
            return checker(text)
        return parse_property_string(checker, text, path=path, formats=formats)
    base, _, suffix = name.rpartition("-")
    checker = formats[base]
    if not callable(checker):
        raise TypeError(f"'-{suffix}' format must be a function: {name}")
    if suffix == "list":
        return [checker(each) for each in split_list(text)]
    return checker(text) if text not in ("", "0") else None


def _wrong_pattern(schema: Schema, text: str) -> str:
    pattern = schema.get("pattern")
    if pattern and not matches(pattern, text):
        return "value does not match the regex pattern"
    return ""


def _wrong_length(schema: Schema, text: str) -> str:
    longest, shortest = schema.get("maxLength"), schema.get("minLength")
    if longest is not None and len(text) > longest:
        return f"value may only be {longest} characters long"
    if shortest is not None and len(text) < shortest:
        return f"value must be at least {shortest} characters long"
    return ""


def _wrong_number(schema: Schema, text: str) -> str:
    if not is_number(text):
        return ""
    highest, lowest = schema.get("maximum"), schema.get("minimum")
    if highest is not None and float(text) > highest:
        return f"value must have a maximum value of {highest}"
    if lowest is not None and float(text) < lowest:
        return f"value must have a minimum value of {lowest}"
    return ""


def _wrong_choice(schema: Schema, text: str) -> str:
    choices = schema.get("enum")
    if choices and text not in choices:
        return f"value '{text}' does not have a value in the enumeration '{', '.join(choices)}'"
    return ""
