"""The knowledge base as values: faults with their signs, and marks that are only evidence."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from ..data.faults import FAMILIES, text_of
from ..model.diagnosis import Severity
from .blind import blind, cares_for_digits
from .literal import alternatives, literal_of

LANGUAGES = ("en", "zh")
_DEFAULT_RANK = 60
_KEYS = {
    "severity", "rank", "where", "signs", "raised-by", "confirms", "doubts", "excludes",
    "worse-if", "explains", "explains-later", "risk", "sources", "see", *LANGUAGES,
}  # fmt: skip
_SIGN_KEYS = {"match", "rank", "min", "only-if", "unless", "severity"}
RISKS = ("none", "low", "medium", "high")


class KnowledgeError(ValueError):
    """A file of ours does not hold what its schema says; a test finds it before anybody else."""


@dataclass(frozen=True, kw_only=True)
class Sign:
    """A line that points to a fault. ``only_if``, ``unless``: names of observations.

    ``at_least``: so many such lines are needed in a log that is more than an excerpt.
    """

    code: str
    pattern: str
    rank: int
    at_least: int = 1
    only_if: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    severity: Severity | None = None

    @cached_property
    def literal(self) -> str:
        return literal_of(self.pattern)

    @cached_property
    def cares_for_digits(self) -> bool:
        return cares_for_digits(self.pattern)

    @cached_property
    def blind_regex(self) -> re.Pattern[str]:
        return re.compile(blind(self.pattern))

    @cached_property
    def regex(self) -> re.Pattern[str]:
        return re.compile(self.pattern)


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """For a person. ``fix``: steps, the least risky first; ``cost``: of the fix, and its risk."""

    title: str
    cause: str
    fix: tuple[str, ...]
    cost: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that can be wrong, or that looks wrong and is not.

    ``raised_by``: observations that point to it without a line of their own. ``worse_if``: an
    observation that makes a fault of it. ``explains``: codes that are its consequences,
    ``explains_later``: only where they came after it. ``see``: verbs of ours that help.
    """

    code: str
    family: str
    severity: Severity
    rank: int
    where: tuple[str, ...]
    signs: tuple[Sign, ...]
    raised_by: tuple[str, ...]
    confirms: tuple[str, ...]
    doubts: tuple[str, ...]
    excludes: tuple[str, ...]
    worse_if: str
    explains: tuple[str, ...]
    explains_later: tuple[str, ...]
    risk: str
    sources: tuple[str, ...]
    texts: Mapping[str, Texts]
    see: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    faults: Mapping[str, Fault]
    marks: tuple[Sign, ...]

    def signs(self) -> Iterator[Sign]:
        for fault in self.faults.values():
            yield from fault.signs
        yield from self.marks


@cache
def load() -> Knowledge:
    faults = {
        fault.code: fault for family in FAMILIES for fault in _family(family, text_of(family))
    }
    marks = tomllib.loads(text_of("marks"))
    signs = (
        Sign(code=name, pattern=pattern, rank=0)
        for name, patterns in marks.items()
        for whole in patterns
        for pattern in alternatives(whole)
    )
    return Knowledge(faults=faults, marks=tuple(signs))


def _family(family: str, text: str) -> Iterator[Fault]:
    for code, body in tomllib.loads(text).items():
        unknown = set(body) - _KEYS
        if unknown or not set(LANGUAGES) <= set(body):
            raise KnowledgeError(f"{family}: {code}: {sorted(unknown) or 'a language is missing'}")
        yield _fault(code, family, body)


def _fault(code: str, family: str, body: dict[str, Any]) -> Fault:
    rank = body.get("rank", _DEFAULT_RANK)
    return Fault(
        code=code,
        family=family,
        severity=Severity(body["severity"]),
        rank=rank,
        where=tuple(body["where"]),
        signs=tuple(sign for each in body.get("signs", ()) for sign in _signs(code, rank, each)),
        raised_by=tuple(body.get("raised-by", ())),
        confirms=tuple(body.get("confirms", ())),
        doubts=tuple(body.get("doubts", ())),
        excludes=tuple(body.get("excludes", ())),
        worse_if=body.get("worse-if", ""),
        explains=tuple(body.get("explains", ())),
        explains_later=tuple(body.get("explains-later", ())),
        risk=body["risk"],
        sources=tuple(body["sources"]),
        texts={language: _texts(body[language]) for language in LANGUAGES},
        see=tuple(body.get("see", ())),
    )


def _signs(code: str, rank: int, each: str | dict[str, Any]) -> Iterator[Sign]:
    body: dict[str, Any] = {"match": each} if isinstance(each, str) else each
    if set(body) - _SIGN_KEYS:
        raise KnowledgeError(f"{code}: {sorted(set(body) - _SIGN_KEYS)}")
    severity = body.get("severity")
    for pattern in alternatives(body["match"]):
        yield Sign(
            code=code,
            pattern=pattern,
            rank=body.get("rank", rank),
            at_least=body.get("min", 1),
            only_if=tuple(body.get("only-if", ())),
            unless=tuple(body.get("unless", ())),
            severity=None if severity is None else Severity(severity),
        )


def _texts(body: dict[str, Any]) -> Texts:
    return Texts(
        title=body["title"], cause=body["cause"], fix=tuple(body["fix"]), cost=body["cost"]
    )
