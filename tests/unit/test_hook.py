"""A claim that is lent to one machine: no boot binds it, and one script of ours asks for it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from hostpci.checks.registry import run_checks
from hostpci.errors import RefusedError, UsageError
from hostpci.executor.apply import Executor, Machine
from hostpci.executor.hook import names_of_hook
from hostpci.executor.journal import Journal
from hostpci.executor.tool import TOOL_ARGV
from hostpci.executor.undo import Undoer
from hostpci.facts.claims import PATH as CLAIMS
from hostpci.facts.claims import with_claim
from hostpci.host.files import HostFiles
from hostpci.host.runner import RefusingRunner
from hostpci.model.hook import HOOK, HOOK_TEXT, HOOK_VOLUME
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


def _named_by(host: RecordedHost, number: int, text: str = f"hookscript: {HOOK_VOLUME}\n") -> None:
    host.with_file(f"/etc/pve/qemu-server/{number}.conf", text)


@pytest.mark.parametrize("section", ["", "[before]\n"])
def test_the_script_stays_while_a_machine_of_the_node_names_it(
    guide: RecordedHost, section: str
) -> None:
    host = _lent(guide)
    carry_out(host, make_plan(host.facts()))
    _named_by(host, 200, f"name: restored\n{section}hookscript: {HOOK_VOLUME}\n")
    carry_out(host, Plan(steps=(unset_step(host.facts(), "while-vm", SLOT),)))
    assert HOOK not in _files(make_plan(host.facts()))
    _named_by(host, 200, "name: restored\n")
    assert _files(make_plan(host.facts()))[HOOK] is None


def test_a_node_can_keep_the_script_for_machines_of_others(guide: RecordedHost) -> None:
    host = as_pve(guide)
    _named_by(host, 200)
    findings = run_checks(host.facts(), SLOT).findings
    missing = [each for each in findings if each.code == "guest-hook-missing"]
    assert [each.subject for each in missing] == ["VM 200"]
    step = set_step(host.facts(), "keep-hook", "")
    carry_out(host, Plan(steps=(step,) if step else ()))
    plan = make_plan(host.facts())
    assert _files(plan) == {HOOK: HOOK_TEXT}
    carry_out(host, plan)
    assert make_plan(host.facts()).steps == ()
    assert "guest-hook-missing" not in {e.code for e in run_checks(host.facts(), SLOT).findings}


def _call(tree: Path, vmid: str) -> tuple[int, str]:
    """The script as PVE calls it, its places moved into ``tree``; the tool prints its words."""
    text = HOOK_TEXT.replace("/var/lib/hostpci", str(tree)).replace("/etc/", f"{tree}/")
    (tree / "hook.sh").write_text(text)
    ended = subprocess.run(
        ["/bin/sh", str(tree / "hook.sh"), vmid, "pre-start"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return ended.returncode, ended.stdout.strip()


@pytest.mark.processes
def test_only_a_machine_that_a_claim_is_lent_to_waits_for_the_card(tmp_path: Path) -> None:
    assert _call(tmp_path, "100") == (0, "")  # a node that claims nothing
    claims = tmp_path / "hostpci.toml"
    claims.write_text('[[claim]]\noptions = ["blacklist", "while-vm=100"]\n')
    assert _call(tmp_path, "200") == (0, "")
    assert _call(tmp_path, "10") == (0, "")
    assert _call(tmp_path, "1000") == (0, "")
    assert _call(tmp_path, "100")[0] != 0  # without the tool: no card, no start
    (tmp_path / "tool").mkdir()
    (tmp_path / "tool/hostpci.pyz").write_text("import sys\nprint(*sys.argv[1:])\nsys.exit(3)\n")
    assert _call(tmp_path, "100") == (3, "hook 100 pre-start")
    claims.unlink()
    claims.mkdir()  # what cannot be read is no leave to start
    assert _call(tmp_path, "100")[0] == 3


def test_undo_leaves_the_script_to_a_machine_that_would_not_start_without_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "var/lib/vz").mkdir(parents=True)
    configs = tmp_path / "etc/pve/qemu-server"
    configs.mkdir(parents=True)
    machine = Machine(
        files=HostFiles(str(tmp_path)), runner=RefusingRunner(), is_live=False, boot_id="one"
    )
    step = FileStep(code="hook-write", path=HOOK, before=None, after=HOOK_TEXT, mode=0o755)
    for text, left in ((f"hookscript: {HOOK_VOLUME}\n", True), ("name: x\n", False)):
        (configs / "200.conf").write_text(text)
        Executor(machine).apply(Plan(steps=(step,)), "apply")
        runs = Undoer(machine).undo(Journal(machine.files).history())
        assert [each.kept for each in runs] == [(f"{HOOK} (VM 200)",) if left else ()]
        assert (tmp_path / HOOK[1:]).exists() is left
        (tmp_path / HOOK[1:]).unlink(missing_ok=True)


def test_while_the_cluster_file_system_is_down_the_script_stays(tmp_path: Path) -> None:
    """Early in a boot that is given up: nobody knows which machines name it."""
    files = HostFiles(str(tmp_path))
    assert names_of_hook(files) == ()
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/pveversion").touch()
    assert names_of_hook(files) == ("/etc/pve/qemu-server cannot be read",)
    (tmp_path / "etc/pve/qemu-server").mkdir(parents=True)
    assert names_of_hook(files) == ()


def test_the_script_is_one_call_of_our_own_copy() -> None:
    assert HOOK_TEXT.splitlines()[-1] == f'exec {" ".join(TOOL_ARGV)} hook "$1" "$2"'
