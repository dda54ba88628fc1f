"""The knowledge base holds what its schema says, and the engine what it promises."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostpci.diagnose.engine import diagnose, judge
from hostpci.diagnose.knowledge import LANGUAGES, RISKS, Fault, load
from hostpci.diagnose.lines import messages, shown
from hostpci.diagnose.literal import alternatives, literal_of
from hostpci.diagnose.observations import IN_FACTS, IN_LOG
from hostpci.diagnose.scan import Scan
from hostpci.i18n import Catalog, all_texts
from hostpci.model.diagnosis import Severity
from hostpci.render.diagnoses import render_diagnoses

FAULTS = tuple(load().faults.values())
MARKS = {each.code for each in load().marks}


def _named(fault: Fault) -> set[str]:
    signs = {name for sign in fault.signs for name in (*sign.only_if, *sign.unless)}
    worse = {fault.worse_if} - {""}
    return {*fault.raised_by, *fault.confirms, *fault.doubts, *fault.excludes, *signs, *worse}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda each: each.code)
def test_a_fault_names_only_what_can_be_observed(fault: Fault) -> None:
    assert _named(fault) <= {*IN_LOG, *IN_FACTS, *MARKS, *load().faults}
    assert {*fault.explains, *fault.explains_later} <= set(load().faults)
    assert fault.signs or fault.raised_by
    assert fault.risk in RISKS
    assert fault.sources


@pytest.mark.parametrize("fault", FAULTS, ids=lambda each: each.code)
@pytest.mark.parametrize("language", LANGUAGES)
def test_its_texts_are_whole_in_each_language(fault: Fault, language: str) -> None:
    texts = fault.texts[language]
    assert all((texts.title, texts.cause, texts.fix, texts.cost, *texts.fix))
    is_chinese = re.search(r"[\u4e00-\u9fff]", texts.title + texts.cause) is not None
    assert is_chinese == (language == "zh")


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_every_piece_of_evidence_has_its_words(language: str) -> None:
    catalog = Catalog(language)
    named = {
        name
        for fault in FAULTS
        for name in (*fault.raised_by, *fault.confirms, *fault.doubts, *fault.excludes)
    }
    texts = {key for key in all_texts(language) if key.startswith("evidence.")}
    assert {f"evidence.{name}" for name in named} == texts - {"evidence.holds", "evidence.fails"}
    found = diagnose([RMRR, EPERM])
    shown = "\n".join(line for line, _ in render_diagnoses(found, 2, load(), catalog))
    said = f"{catalog.text('evidence.rmrr-refused')}  [vfio-pci 0000:01:00.0: DMAR"
    assert catalog.text("doctor.for", text=said) in shown


def test_every_literal_is_in_what_its_pattern_matches() -> None:
    assert literal_of(r"vfio-pci [0-9a-f:.]+: BAR [0-9][^:]*: can't reserve") == ": can't reserve"
    assert literal_of("colou?r of it") == "r of it"
    assert literal_of("(a|b) or c+d") == " or c"
    assert alternatives("one (a|b)|two[|]|three") == ("one (a|b)", "two[|]", "three")


def test_nothing_known_is_an_answer() -> None:
    assert diagnose(["a quiet line", "another"]) == ()


def test_what_is_harmless_comes_last_and_is_called_so() -> None:
    found = diagnose(
        [
            "vfio-pci 0000:01:00.0: vfio_ecap_init: hiding ecap 0x1e@0x258",
            "vfio-pci 0000:01:00.0: BAR 1: can't reserve [mem 0x90000000-0x9fffffff 64bit pref]",
        ]
    )
    assert [each.code for each in found] == ["bar-reserved-by-bootfb", "none-healthy-start"]
    assert [each.severity for each in found] == [Severity.FAULT, Severity.INFO]
    assert found[0].devices == ("0000:01:00.0",)
    assert (found[0].sightings[0].line, found[0].sightings[0].device) == (2, "0000:01:00.0")


EPERM = (
    "kvm: -device vfio-pci,host=0000:01:00.0: vfio 0000:01:00.0: failed to setup container for "
    "group 2: Failed to set group container: Operation not permitted"
)
REMAPPING = "vfio_iommu_type1_attach_group: No interrupt remapping for device 0000:01:00.0"
RMRR = (
    "vfio-pci 0000:01:00.0: DMAR: Device is ineligible for IOMMU domain attach due to platform "
    "RMRR requirement.  Contact your platform vendor."
)


@pytest.mark.parametrize(
    ("evidence", "code"),
    [
        (REMAPPING, "iommu-no-interrupt-remapping"),
        (RMRR, "iommu-rmrr"),
    ],
)
def test_the_same_message_has_the_cause_that_the_evidence_supports(
    evidence: str, code: str
) -> None:
    assert diagnose([evidence, EPERM])[0].code == code


def test_a_storm_is_counted_and_not_kept() -> None:
    line = (
        "DMAR: [DMA Read NO_PASID] Request device [01:00.0] fault addr 0x{:x} [fault reason 0x06]"
    )
    scan = Scan(load())
    scan.feed(messages(line.format(number) for number in range(20_000)))
    (worst,) = [each for each in judge(scan) if each.code == "iommu-dmar-fault"]
    assert worst.sightings[0].count == 20_000
    assert len(worst.sightings) < 10


def test_in_a_storm_a_line_that_says_more_is_not_overheard() -> None:
    flr = "kernel: vfio-pci 0000:01:00.0: not ready 65535ms after FLR; giving up"
    known = {each.code for each in diagnose([*[flr] * 100, f"{flr} GSP RPC timeout"])}
    assert "guest-nvidia-gsp-fail" in known


@settings(deadline=None)
@given(st.lists(st.text(max_size=300), max_size=30))
def test_no_log_makes_it_fail(lines: list[str]) -> None:
    for each in diagnose(lines):
        assert each.score > 0


_PIECES = sorted({sign.literal for sign in load().signs() if sign.literal})


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(_PIECES), min_size=1, max_size=6), max_size=12))
def test_no_mixture_of_known_words_makes_it_fail(rows: list[list[str]]) -> None:
    found = diagnose("01:00.0 ".join(row) for row in rows)
    assert len({each.code for each in found}) == len(found)


@pytest.mark.parametrize("piece", ["A" * 200_000, "0000:01:00.0 " * 9000, "group 1 " * 20_000])
def test_a_long_line_is_no_trap(piece: str) -> None:
    started = time.monotonic()
    diagnose([f"vfio-pci {piece} failed", *[piece[:4000]] * 20])
    assert time.monotonic() - started < 10  # a hang, not a benchmark


def test_what_is_shown_cannot_drive_a_terminal() -> None:
    hostile = "vfio-pci 0000:01:00.0: BAR 1: can't reserve [mem \x1b]0;x\x07\x1b[2J\x9b31m"
    (found, *_) = diagnose([hostile])
    assert all(char.isprintable() for char in found.sightings[0].text)
    assert shown("a\x00b") == "a b"
