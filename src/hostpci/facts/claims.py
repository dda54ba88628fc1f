"""Reads and edits ``/etc/hostpci.toml``. Edits are text to text and keep everything else."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

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
# What this host keeps for virtual machines, and how. Written by hostpci; comments are kept.
# Each claim names a slot and who must sit there: if somebody else does, nothing is bound.
"""
_ID_PAIR = re.compile(r"([0-9a-f]{4}):([0-9a-f]{4})")
_RISK = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_OPTION = re.compile(r"([a-z0-9]+(?:-[a-z0-9]+)*)(?:=[A-Za-z0-9:.,_/*-]+)?")
# Without a comment inside: an item never holds "#"
_LIST = re.compile(r"([^=]*=[ \t]*)\[[^\]#]*\]([ \t]*(?:#[^\n]*)?\r?\n?)")
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
    return parse_claims_file(text)


def parse_claims_file(text: str) -> Claims:
    """Parse the file's text. Raises CorruptError that says where and why."""
    import tomllib

    try:
        data = tomllib.loads(text)
        unknown = sorted(set(data) - {"claim", "host"})
        if unknown:
            raise ValueError(f"unknown key {unknown[0]!r}")
        claims = tuple(_parse_claim(item) for item in _expect_list(data.get("claim", []), "claim"))
        slots = [claim.slot for claim in claims]
        if len(set(slots)) != len(slots):
            raise ValueError("a slot is claimed twice")
        host_options = _parse_host(data.get("host", {}))
    except (ValueError, UsageError, RecursionError) as error:
        raise CorruptError("claims-unparseable", path=PATH, reason=str(error)) from error
    return Claims(text=text, claims=claims, host_options=host_options)


def parse_claims(text: str) -> tuple[Claim, ...]:
    """The claims alone. Raises CorruptError that says where and why the file is wrong."""
    return parse_claims_file(text).claims


def _expect_list(value: Any, what: str) -> list[Any]:  # noqa: ANN401  (TOML)
    if not isinstance(value, list):
        raise ValueError(f"{what} must be a list")  # noqa: TRY004  (one error for bad files)
    return value


def _parse_claim(item: Any) -> Claim:  # noqa: ANN401  (TOML)
    needed, allowed = {"slot", "functions"}, {"slot", "functions", "accept", "options"}
    if not isinstance(item, dict) or not needed <= set(item) <= allowed:
        raise ValueError("a claim has exactly the keys slot and functions, or accept and options")
    slot = item["slot"]
    if not isinstance(slot, str) or parse_slot(slot) != slot:
        raise ValueError(f"slot must be written like 0000:01:00, found {slot!r}")
    functions = tuple(
        _parse_function(each) for each in _expect_list(item["functions"], "functions")
    )
    if not functions or any(each.address.rpartition(".")[0] != slot for each in functions):
        raise ValueError(f"functions of {slot} must be one or more functions of that slot")
    if len({each.address for each in functions}) != len(functions):
        raise ValueError(f"a function of {slot} is named twice")
    return Claim(
        slot=slot,
        functions=functions,
        accept=_names(item.get("accept", []), "accept", _RISK),
        options=_names(item.get("options", []), "options", _OPTION),
    )


def _parse_host(item: Any) -> tuple[str, ...]:  # noqa: ANN401  (TOML)
    if not isinstance(item, dict) or set(item) - {"options"}:
        raise ValueError("host is a table with exactly the key options")
    return _names(item.get("options", []), "options", _OPTION)


def _names(value: Any, what: str, form: re.Pattern[str]) -> tuple[str, ...]:  # noqa: ANN401  (TOML)
    """Strings of one form, each name once: a knob has one value."""
    found = _expect_list(value, what)
    matches = [form.fullmatch(each) if isinstance(each, str) else None for each in found]
    wrong = [each for each, match in zip(found, matches, strict=True) if match is None]
    if wrong:
        raise ValueError(f"cannot understand {what} {wrong[0]!r}")
    names = [each.partition("=")[0] for each in found]
    if len(set(names)) != len(names):
        raise ValueError(f"{what} names something twice")
    return tuple(found)


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
    before = parse_claims_file(base)
    added = _with_block(base, _claim_lines(claim))
    return _checked(added, replace(before, claims=(*before.claims, claim)))


def without_claim(text: str, slot: str) -> str | None:
    """The file's text without the claim of ``slot``; None if nothing but our header is left.

    A block goes from its ``[[claim]]`` to the last line that is neither blank nor a comment:
    what stands between two claims is the owner's. Raises CorruptError where the claim is not
    written as a block of its own.
    """
    before = parse_claims_file(text)
    pieces = _pieces(text)
    start, end = _claim_block(pieces, slot)
    left = tuple(claim for claim in before.claims if claim.slot != slot)
    return _or_none(_without_block(pieces, start, end), replace(before, claims=left))


def with_claim_changed(text: str, claim: Claim) -> str:
    """The file's text with ``accept`` and ``options`` of a claim as ``claim`` has them."""
    before = parse_claims_file(text)
    pieces = _pieces(text)
    start, end = _claim_block(pieces, claim.slot)
    block = _with_list(pieces[start:end], "accept", claim.accept)
    block = _with_list(block, "options", claim.options)
    changed = "".join([*pieces[:start], *block, *pieces[end:]])
    claims = tuple(claim if each.slot == claim.slot else each for each in before.claims)
    return _checked(changed, replace(before, claims=claims))


