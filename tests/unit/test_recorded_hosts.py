"""Every recorded host: what is answered equals the golden, and what must be true of it is true.

The goldens (``tests/recorded/NAME.expected.json``) are what the program says, reviewed; after a
change ``./dev goldens`` writes them anew and the difference is reviewed like code. The
expectations in the descriptions were written from what the kernel and Proxmox VE do, not from
what the program says: nothing rewrites them.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hostpci.cli.main import main
from hostpci.model.finding import Outcome

from .. import recorded_answers, recorded_hosts

REGENERATES = os.environ.get("HOSTPCI_GOLDENS") == "write"
NAMES = recorded_hosts.names()
ASKS = [
    (name, number)
    for name in NAMES
    for number, _ in enumerate(recorded_hosts.describe(name).data["ask"])
]
_MAX_KIB = 60 * 1024


@cache
def _answers(name: str) -> list[dict[str, Any]]:
    return recorded_answers.answers(name)


def test_there_are_enough_of_them() -> None:
    assert len(NAMES) >= 24


@pytest.mark.parametrize("name", NAMES)
def test_each_says_where_it_comes_from(name: str) -> None:
    data = recorded_hosts.describe(name).data
    assert data["about"]
    assert all(len(each) > 10 for each in data["source"])


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_unmeasured_that_the_host_would_answer(name: str) -> None:
    """A description says everything: what it does not name is absent, not unread."""
    told = recorded_hosts.describe(name).data.get("unmeasured", [])
    found = recorded_hosts.BuiltHost(recorded_hosts.describe(name)).facts()
    assert [each.what for each in found.unmeasured] == told


@pytest.mark.parametrize("name", NAMES)
def test_golden(name: str) -> None:
    path = recorded_hosts.RECORDED / f"{name}.expected.json"
    text = json.dumps(_answers(name), indent=1, ensure_ascii=False) + "\n"
    if REGENERATES:
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(("name", "number"), ASKS)
def test_what_must_be_true(name: str, number: int) -> None:
    ask = recorded_hosts.describe(name).data["ask"][number]
    problems = recorded_answers.broken_expectations(ask["expect"], _answers(name)[number])
    assert not problems, f"{name}: {ask.get('address', '')}: " + "; ".join(problems)


@pytest.mark.parametrize("name", NAMES)
def test_the_program_says_the_same_of_its_capture(name: str, tmp_path: Path) -> None:
    """The file that ``--host`` takes, through the front door: same findings, never a traceback."""
    host = recorded_hosts.BuiltHost(recorded_hosts.describe(name))
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(host.capture()), encoding="utf-8")
    address = host.description.data["ask"][0]["address"]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        codes = [
            main(["check", address, "--host", str(path), "--json"]),
            main(["plan", "--host", str(path)]),
            main(["scan", "--host", str(path)]),
        ]
    assert all(code in {0, 2, 3, 4, 5} for code in codes), err.getvalue()
    document = json.JSONDecoder().raw_decode(out.getvalue())[0]
    expected = [line.split()[2] for line in _answers(name)[0].get("findings", [])]
    assert [each["code"] for each in document.get("findings", [])] == expected


@pytest.mark.processes
@pytest.mark.parametrize("verb", [["check", "01:00", "--json"], ["plan", "--json"]])
def test_the_largest_fits_into_little_memory(verb: list[str], tmp_path: Path) -> None:
    sizes = {}
    for name in NAMES:
        host = recorded_hosts.BuiltHost(recorded_hosts.describe(name))
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(host.capture()), encoding="utf-8")
        sizes[path.stat().st_size] = path
    largest = sizes[max(sizes)]
    program = str(Path(__file__).parents[2] / "hostpci")
    script = (
        "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:], "
        "stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode; "
        "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    words = [sys.executable, "-c", script, sys.executable, program, *verb, "--host", str(largest)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    code, kib = (int(word) for word in done.stdout.split())
    assert code in {0, 2, 3, 4, 5}
    assert kib < _MAX_KIB


def test_outcomes_are_three() -> None:
    """The goldens write outcomes by name; a fourth would need a look at all of them."""
    assert {each.value for each in Outcome} == {"holds", "does-not-hold", "not-measured"}
