"""Laws of knobs and of adopting: after apply nothing is left to do, after undo all is as before."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hostpci.demo.scratch import fingerprint
from hostpci.executor.apply import Executor, Machine
from hostpci.executor.journal import read_history
from hostpci.executor.undo import Undoer
from hostpci.facts.collect import collect
from hostpci.host.files import HostFiles
from hostpci.host.root import TreeRoot
from hostpci.model.facts import Facts
from hostpci.model.plan import Plan
from hostpci.planner.adopt import adopt_plan
from hostpci.planner.plan import make_plan
from hostpci.planner.turn import set_step, unset_step

from ..hosts import SLOT, RecordedHost
from ..unit.test_adopt import with_guide
from .hosts import FakeHostRunner
from .test_laws import claim_guide

OURS = ("/var/lib/hostpci",)
# What the guide's own host lets one turn, and on what
KNOBS = {
    "iommu-pt": "", "vfio-modules": "", "vfio-modules=vfio_pci": "", "disable-vga": "",
    "disable-idle-d3": "", "kvm-ignore-msrs": "", "kvm-quiet-msrs": "", "initramfs-all": "",
    "bind-by-ids": SLOT, "blacklist=nouveau": SLOT, "softdep": SLOT, "softdep=nouveau": SLOT,
}  # fmt: skip
SLOW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Host:
    """A recorded host laid out as a tree, with what acts on it."""

    def __init__(self, directory: str, recorded: RecordedHost) -> None:
        self.directory = directory
        self.root: TreeRoot = recorded.tree(Path(directory))
        self.runner = FakeHostRunner(directory, recorded)
        files = HostFiles(directory)
        self.machine = Machine(files=files, runner=self.runner, is_live=False, boot_id="one")

    def facts(self) -> Facts:
        return collect(self.root, self.runner)

    def carry_out(self, plan: Plan) -> None:
        assert plan.refusals == ()
        Executor(self.machine).apply(plan, "apply")

    def turn(self, option: str) -> None:
        step = set_step(self.facts(), option, KNOBS[option])
        self.carry_out(Plan(steps=(step,) if step else ()))

    def apply(self) -> None:
        self.carry_out(make_plan(self.facts()))
        assert make_plan(self.facts()).steps == ()

    def undo(self) -> None:
        Undoer(self.machine).undo(read_history(self.root))

    @property
    def content(self) -> dict[str, str]:
        return fingerprint(self.directory, OURS)


@SLOW
@given(options=st.lists(st.sampled_from(sorted(KNOBS)), max_size=5), inside=st.booleans())
def test_any_knobs_in_any_order_leave_nothing_to_do_and_nothing_behind(
    *, options: list[str], inside: bool
) -> None:
    recorded = RecordedHost()
    if inside:
        recorded.with_modules_in_initramfs("vfio-pci")
    with tempfile.TemporaryDirectory() as directory:
        host = Host(directory, recorded)
        before = host.content
        claim_guide(host.machine, host.root, host.runner)
        host.apply()
        claimed = host.content
        for option in options:
            host.turn(option)
        host.apply()
        for name, slot in {option.partition("=")[0]: KNOBS[option] for option in options}.items():
            host.carry_out(Plan(steps=(unset_step(host.facts(), name, slot),)))
        host.apply()
        after = host.content
        changed = {
            path for path in after.keys() | claimed.keys() if after.get(path) != claimed.get(path)
        }
        assert all(path.startswith(("/boot/", "/var/lib/initramfs-tools")) for path in changed)
        host.undo()
        assert host.content == before


@SLOW
@given(remove=st.booleans(), is_claimed=st.booleans(), inside=st.booleans())
def test_what_a_guide_left_goes_and_comes_back_byte_for_byte(
    *, remove: bool, is_claimed: bool, inside: bool
) -> None:
    recorded = with_guide(RecordedHost())
    if inside:
        recorded.with_modules_in_initramfs("vfio-pci")
    with tempfile.TemporaryDirectory() as directory:
        host = Host(directory, recorded)
        before = host.content
        if is_claimed:
            claim_guide(host.machine, host.root, host.runner)
        host.carry_out(adopt_plan(host.facts(), remove=remove))
        assert adopt_plan(host.facts(), remove=remove).steps == ()
        host.apply()
        host.undo()
        assert host.content == before
