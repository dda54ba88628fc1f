"""Laws of trials: undo after an apply on trial is the identity, whatever the change is."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hostpci.demo.scratch import fingerprint
from hostpci.executor.apply import Executor, Machine
from hostpci.executor.journal import read_history
from hostpci.executor.tool import TOOL_ARGV, drop_tool, install_tool
from hostpci.executor.undo import Undoer
from hostpci.facts.collect import collect
from hostpci.facts.trial import GRUB_CUSTOM, read_trial_facts
from hostpci.host.files import HostFiles
from hostpci.model.facts import Loader
from hostpci.model.trial import Trial
from hostpci.planner.plan import make_plan
from hostpci.planner.trial import Wish, plan_trial

from ..trials import RELEASE, trial_host
from .hosts import FakeHostRunner
from .test_laws import claim_guide

OURS = ("/var/lib/hostpci",)
VARIATIONS = {
    "rival in initramfs": lambda host: host.with_modules_in_initramfs("snd_hda_intel"),
    "own custom.cfg": lambda host: host.with_file(GRUB_CUSTOM, "set x=y"),
    "custom.cfg is not read": lambda host: host.with_file("/boot/grub/grub.cfg", "set default=0\n"),
    "root on LVM": lambda host: host.with_file(
        "/proc/self/mounts", "/dev/mapper/pve-root / ext4 rw 0 0\n"
    ),
    "intel, default off": lambda host: host.as_intel_default_off(),
}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    names=st.sets(st.sampled_from(sorted(VARIATIONS))),
    within_s=st.sampled_from([None, 600]),
    first_ended=st.booleans(),
)
def test_undo_after_an_apply_on_trial_is_the_identity(
    names: set[str], within_s: int | None, *, first_ended: bool
) -> None:
    host = trial_host()
    for name in sorted(names):
        VARIATIONS[name](host)
    with tempfile.TemporaryDirectory() as directory:
        root = host.tree(Path(directory))
        runner = FakeHostRunner(directory, host)
        machine = Machine(files=HostFiles(directory), runner=runner, is_live=False, boot_id="one")
        before = fingerprint(directory, OURS)
        claim_guide(machine, root, runner)
        facts = collect(root, runner)
        plan = make_plan(facts)
        assert plan.steps
        wish = Wish(trial=Trial(within_s=within_s), command=TOOL_ARGV, language="en", run=3)
        trial = plan_trial(facts, read_trial_facts(root, Loader.GRUB), plan, wish)
        install_tool(machine.files)
        watching = Executor(machine).apply(trial.plan, "trial", trial.trial)
        Executor(machine).apply(plan, "apply")
        if first_ended:  # as confirm does: the trial's own parts go first
            history = read_history(root)
            Undoer(machine).undo(type(history)(runs=(history.runs[watching.number - 1],)))
        Undoer(machine).undo(read_history(root))
        drop_tool(machine.files, read_history(root))
        assert fingerprint(directory, OURS) == before
        assert not Path(f"{directory}/boot/hostpci").exists()


def test_the_copied_image_is_the_one_that_booted(tmp_path: Path) -> None:
    host = trial_host().with_modules_in_initramfs("snd_hda_intel")
    root = host.tree(tmp_path)
    runner = FakeHostRunner(str(tmp_path), host)
    machine = Machine(files=HostFiles(str(tmp_path)), runner=runner, is_live=False, boot_id="one")
    claim_guide(machine, root, runner)
    facts = collect(root, runner)
    plan = make_plan(facts)
    wish = Wish(trial=Trial(within_s=600), command=TOOL_ARGV, language="en", run=3)
    trial = plan_trial(facts, read_trial_facts(root, Loader.GRUB), plan, wish)
    image = tmp_path / f"boot/initrd.img-{RELEASE}"
    booted = image.read_bytes()
    Executor(machine).apply(trial.plan, "trial", trial.trial)
    Executor(machine).apply(plan, "apply")
    assert image.read_bytes() != booted
    assert (tmp_path / f"boot/hostpci/initrd.img-{RELEASE}").read_bytes() == booted
