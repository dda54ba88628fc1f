"""A claim that is lent to one machine: no boot binds it, and one script of ours asks for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hostpci.checks.registry import run_checks
from hostpci.errors import RefusedError, UsageError
from hostpci.executor.tool import TOOL_ARGV
from hostpci.facts.claims import PATH as CLAIMS
from hostpci.facts.claims import with_claim
from hostpci.model.hook import HOOK, HOOK_TEXT
from hostpci.model.knob import lent_to
from hostpci.model.plan import FileStep, Plan, Reboot
from hostpci.model.rule import rule_path
from hostpci.planner.hook import needs_tool
from hostpci.planner.knobstates import knob_states
from hostpci.planner.plan import make_plan
from hostpci.planner.turn import set_step, unset_step

from ..hosts import SLOT, RecordedHost
from .support import carry_out, claim_of, claimed, existing, on_vfio, with_rule

_LENT = "while-vm=100"


def as_pve(host: RecordedHost) -> RecordedHost:
    host.data["commands"].append({"argv": ["pveversion"], "stdout": "pve-manager/9.1.1\n"})
    return existing(host, "/usr/bin/pveversion").without(HOOK)


def _lent(host: RecordedHost) -> RecordedHost:
    """The slot is claimed, bound by an earlier apply, and from now on lent."""
    host = on_vfio(with_rule(claimed(as_pve(host)), after_image_s=-1))
    return carry_out(host, Plan(steps=(_step(host),)))


def _step(host: RecordedHost) -> FileStep:
    step = set_step(host.facts(), _LENT, SLOT)
    assert step is not None
    return step


def _files(plan: Plan) -> dict[str, str | None]:
    return {step.path: step.after for step in plan.steps if isinstance(step, FileStep)}


def test_the_rule_goes_and_the_script_comes(guide: RecordedHost) -> None:
    plan = make_plan(_lent(guide).facts())
    assert _files(plan) == {rule_path(SLOT): None, HOOK: HOOK_TEXT}
    modes = {step.path: step.mode for step in plan.steps if isinstance(step, FileStep)}
    assert modes[HOOK] == 0o755
    assert needs_tool(plan)


def test_then_nothing_is_left_to_do_wherever_the_card_is(guide: RecordedHost) -> None:
    host = _lent(guide)
    carry_out(host, make_plan(host.facts()))
    with_the_machine = make_plan(host.facts())
    for each in host.facts().inventory.of_slot(SLOT):
        host.with_driver(each.address, "snd_hda_intel" if each.address[-1] == "1" else None)
    with_the_host = make_plan(host.facts(), bind_now=True)
    for plan in (with_the_machine, with_the_host):
        assert (plan.steps, plan.refusals, plan.reboot) == ((), (), Reboot.NONE)
    codes = {each.code for each in run_checks(host.facts(), SLOT).findings}
    assert "lent" in codes
    assert not codes & {"bound", "persisted"}


def test_turned_back_the_script_goes_and_the_rule_comes(guide: RecordedHost) -> None:
    host = _lent(guide)
    carry_out(host, make_plan(host.facts()))
    carry_out(host, Plan(steps=(unset_step(host.facts(), "while-vm", SLOT),)))
    plan = make_plan(host.facts())
    assert _files(plan)[HOOK] is None
    assert _files(plan)[rule_path(SLOT)] is not None


def test_the_state_of_the_option_is_that_of_its_script(guide: RecordedHost) -> None:
    host = _lent(guide)
    before = {each.name: each for each in knob_states(host.facts(), SLOT).knobs}["while-vm"]
    carry_out(host, make_plan(host.facts()))
    after = {each.name: each for each in knob_states(host.facts(), SLOT).knobs}["while-vm"]
    assert (before.persisted, after.persisted) == (False, True)


def test_a_host_without_pve_calls_no_script(guide: RecordedHost) -> None:
    with pytest.raises(RefusedError) as caught:
        set_step(claimed(guide).facts(), _LENT, SLOT)
    assert caught.value.params["reason"] == "knob-while-vm-no-pve"


def test_a_driver_that_does_not_let_go_is_no_lender(guide: RecordedHost) -> None:
    host = claimed(as_pve(guide)).with_driver(f"{SLOT}.0", "nouveau")
    with pytest.raises(RefusedError) as caught:
        set_step(host.facts(), _LENT, SLOT)
    assert caught.value.params["reason"] == "knob-while-vm-driver"


@pytest.mark.parametrize(
    "option", ["while-vm", "while-vm=", "while-vm=x", "while-vm=12", "while-vm=0100"]
)
def test_it_takes_a_number_of_a_machine(guide: RecordedHost, option: str) -> None:
    with pytest.raises(UsageError):
        set_step(claimed(as_pve(guide)).facts(), option, SLOT)


def test_a_number_in_the_file_that_is_none_keeps_the_claim_bound(guide: RecordedHost) -> None:
    claim = replace(claim_of(guide.facts()), options=("while-vm=7",))
    host = guide.with_file(CLAIMS, with_claim(None, claim))
    assert lent_to(claim) is None
    assert [each.code for each in make_plan(host.facts()).refusals] == ["knob-value"]


def test_the_script_is_one_call_of_our_own_copy() -> None:
    assert HOOK_TEXT.splitlines()[-1] == f'exec {" ".join(TOOL_ARGV)} hook "$1" "$2"'
