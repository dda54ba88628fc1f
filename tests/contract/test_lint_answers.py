"""``lint --json`` says what PVE 8.4 and 9.2 answered, in the same shape."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from hostpci.cli.main import main

from ..shared import WHY_SKIPPED, answers, of_version

VALUES: list[dict[str, Any]] = answers("hostpci-oracle") or []
CONFIGS: list[dict[str, Any]] = answers("vmconf-oracle") or []
MAPPINGS: list[dict[str, Any]] = (answers("pci-mapping-oracle") or {"file_cases": []})["file_cases"]
pytestmark = pytest.mark.skipif(not VALUES, reason=WHY_SKIPPED)
each_pve = pytest.mark.parametrize("pve", [8, 9])


class Lint:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *words: str, given: str = "") -> tuple[int, dict[str, Any]]:
        stream = io.TextIOWrapper(io.BytesIO(given.encode()))
        self._monkeypatch.setattr("sys.stdin", stream)
        code = main(["lint", "--json", *words])
        document: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        return code, document


@pytest.fixture
def lint(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lint:
    return Lint(monkeypatch, capsys)


@each_pve
@pytest.mark.parametrize("case", VALUES, ids=lambda case: repr(case["value"])[:60])
def test_values(case: dict[str, Any], pve: int, lint: Lint) -> None:
    expected = of_version(case, pve)
    code, document = lint(f"--value={case['value']}", f"--pve={pve}")
    assert {key: document[key] for key in ("valid", "error", "parsed")} == {
        key: expected[key] for key in ("valid", "error", "parsed")
    }
    line = expected["conf_line"]
    assert document["warnings"] == (line["warnings"] if line else [])
    assert code == 3 or expected["valid"]


@each_pve
@pytest.mark.parametrize("case", CONFIGS, ids=lambda case: case["name"])
def test_configurations(case: dict[str, Any], pve: int, lint: Lint) -> None:
    expected = of_version(case, pve)
    code, document = lint("--config=-", f"--pve={pve}", given=case["text"])
    keys = ("config", "warnings", "rewritten", "write_error")
    assert {key: document[key] for key in keys} == {key: expected[key] for key in keys}
    assert code == 3 or not expected["warnings"]


@pytest.mark.parametrize("case", MAPPINGS, ids=lambda case: case["name"])
def test_mappings(case: dict[str, Any], lint: Lint) -> None:
    code, document = lint("--mapping=-", given=case["text"])
    keys = ("ids", "order", "warnings", "rewritten", "write_error")
    assert {key: document[key] for key in keys} == {key: case[key] for key in keys}
    assert code == 3 or not case["warnings"]
