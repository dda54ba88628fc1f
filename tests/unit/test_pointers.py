"""What fails names the fault that it is: a code that there is, for a thing that can fail."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import hostpci
from hostpci.diagnose.inguest import diagnose_guest, guest_lines
from hostpci.diagnose.knowledge import load
from hostpci.diagnose.pointers import (
    NO_FAULT,
    NO_FAULT_PREFIXES,
    OF_ERROR,
    OF_FINDING,
    OF_HEALTH,
    OF_PROOF,
    fault_of_error,
    fault_of_step,
    with_faults,
)
from hostpci.i18n import Catalog, all_texts
from hostpci.model.finding import Finding, Level, Outcome
from hostpci.model.proof import ProofStep
from hostpci.model.trial import Health
from hostpci.render.findings import render_finding
from hostpci.render.proof import render_proof_step

from ..guest_situations import facts_of

SOURCE = Path(hostpci.__file__).parent
EN = Catalog("en")
# The checks of a slot, and what plan refuses beside them; those of a machine say what they set
MODULES = (
    *(f"checks/{name}.py" for name in (
        "binding", "consent", "device", "elsewhere", "guests", "knobs", "known_bad", "leftovers",
        "loader", "nicnames", "platform", "risks", "ways_in",
    )),
    *(f"planner/{name}.py" for name in ("plan", "commandline")),
    *(f"guest/{name}.py" for name in ("decide", "kernels", "nvidia_plan")),
)  # fmt: skip
# What a guest lacks, or what was asked for, and no fault of its card
_GUEST_REFUSALS = {
    "guest-distribution", "guest-release", "guest-windows", "guest-container", "guest-not-root",
    "guest-machine", "guest-nvidia-installer", "guest-driver-wish", "guest-cards-differ",
}  # fmt: skip


@pytest.mark.parametrize("table", [OF_FINDING, OF_PROOF, OF_ERROR, OF_HEALTH])
def test_every_code_that_is_named_can_be_explained(table: dict[str, str]) -> None:
    assert set(table.values()) <= set(load().faults)


def test_everything_that_names_one_can_fail() -> None:
    texts = set(all_texts("en"))
    findings = {code for code in OF_FINDING if f"finding.{code}.fails" not in texts}
    assert not findings
    assert {code for code in OF_ERROR if f"error.{code}" not in texts} == set()
    proofs = {code.partition(".")[0] for code in OF_PROOF}
    assert {code for code in proofs if f"proof.{code}" not in texts} == set()
    assert set(OF_HEALTH) <= {str(each) for each in Health}


def _blocking() -> Iterator[str]:
    """The codes of all findings in these modules that may stop a plan."""
    for module in MODULES:
        for node in ast.walk(ast.parse((SOURCE / module).read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            stops = {word.arg for word in node.keywords} & {"blocks", "consent"}
            if node.func.id in ("fails", "unknown") and stops:
                code = node.args[0]
                if isinstance(code, ast.Constant):
                    yield str(code.value)


def test_what_stops_a_plan_has_a_fault_or_a_reason_why_not() -> None:
    codes = set(_blocking())
    assert len(codes) > 40
    bare = codes - OF_FINDING.keys() - NO_FAULT.keys() - _GUEST_REFUSALS
    assert {code for code in bare if not code.startswith(NO_FAULT_PREFIXES)} == set()
    assert NO_FAULT.keys() <= codes
    assert not NO_FAULT.keys() & OF_FINDING.keys()
    assert all(NO_FAULT.values())


def _finding(code: str, level: Level, outcome: Outcome = Outcome.DOES_NOT_HOLD) -> Finding:
    return Finding(code=code, outcome=outcome, level=level, subject="group 1")


def _lines(finding: Finding, named: set[str] | None = None) -> list[str]:
    return [line for line, _ in render_finding(finding, EN, named)]


def test_a_finding_that_fails_says_where_more_is() -> None:
    failed = _finding("reserved-direct", Level.FAIL)
    more = "      -> more: hostpci explain iommu-direct-map-required"
    assert more in _lines(failed)
    assert more not in _lines(_finding("reserved-direct", Level.INFO))
    assert more not in _lines(_finding("group-isolated", Level.FAIL, Outcome.NOT_MEASURED))


def test_a_report_says_it_once() -> None:
    named: set[str] = set()
    failed = _finding("reserved-direct", Level.FAIL)
    said = [*_lines(failed, named), *_lines(failed, named)]
    assert sum("explain" in line for line in said) == 1


def test_a_step_of_a_proof_says_it_by_the_answer_first() -> None:
    assert fault_of_step("vfio-group-open", "EBUSY") == "pci-in-use-by-other-vm"
    assert fault_of_step("vfio-group-open", "ENOENT") == "group-dev-node-missing"
    step = ProofStep(
        code="driver", subject="01:00.0", outcome=Outcome.DOES_NOT_HOLD, answer="nvidia"
    )
    assert any("vfio-not-bound" in line for line, _ in render_proof_step(step, EN))


def test_a_document_names_it_wherever_something_failed() -> None:
    failed = {"code": "group", "outcome": "does-not-hold"}
    held = {"code": "group", "outcome": "holds"}
    step = {"code": "vfio-viable", "outcome": "does-not-hold", "answer": "flags=0x0"}
    shown = with_faults({"findings": [failed, held], "steps": [step], "count": 3})
    assert [each.get("fault") for each in shown["findings"]] == ["iommu-no-group", None]
    assert shown["steps"][0]["fault"] == "group-not-viable"
    assert shown["count"] == 3


def test_an_error_may_know_better_than_its_code() -> None:
    assert fault_of_error("bind-failed", {}) == "vfio-bind-failed"
    assert fault_of_error("up-reset", {"fault": "gpu-fell-off-bus"}) == "gpu-fell-off-bus"
    assert fault_of_error("locked", {"path": "/run/lock"}) == ""


@pytest.mark.parametrize(
    ("situation", "code"),
    [
        ("ubuntu-2404-card-in-a-bad-state", "guest-nvidia-gsp-fail"),
        ("ubuntu-2404-blackwell-proprietary-installed", "guest-nvidia-open-required"),
        ("debian-13-navi48-firmware-too-old", "guest-amdgpu-firmware-missing"),
        ("debian-13-mok-needed", "guest-secureboot-unsigned"),
    ],
)
def test_what_a_guest_s_kernel_said_is_diagnosed(situation: str, code: str) -> None:
    facts = facts_of(situation)
    assert diagnose_guest(facts)[0].code == code
    assert guest_lines(facts)[0] == "Hypervisor detected: KVM"