def with_host_options(text: str | None, options: tuple[str, ...]) -> str | None:
    """The file's text with these knobs of the host; None if nothing but our header is left."""
    base = _HEADER if text is None else text
    before = parse_claims_file(base)
    pieces = _pieces(base)
    block = next((each for each in _blocks(pieces) if _is_host(pieces[each[0]])), None)
    if block is None:
        changed = _with_block(base, ["[host]", _list_line("options", options)]) if options else base
    else:
        start, end = block
        lines = _with_list(pieces[start:end], "options", options)
        changed = "".join([*pieces[:start], *lines, *pieces[end:]])
        if len(lines) == 1 and "#" not in lines[0]:
            changed = _without_block(pieces, start, end)
    return _or_none(changed, replace(before, host_options=options))


def _or_none(text: str, expected: Claims) -> str | None:
    return None if text == _HEADER else _checked(text, expected)


def _checked(text: str, expected: Claims) -> str:
    try:
        found = parse_claims_file(text)
    except CorruptError:
        found = None
    if found != replace(expected, text=text):
        reason = "it is not written as [[claim]] blocks and one [host] block"
        raise CorruptError("claims-unparseable", path=PATH, reason=reason)
    return text


def _pieces(text: str) -> list[str]:
    """The text cut into what TOML can read alone: a blank line, a comment, a header, a value."""
    import tomllib

    pieces, unfinished = [], ""
    for line in _LINE.findall(text):
        unfinished += line
        with suppress(tomllib.TOMLDecodeError):
            tomllib.loads(unfinished)
            pieces.append(unfinished)
            unfinished = ""
    return [*pieces, unfinished] if unfinished else pieces


def _blocks(pieces: list[str]) -> list[tuple[int, int]]:
    """From each ``[[claim]]`` or ``[host]`` to after the last line that says something."""
    starts = [n for n, piece in enumerate(pieces) if _is_claim(piece) or _is_host(piece)]
    blocks = []
    for start, end in pairwise([*starts, len(pieces)]):
        said = [n for n in range(start, end) if pieces[n].strip() and pieces[n].lstrip()[0] != "#"]
        blocks.append((start, said[-1] + 1))
    return blocks


def _is_claim(piece: str) -> bool:
    return piece.lstrip().startswith("[") and _parsed(piece) == {"claim": [{}]}


def _is_host(piece: str) -> bool:
    return piece.lstrip().startswith("[") and _parsed(piece) == {"host": {}}


def _parsed(piece: str) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(piece)


def _claim_block(pieces: list[str], slot: str) -> tuple[int, int]:
    for start, end in _blocks(pieces):
        block = "".join(pieces[start:end])
        if _is_claim(pieces[start]) and [each.slot for each in parse_claims(block)] == [slot]:
            return start, end
    raise CorruptError("claims-unparseable", path=PATH, reason=f"no [[claim]] block for {slot}")


def _with_block(base: str, lines: list[str]) -> str:
    """One more block at the end of the text, after a blank line, its lines ended as the first."""
    end = _line_end(base)
    separator = "" if base.endswith("\n") else end
    return f"{base}{separator}{end}{end.join([*lines, ''])}"


def _without_block(pieces: list[str], start: int, end: int) -> str:
    """The text without a block and without the blank line that parted it from what is above."""
    above = "".join(pieces[:start])
    for blank in ("\r\n", "\n"):
        if above.endswith(f"\n{blank}"):
            above = above.removesuffix(blank)
            break
    return above + "".join(pieces[end:])


def _line_end(text: str) -> str:
    return "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"


def _with_list(block: list[str], key: str, values: tuple[str, ...]) -> list[str]:
    """The block with ``key`` set to a list; what stands beside the list on its line is kept."""
    for index, piece in enumerate(block[1:], start=1):
        if piece.lstrip().startswith("#") or key not in _parsed(piece):
            continue
        match = _LIST.fullmatch(piece)
        if match is None:
            reason = f"{key} has comments inside its list"
            raise CorruptError("claims-unparseable", path=PATH, reason=reason)
        if tuple(_parsed(piece)[key]) == values:
            return block
        whole = [f"{match[1]}{_list_text(values)}{match[2]}"] if values or "#" in match[2] else []
        return [*block[:index], *whole, *block[index + 1 :]]
    if not values:
        return block
    end = _line_end(block[0])
    last = block[-1] if block[-1].endswith("\n") else f"{block[-1]}{end}"
    return [*block[:-1], last, f"{_list_line(key, values)}{end}"]


def _list_text(values: tuple[str, ...]) -> str:
    return "[" + ", ".join(f'"{each}"' for each in values) + "]"


def _list_line(key: str, values: tuple[str, ...]) -> str:
    return f"{key} = {_list_text(values)}"


def _claim_lines(claim: Claim) -> list[str]:
    lines = ["[[claim]]", f'slot = "{claim.slot}"', "functions = ["]
    for function in claim.functions:
        who = function.identity
        lines.append(
            f'  {{ address = "{function.address}", id = "{who.vendor}:{who.device}",'
            f' subsystem = "{who.subsystem_vendor}:{who.subsystem_device}" }},'
        )
    lists = {"accept": claim.accept, "options": claim.options}
    return [*lines, "]", *(_list_line(key, values) for key, values in lists.items() if values)]
