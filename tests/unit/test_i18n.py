"""Two catalogues with the same keys, and a text for everything the program can say."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

import hostpci
from hostpci.checks.known_bad import KNOWN_BAD
from hostpci.checks.leftovers import LEVELS, VARIANTS
from hostpci.checks.loader import DOUBTS, ESP_PROBLEMS
from hostpci.errors import Exit
from hostpci.executor import apply as _apply
from hostpci.guest.agent import MATTERS
from hostpci.host.files import _FAULTS
from hostpci.i18n import Catalog, all_texts, choose_language
from hostpci.model.journal import RunState
from hostpci.model.pci import UseKind
from hostpci.model.plan import Step
from hostpci.model.risk import Risk
from hostpci.model.trial import By, Reason
from hostpci.planner.adopt import LEFT_CODES
from hostpci.planner.commandline import EDIT_FINDINGS

SOURCE = Path(hostpci.__file__).parent
EN, ZH = all_texts("en"), all_texts("zh_CN")
ERRORS = {
    "ToolError", "UsageError", "EnvironmentFault", "RefusedError", "ConflictError",
    "PartialError", "NotPermittedError", "BusyError", "CorruptError", "EditError",
    "PveError", "GuestError", "TaskFailedError",
}  # fmt: skip
SUFFIX = {"holds": "holds", "fails": "fails", "unknown": "unknown"}
# keyword arguments of the makers of findings that are no parameters of the text
NOT_PARAMS = {"blocks", "consent", "level", "outcome", "subject", "evidence", "code"}


@dataclass(frozen=True)
class Said:
    """One place in the sources that names a text and its parameters (None: not to be told)."""

    code: str
    params: frozenset[str] | None
    where: str


@cache
def sources() -> tuple[tuple[str, ast.Module], ...]:
    """All of our own but the texts, parsed once."""
    named = ((str(path.relative_to(SOURCE)), path) for path in sorted(SOURCE.rglob("*.py")))
    return tuple(
        (name, ast.parse(path.read_text(encoding="utf-8")))
        for name, path in named
        if not name.startswith("i18n/")
    )


def calls() -> Iterator[tuple[str, ast.Call, str]]:
    """Yield (name of what is called, call, place)."""
    for name, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                function = node.func
                called = function.attr if isinstance(function, ast.Attribute) else ""
                called = function.id if isinstance(function, ast.Name) else called
                yield called, node, f"{name}:{node.lineno}"


def first_text(node: ast.Call) -> str | None:
    if node.args and isinstance(node.args[0], ast.Constant):
        value = node.args[0].value
        return value if isinstance(value, str) else None
    return None


def keywords(node: ast.Call) -> frozenset[str] | None:
    names = [each.arg for each in node.keywords]
    return None if None in names else frozenset(name for name in names if name)


def said_errors() -> Iterator[Said]:
    for called, node, where in calls():
        code = first_text(node)
        if called in ERRORS and code is not None:
            yield Said(code, keywords(node), where)
    for _, code in MATTERS:
        yield Said(code, frozenset({"guest"}), "guest/agent.py:MATTERS")
    for code in sorted(set(_FAULTS.values()) | {"io-error"}):
        yield Said(code, frozenset({"path", "reason"}), "host/files.py:fault_of")


def said_findings() -> Iterator[Said]:
    for called, node, where in calls():
        code = first_text(node)
        given = keywords(node)
        params = None if given is None else given - NOT_PARAMS | {"subject"}
        if called in SUFFIX and code:
            yield Said(f"{code}.{SUFFIX[called]}", params, where)
        elif called == "Finding":
            yield from _made_by_hand(node, where)
    for code in (*LEVELS, *VARIANTS):
        params = frozenset({"subject", "value", "line", "detail"})
        yield Said(f"leftover-{code}.fails", params, "leftovers")
    for code in LEFT_CODES:
        yield Said(f"{code}.fails", frozenset({"subject", "value", "reason"}), "planner/adopt.py")
    for row in KNOWN_BAD:
        params = frozenset({"subject", "release", "fixed"})
        yield Said(f"known-bad-kernel-{row.code}.fails", params, "known_bad")
    for doubt in DOUBTS:
        yield Said(f"loader-{doubt}.fails", frozenset({"subject"}), "checks/loader.py:DOUBTS")
    for code in EDIT_FINDINGS:
        yield Said(f"{code}.fails", frozenset({"subject"}), "planner/commandline.py")
    for code in ESP_PROBLEMS:
        params = frozenset({"subject", "loaders"})
        yield Said(f"{code}.fails", params, "checks/loader.py:ESP_PROBLEMS")


def _made_by_hand(node: ast.Call, where: str) -> Iterator[Said]:
    given = {each.arg: each.value for each in node.keywords}
    code, outcome, params = given.get("code"), given.get("outcome"), given.get("params")
    if not isinstance(code, ast.Constant) or outcome is None:
        return
    text, named = ast.unparse(outcome), str(code.value)
    suffix = "holds" if "holds" in text or "HOLDS" in text else "fails"
    keys = params.keys if isinstance(params, ast.Dict) else []
    names = {key.value for key in keys if isinstance(key, ast.Constant)}
    yield Said(f"{named}.{suffix}", frozenset({*map(str, names), "subject"}), where)


def said_texts() -> Iterator[Said]:
    """Texts that are asked for by a literal code."""
    for called, node, where in calls():
        code = first_text(node)
        if called in {"text", "tell", "_text"} and code and not where.startswith("facts/"):
            yield Said(code, keywords(node), where)


STEPS = {each.__name__ for each in get_args(Step)}


def step_codes() -> set[str]:
    found = set()
    for called, node, _ in calls():
        if called in STEPS:
            given = {each.arg: each.value for each in node.keywords}
            code = given["code"]
            assert isinstance(code, ast.Constant)
            found.add(str(code.value))
    return found


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


FINDINGS = sorted(set(said_findings()), key=lambda each: (each.code, each.where))
ALL_ERRORS = sorted(set(said_errors()), key=lambda each: (each.code, each.where))
TEXTS = sorted(set(said_texts()), key=lambda each: (each.code, each.where))


def test_the_scan_of_the_sources_sees_what_is_there() -> None:
    """If the way findings or errors are written changes, these tests must not go blind."""
    assert len({each.code for each in FINDINGS}) > 60
    assert len({each.code for each in ALL_ERRORS}) > 35
    assert len(TEXTS) > 50
    assert "identity.fails" in {each.code for each in FINDINGS}
    assert "driver-competes.holds" in {each.code for each in FINDINGS}
    assert "bad-address" in {each.code for each in ALL_ERRORS}
    assert step_codes() >= {"rule-write", "grub-update", "bind-now", "claim-write"}
    assert _apply.__doc__


# the two catalogues


def test_both_languages_have_the_same_keys_in_the_same_order() -> None:
    assert list(EN) == list(ZH)


@pytest.mark.parametrize("key", sorted(EN))
def test_both_languages_have_the_same_placeholders(key: str) -> None:
    assert placeholders(EN[key]) == placeholders(ZH[key])


@pytest.mark.parametrize("texts", [EN, ZH], ids=["en", "zh_CN"])
def test_no_text_is_empty_and_every_placeholder_has_a_plain_name(texts: dict[str, str]) -> None:
    for key, text in texts.items():
        assert text.strip(), key
        assert all(name.isidentifier() for name in placeholders(text)), key


def test_chinese_texts_are_chinese() -> None:
    """Only a command to type, and words of the kernel, are the same in both."""
    commands = {"proof.vfio-container.ENOENT"}
    same = [key for key, text in ZH.items() if text == EN[key] and key not in commands]
    letters = [key for key in same if re.search(r"[a-z]{4,}.* [a-z]{4,}", EN[key])]
    assert letters == []


@pytest.mark.parametrize("language", ["en", "zh_cn"])
def test_no_key_is_written_twice(language: str) -> None:
    keys: list[object] = []
    for path in sorted((SOURCE / "i18n" / language).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Dict):
                keys += [each.value for each in node.keys if isinstance(each, ast.Constant)]
    assert len(keys) > 300
    assert len(keys) == len(set(keys))


# everything that can be said has its text


@pytest.mark.parametrize("said", FINDINGS, ids=[f"{e.code}@{e.where}" for e in FINDINGS])
def test_a_finding_has_a_text_and_every_parameter_it_names(said: Said) -> None:
    text = EN[f"finding.{said.code}"]
    assert said.params is not None
    assert placeholders(text) <= said.params
    remedy = EN.get(f"finding.{said.code.rpartition('.')[0]}.remedy", "")
    if said.code.endswith(".fails"):
        assert placeholders(remedy) <= said.params


@pytest.mark.parametrize("said", ALL_ERRORS, ids=[f"{e.code}@{e.where}" for e in ALL_ERRORS])
def test_an_error_has_a_text_and_every_parameter_it_names(said: Said) -> None:
    named = placeholders(EN[f"error.{said.code}"])
    named |= placeholders(EN.get(f"error.{said.code}.hint", ""))
    assert said.params is None or named <= said.params


@pytest.mark.parametrize("said", TEXTS, ids=[f"{e.code}@{e.where}" for e in TEXTS])
def test_a_text_that_is_asked_for_is_there_with_every_parameter_it_names(said: Said) -> None:
    named = placeholders(EN[said.code])
    assert said.params is None or named <= said.params


@pytest.mark.parametrize("code", sorted(step_codes()))
def test_a_step_has_a_title_a_reason_a_risk_and_an_undo(code: str) -> None:
    for key in (code, f"{code}.why", f"{code}.risk", f"{code}.undo"):
        assert placeholders(EN[f"step.{key}"]) == set()


@pytest.mark.parametrize(
    "key",
    [
        *(f"exit.{each.name}" for each in Exit),
        *(f"use.{each.value}" for each in UseKind),
        *(f"state.{each.value}" for each in RunState),
        *(f"trial.why.{each.value}" for each in Reason),
        *(f"trial.event.confirmed-{each.value}" for each in By),
        *(f"consent.{each.value}" for each in Risk),
    ],
)
def test_every_member_of_a_closed_set_has_a_text(key: str) -> None:
    assert EN[key]


# and nothing is left over


def named_keys() -> tuple[set[str], list[re.Pattern[str]]]:
    """Literals of the sources, and what f-strings with a literal beginning can become."""
    literals: set[str] = set()
    patterns: list[re.Pattern[str]] = []
    for _, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                literals.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = [
                    re.escape(str(part.value)) if isinstance(part, ast.Constant) else r"[\w.-]+"
                    for part in node.values
                ]
                if not parts[0].startswith("[") or parts[-1].startswith(r"\."):
                    patterns.append(re.compile("".join(parts)))
    return literals, patterns


def test_no_text_is_left_over() -> None:
    literals, patterns = named_keys()
    findings = {f"finding.{each.code}" for each in FINDINGS}
    findings |= {f"finding.{each.code.rpartition('.')[0]}.remedy" for each in FINDINGS}
    errors = {f"error.{each.code}" for each in ALL_ERRORS}
    errors |= {f"{each}.hint" for each in errors}
    steps = {*step_codes(), "unknown"}
    left = []
    for key in EN:
        family = key.partition(".")[0]
        if family == "finding":
            used = key in findings
        elif family == "error":
            used = key in errors or key in literals or key.removeprefix("error.") in literals
            used = used or key.removesuffix(".hint") in literals
            used = used or key.removeprefix("error.").removesuffix(".hint") in literals
        elif family == "step":
            used = key.split(".")[1] in steps
        else:
            used = key in literals or any(each.fullmatch(key) for each in patterns)
        left += [] if used else [key]
    assert left == []


def test_a_remedy_is_only_there_for_what_can_fail() -> None:
    failing = {
        each.code.removesuffix(".fails") for each in FINDINGS if each.code.endswith(".fails")
    }
    remedies = {
        key.removeprefix("finding.").removesuffix(".remedy")
        for key in EN
        if key.startswith("finding.") and key.endswith(".remedy")
    }
    assert remedies <= failing


# the choice of the language


@pytest.mark.parametrize(
    ("asked", "environment", "expected"),
    [
        ("en", {"LANG": "zh_CN.UTF-8"}, "en"),
        ("zh_CN", {}, "zh_CN"),
        ("zh-cn", {}, "zh_CN"),
        ("ZH", {"TERM": "linux"}, "zh_CN"),
        ("de", {"LANG": "zh_CN.UTF-8"}, "en"),
        (None, {}, "en"),
        (None, {"LANG": "zh_CN.UTF-8"}, "zh_CN"),
        (None, {"LANG": "zh_SG.UTF-8"}, "zh_CN"),
        (None, {"LANG": "zh_TW.UTF-8"}, "en"),
        (None, {"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        (None, {"LANG": "C", "LC_MESSAGES": "zh_CN.UTF-8"}, "zh_CN"),
        (None, {"LANG": "de_DE.UTF-8", "LANGUAGE": "zh_CN:en"}, "zh_CN"),
        (None, {"LANG": "zh_CN.UTF-8", "TERM": "linux"}, "en"),
        (None, {"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, "zh_CN"),
    ],
)
def test_the_language_is_what_was_asked_for_or_what_the_locale_says(
    monkeypatch: pytest.MonkeyPatch,
    asked: str | None,
    environment: dict[str, str],
    expected: str,
) -> None:
    for name in ("TERM", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert choose_language(asked) == expected


def test_a_catalogue_fills_in_what_it_is_given() -> None:
    assert Catalog("en").text("scan.group", number=8) == "IOMMU group 8"
    assert Catalog("zh_CN").text("scan.group", number=8) != "IOMMU group 8"
    assert "8" in Catalog("zh_CN").text("scan.group", number=8)


def test_a_value_with_braces_is_text_and_not_a_format() -> None:
    text = Catalog("en").text("error.no-such-directory", path="{path.__class__}{0}")
    assert text == "{path.__class__}{0} is no directory"
