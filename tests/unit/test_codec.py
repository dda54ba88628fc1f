"""Values to JSON and back: what does not fit is named by its path."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from hostpci.checks.registry import run_checks
from hostpci.errors import CorruptError, Exit
from hostpci.model.codec import DecodeError, decode, document, encode, open_document
from hostpci.model.facts import CpuFacts, Facts, KernelFacts
from hostpci.model.finding import Finding, Findings, Level, Outcome
from hostpci.model.journal import Applied, Begin, Done, FileImage, History, Intent, Run
from hostpci.model.plan import BindStep, CommandStep, FileStep, Plan, Reboot

from ..hosts import SLOT, VGA, RecordedHost
from .support import claimed, identity

SCHEMA = "hostpci.plan/1"
PLAN = Plan(
    steps=(
        FileStep(code="rule-write", path="/etc/a", before=None, after="b\n"),
        CommandStep(
            code="initramfs-rebuild", argv=("update-initramfs", "-u"), touches=("/boot/x",)
        ),
        BindStep(
            code="bind-now", address=VGA, identity=identity("10de:2d04:10b0:205e"), from_driver=None
        ),
    ),
    refusals=(
        Finding(code="x", outcome=Outcome.NOT_MEASURED, level=Level.WARN, params={"a": "b"}),
    ),
    reboot=Reboot.ONE,
    can_bind_now=(SLOT,),
    pending=(VGA,),
)
RUN = Run(
    number=1,
    entries=(
        Begin(verb="apply", version="0", started="now", boot_id="", plan=PLAN),
        Intent(
            step=0,
            before=(FileImage(path="/etc/a", sha256=None, xattrs={"user.a": "00"}),),
            created_directories=("/etc/x",),
        ),
        Done(step=0),
        Applied(finished="later"),
    ),
)


def plan_data() -> dict[str, Any]:
    data: dict[str, Any] = copy.deepcopy(json.loads(json.dumps(document(SCHEMA, PLAN))))
    return data


def test_a_plan_survives_the_way_through_json() -> None:
    assert open_document(Plan, SCHEMA, plan_data(), "plan.json") == PLAN


def test_a_journal_survives_the_way_through_json() -> None:
    history = History(runs=(RUN,))
    assert decode(History, json.loads(json.dumps(encode(history)))) == history


def test_the_facts_of_a_whole_host_survive_the_way_through_json(guide: RecordedHost) -> None:
    facts = claimed(guide).facts()
    assert decode(Facts, json.loads(json.dumps(encode(facts)))) == facts


def test_findings_survive_the_way_through_json(guide: RecordedHost) -> None:
    found = run_checks(guide.facts(), SLOT)
    assert decode(Findings, json.loads(json.dumps(encode(found)))) == found


def test_derived_properties_are_not_written() -> None:
    encoded = encode(Findings(slot=SLOT, findings=()))
    assert encoded == {"slot": SLOT, "findings": []}


def test_defaults_may_be_left_out() -> None:
    assert decode(Plan, {"steps": []}) == Plan(steps=())


def _set(path: str, value: object) -> dict[str, Any]:
    """The plan with one value replaced; ``path`` like ``steps.0.code``."""
    data = plan_data()
    *parents, last = path.split(".")
    place: Any = data
    for part in parents:
        place = place[int(part)] if part.isdigit() else place[part]
    place[last] = value
    return data


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (_set("steps.0.code", 1), ".steps[0].code: expected str, found int"),
        (_set("steps.0.mode", value=True), ".steps[0].mode: expected int, found bool"),
        (_set("steps.0.mode", "420"), ".steps[0].mode: expected int, found str"),
        (_set("steps.0.mode", 420.0), ".steps[0].mode: expected int, found float"),
        (_set("steps.0.before", 7), ".steps[0].before: expected str, found int"),
        (_set("steps.0.code", None), ".steps[0].code: expected str, found NoneType"),
        (_set("steps.0.kind", "link"), ".steps[0]: unknown kind 'link'"),
        (_set("steps.0.kind", None), ".steps[0]: unknown kind None"),
        (_set("steps.0.kind", ["file"]), ".steps[0]: unknown kind ['file']"),
        (_set("steps.0.sudo", value=True), ".steps[0].sudo: no such key in FileStep"),
        (_set("steps.1.argv", "rm -rf /"), ".steps[1].argv: expected a list"),
        (_set("steps.1.argv", ["a", 2]), ".steps[1].argv[1]: expected str, found int"),
        (_set("steps.2.identity", "x"), ".steps[2].identity: expected an object (Identity)"),
        (_set("steps.2.identity", {}), ".steps[2].identity.vendor: missing"),
        (_set("steps", {}), ".steps: expected a list"),
        (_set("steps", None), ".steps: expected a list"),
        (_set("reboot", "twice"), ".reboot: 'twice' is no Reboot"),
        (_set("reboot", ["one"]), ".reboot: ['one'] is no Reboot"),
        (_set("reboot", None), ".reboot: None is no Reboot"),
        (_set("refusals.0.params", []), ".refusals[0].params: expected an object"),
        (_set("refusals.0.params", {"a": 1}), ".refusals[0].params.a: expected str, found int"),
        (_set("refusals.0.blocks", 0), ".refusals[0].blocks: expected bool, found int"),
        (_set("colour", "red"), ".colour: no such key in Plan"),
        (_set("schema", "hostpci.plan/2"), "schema: expected hostpci.plan/1"),
        (_set("schema", "hostpci.findings/1"), "schema: expected hostpci.plan/1"),
        (_set("schema", None), "schema: expected hostpci.plan/1"),
    ],
)
def test_a_misfit_is_named_by_its_path(data: dict[str, Any], where: str) -> None:
    with pytest.raises(CorruptError) as caught:
        open_document(Plan, SCHEMA, data, "plan.json")
    assert caught.value.code == "corrupt-document"
    assert caught.value.exit is Exit.CORRUPT
    assert caught.value.params == {"path": "plan.json", "reason": where}


@pytest.mark.parametrize("data", [None, [], "text", 3, True, [{"schema": SCHEMA}]])
def test_a_document_is_an_object_with_a_schema(data: object) -> None:
    with pytest.raises(CorruptError):
        open_document(Plan, SCHEMA, data, "plan.json")


def test_a_missing_key_is_named() -> None:
    data = plan_data()
    del data["steps"][0]["path"]
    with pytest.raises(CorruptError, match=r"\.steps\[0\]\.path: missing"):
        open_document(Plan, SCHEMA, data, "plan.json")


def test_a_step_without_a_kind_is_not_guessed() -> None:
    data = plan_data()
    del data["steps"][0]["kind"]
    with pytest.raises(CorruptError, match=r"\.steps\[0\]: unknown kind None"):
        open_document(Plan, SCHEMA, data, "plan.json")


def test_the_root_of_a_value_is_called_a_dot() -> None:
    with pytest.raises(DecodeError, match=r"^\.: expected an object"):
        decode(CpuFacts, [])


def test_none_is_taken_only_where_the_model_allows_it() -> None:
    assert decode(CpuFacts, {"vendor": "", "model": "", "virtualization": None}).vendor == ""
    with pytest.raises(DecodeError, match=r"\.vendor: expected str, found NoneType"):
        decode(CpuFacts, {"vendor": None, "model": "", "virtualization": None})


def test_an_optional_dict_is_checked_inside() -> None:
    data = encode(
        KernelFacts(
            release="6", command_line=(), config={"A": "y"}, loaded_modules=(),
            vfio_pci_available=None,
        )
    )  # fmt: skip
    data["config"]["A"] = False
    with pytest.raises(DecodeError, match=r"\.config\.A: expected str, found bool"):
        decode(KernelFacts, data)


def test_a_kind_where_none_belongs_is_an_unknown_key() -> None:
    with pytest.raises(DecodeError, match=r"\.kind: no such key in CpuFacts"):
        decode(CpuFacts, {"kind": "gpu", "vendor": "", "model": "", "virtualization": None})
