"""``doctor`` and ``explain`` as somebody with a symptom calls them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

import hostpci
from hostpci.cli.main import main

RESERVED = "vfio-pci 0000:01:00.0: BAR 1: can't reserve [mem 0x90000000-0x9fffffff 64bit pref]"


def told(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main([*words, "--lang", "en"]) == 0
    return capsys.readouterr().out


def codes(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    found = json.loads(told(capsys, *words, "--json"))["diagnoses"]
    return [each["code"] for each in found]


def test_a_pasted_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert codes(capsys, "doctor", RESERVED) == ["bar-reserved-by-bootfb"]
    out = told(capsys, "doctor", RESERVED)
    assert "FAIL: bar-reserved-by-bootfb" in out
    assert "/proc/iomem" in out


def test_nothing_found_is_said_and_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert codes(capsys, "doctor", "all is well") == []
    assert "Nothing in these lines" in told(capsys, "doctor", "all is well")


def test_a_log_file_and_its_lines(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    log = tmp_path / "kernel.log"
    log.write_bytes(b"quiet\n" * 7 + RESERVED.encode() + b"\n\xff\xfe\x00 torn")
    document = json.loads(told(capsys, "doctor", "--log", str(log), "--json"))
    assert document["diagnoses"][0]["sightings"][0]["line"] == 8


@pytest.mark.processes
@pytest.mark.parametrize("has_grep", [True, False])
def test_a_large_log_is_read_in_part_with_the_same_result(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    has_grep: bool,
) -> None:
    if not has_grep:
        monkeypatch.setattr("hostpci.host.runner._ENVIRONMENT", {"PATH": str(tmp_path)})
        monkeypatch.setenv("PATH", str(tmp_path))
    log = tmp_path / "journal"
    noise = "Nov 25 08:00:00 node systemd[1]: Started a unit of no interest whatsoever.\n"
    log.write_text(noise * 80_000 + RESERVED + "\n" + noise * 10)
    document = json.loads(told(capsys, "doctor", "--log", str(log), "--json"))
    (found,) = [each for each in document["diagnoses"] if each["severity"] != "info"]
    assert (found["code"], found["sightings"][0]["line"]) == ("bar-reserved-by-bootfb", 80_001)


FLR = "vfio-pci 0000:01:00.0: not ready 65535ms after FLR; giving up"
GONE = "vfio-pci 0000:01:00.0: Unable to change power state from D3cold to D0, device inaccessible"


def test_a_consequence_is_told_in_short(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    log = tmp_path / "kernel.log"
    log.write_text(f"{FLR}\n{GONE}\n")
    cause, effect, *_ = told(capsys, "doctor", "--log", str(log)).split("\n\n")[1:]
    assert cause.startswith("FAIL: reset-flr-not-ready")
    assert "Cost: " in cause
    assert "a consequence of reset-flr-not-ready" in effect
    assert "Cost: " not in effect


def test_the_sources_are_a_matter_of_explain(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Sources:" not in told(capsys, "doctor", RESERVED)
    assert "Sources:\n        linux " in told(capsys, "explain", "bar-reserved-by-bootfb")


def test_of_a_host_it_says_what_was_read_and_where_to_look_next(
    capsys: pytest.CaptureFixture[str],
) -> None:
    host = Path(hostpci.__file__).parent / "data" / "guide-host.json"
    out = told(capsys, "doctor", "--host", str(host))
    assert "lspci -nnk (23)" in out
    assert "hostpci check ADDRESS" in out


def test_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(RESERVED.encode()))
    monkeypatch.setattr("sys.stdin", stdin)
    assert codes(capsys, "doctor", "--log", "-") == ["bar-reserved-by-bootfb"]


@pytest.mark.parametrize(
    "words",
    [["doctor", "x", "--log", "y"], ["doctor", "--log", "/nowhere/at/all"], ["explain", "no-code"],
     ["doctor", "--log", "/etc"]],
)  # fmt: skip
def test_wrong_words(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err


def test_explain_one_and_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert "RMRR" in told(capsys, "explain", "iommu-rmrr")
    listed = told(capsys, "explain")
    assert len(listed.splitlines()) >= 127
    assert main(["explain", "iommu-rmrr", "--lang", "zh_CN"]) == 0
    assert "固件" in capsys.readouterr().out


def test_a_number_is_explained(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "all that Linux needs" in told(capsys, "explain", "--decode", "acs", "0x1d")
    assert "fallen" in told(capsys, "explain", "--decode", "xid", "79").lower()
    table = tmp_path / "DMAR"
    table.write_bytes(b"DMAR" + (48).to_bytes(4, "little") + bytes(28) + bytes((38,)) + bytes(11))
    assert "39 bit" in told(capsys, "explain", "--decode", "dmar", str(table))


@pytest.mark.parametrize(
    "words", [("acs", "x"), ("nothing", "1"), ("ivrs", "/dev/null"), ("dmar", "/nowhere"), ("xid",)]
)
def test_what_is_no_number_is_refused(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert main(["explain", "--decode", *words, "--lang", "en"]) == 2
    assert "Traceback" not in capsys.readouterr().err
