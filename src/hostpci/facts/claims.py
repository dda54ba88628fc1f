"""Reads and edits ``/etc/hostpci.toml``. Edits are text to text and keep everything else."""

from __future__ import annotations

import re

from ..errors import CorruptError, UsageError
from ..host.root import Root
from ..model.address import is_function, parse_slot
from ..model.claim import Claim, ClaimedFunction, Claims
from ..model.pci import Identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PATH = "/etc/hostpci.toml"
_HEADER = """\
# What this host keeps for virtual machines. Written by "hostpci claim" and "hostpci release".
# Each claim names a slot and who must sit there: if somebody else does, nothing is bound.
"""
_ID_PAIR = re.compile(r"([0-9a-f]{4}):([0-9a-f]{4})")
_BLOCK_START = re.compile(r"^[ \t]*\[\[[ \t]*claim[ \t]*\]\][ \t]*(?:#.*)?\r?$", re.MULTILINE)
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


def read_claims(root: Root) -> Claims:
    """The claims, or none if the file is absent. Raises CorruptError if it cannot be read."""
    try:
        text = root.read_bytes(PATH).decode("utf-8")
    except FileNotFoundError:
        return Claims(text=None, claims=())
    except OSError as error:
        raise CorruptError("claims-unreadable", path=PATH, reason=error.strerror) from error
    except UnicodeDecodeError as error:
        raise CorruptError("claims-unparseable", path=PATH, reason=str(error)) from error
    return Claims(text=text, claims=parse_claims(text))


def parse_claims(text: str) -> tuple[Claim, ...]:
    """Parse the file's text. Raises CorruptError that says where and why."""
    import tomllib

    try:
        data = tomllib.loads(text)
        unknown = sorted(set(data) - {"claim"})
        if unknown:
            raise ValueError(f"unknown key {unknown[0]!r}")
        claims = tuple(_parse_claim(item) for item in _list(data.get("claim", []), "claim"))
        slots = [claim.slot for claim in claims]
        if len(set(slots)) != len(slots):
            raise ValueError("a slot is claimed twice")
    except (ValueError, UsageError, RecursionError) as error:
        raise CorruptError("claims-unparseable", path=PATH, reason=str(error)) from error
    return claims


def _list(value: Any, what: str) -> list[Any]:  # noqa: ANN401  (TOML)
    if not isinstance(value, list):
        raise ValueError(f"{what} must be a list")  # noqa: TRY004  (one error for bad files)
    return value


def _parse_claim(item: Any) -> Claim:  # noqa: ANN401  (TOML)
    if not isinstance(item, dict) or set(item) != {"slot", "functions"}:
        raise ValueError("a claim has exactly the keys slot and functions")
    slot = item["slot"]
    if not isinstance(slot, str) or parse_slot(slot) != slot:
        raise ValueError(f"slot must be written like 0000:01:00, found {slot!r}")
    functions = tuple(_parse_function(each) for each in _list(item["functions"], "functions"))
    if not functions or any(each.address.rpartition(".")[0] != slot for each in functions):
        raise ValueError(f"functions of {slot} must be one or more functions of that slot")
    if len({each.address for each in functions}) != len(functions):
        raise ValueError(f"a function of {slot} is named twice")
    return Claim(slot=slot, functions=functions)


def _parse_function(item: Any) -> ClaimedFunction:  # noqa: ANN401  (TOML)
    if not isinstance(item, dict) or set(item) != {"address", "id", "subsystem"}:
        raise ValueError("a function has exactly the keys address, id and subsystem")
    address, ids, subsystem = (item[key] for key in ("address", "id", "subsystem"))
    pairs = [
        _ID_PAIR.fullmatch(each) if isinstance(each, str) else None for each in (ids, subsystem)
    ]
    if (
        not isinstance(address, str)
        or not is_function(address)
        or pairs[0] is None
        or pairs[1] is None
    ):
        raise ValueError(f"cannot understand function {item!r}")
    return ClaimedFunction(
        address=address,
        identity=Identity(
            vendor=pairs[0][1],
            device=pairs[0][2],
            subsystem_vendor=pairs[1][1],
            subsystem_device=pairs[1][2],
        ),
    )


def with_claim(text: str | None, claim: Claim) -> str:
    """The file's text with one more claim at its end, its lines ended as the file's first one.

    Raises CorruptError where that would not be one more claim.
    """
    base = _HEADER if text is None else text
    end = "\r\n" if base.partition("\n")[0].endswith("\r") else "\n"
    separator = "" if base.endswith("\n") else end
    added = f"{base}{separator}{end}{_render(claim, end)}"
    return _checked(added, (*parse_claims(base), claim))


def _checked(text: str, expected: tuple[Claim, ...]) -> str:
    try:
        found = parse_claims(text)
    except CorruptError:
        found = ()
    if found != expected:
        reason = "the claims are not written as [[claim]] blocks"
        raise CorruptError("claims-unparseable", path=PATH, reason=reason)
    return text


def without_claim(text: str, slot: str) -> str | None:
    """The file's text without the claim of ``slot``; None if nothing but our header is left.

    A block goes from its ``[[claim]]`` to the last line that is neither blank nor a comment:
    what stands between two claims is the owner's. Raises CorruptError where the claim is not
    written as a block of its own.
    """
    starts = [match.start() for match in _BLOCK_START.finditer(text)]
    bounds = zip(starts, [*starts[1:], len(text)], strict=True) if starts else ()
    for start, end in bounds:
        length = _length_of_block(text[start:end])
        block = text[start : start + length]
        if [claim.slot for claim in parse_claims(block)] == [slot]:
            rest = _without_blank_end(text[:start]) + text[start + length :]
            left = tuple(claim for claim in parse_claims(text) if claim.slot != slot)
            return None if rest == _HEADER else _checked(rest, left)
    raise CorruptError("claims-unparseable", path=PATH, reason=f"no [[claim]] block for {slot}")


def _without_blank_end(text: str) -> str:
    """The text without the blank line at its end that parted it from the block."""
    for end in ("\r\n", "\n"):
        if text.endswith(f"\n{end}"):
            return text.removesuffix(end)
    return text


def _length_of_block(text: str) -> int:
    lines = _LINE.findall(text)
    while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
        lines.pop()
    return sum(len(line) for line in lines)


def _render(claim: Claim, end: str) -> str:
    lines = ["[[claim]]", f'slot = "{claim.slot}"', "functions = ["]
    for function in claim.functions:
        who = function.identity
        lines.append(
            f'  {{ address = "{function.address}", id = "{who.vendor}:{who.device}",'
            f' subsystem = "{who.subsystem_vendor}:{who.subsystem_device}" }},'
        )
    return end.join([*lines, "]", ""])
