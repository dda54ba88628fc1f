"""The tour: the real verbs' code, on the recorded host, in a temporary directory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable

from ..checks.registry import run_checks
from ..executor.apply import Executor, Machine
from ..executor.journal import Journal
from ..executor.undo import Undoer
from ..executor.verify import verify
from ..facts.collect import collect
from ..host.capture import load_capture
from ..host.files import HostFiles
from ..host.root import TreeRoot
from ..host.runner import RefusingRunner, ReplayRunner
from ..i18n import Catalog
from ..model.facts import Facts
from ..model.pci import Inventory
from ..model.plan import Plan, Reboot, Step
from ..planner.claim import claim_step
from ..planner.plan import make_plan
from ..render.findings import render_findings
from ..render.plan import render_plan, step_target
from ..render.proof import render_proof
from ..render.scan import render_inventory
from .nextboot import Boot
from .scratch import fingerprint, unpack

SLOT = "0000:01:00"
_OUR_JOURNAL = ("/var/lib/hostpci",)
GUIDE_HOST = os.path.join(os.path.dirname(__file__), "..", "data", "guide-host.json")


Out = Callable[[str, str], None]


class Tour:
    """Nine stops, told line by line to ``out``; ``next_boot`` is filled on the way."""

    def __init__(self, catalog: Catalog, out: Out) -> None:
        self._catalog = catalog
        self._text = catalog.text
        self._say = out
        self._links: dict[str, str] = {}
        self.next_boot: list[dict[str, str]] = []

    def run(self) -> list[str]:
        """Take the tour; return the paths that are not as they were, which should be none."""
        capture = load_capture(GUIDE_HOST)
        with tempfile.TemporaryDirectory(prefix="hostpci-demo-") as directory:
            unpack(capture, directory)
            self._tree = TreeRoot(directory)
            self._answers = ReplayRunner(capture["commands"])
            self._machine = Machine(
                files=HostFiles(directory), runner=RefusingRunner(), is_live=False, boot_id=""
            )
            before = fingerprint(directory, _OUR_JOURNAL)
            self._out(self._text("demo.head"), "HEAD")
            self._look()
            self._change()
            self._prove()
            return self._take_back(directory, before)

    def _out(self, line: str, level: str = "") -> None:
        self._say(line, level)

    def _stop(self, code: str) -> None:
        self._out("")
        self._out(self._text(f"demo.{code}"), "HEAD")

    def _facts(self) -> Facts:
        return collect(self._tree, self._answers)

    def _look(self) -> None:
        facts = self._facts()
        self._stop("scan")
        mine = facts.inventory.of_slot(SLOT)
        groups = {each.iommu_group for each in mine}
        shown = Inventory(
            functions=mine,
            groups=tuple(each for each in facts.inventory.groups if each.number in groups),
        )
        for line, level in render_inventory(shown, self._catalog, full=True):
            self._out(line, level)
        self._stop("check")
        for line, level in render_findings(run_checks(facts, SLOT), self._catalog):
            self._out(line, level)

    def _change(self) -> None:
        self._stop("claim")
        step = claim_step(self._facts(), SLOT)
        assert step is not None  # noqa: S101  (the recorded host claims nothing)
        self._carry_out(Plan(steps=(step,)), "claim")
        self._stop("plan")
        plan = make_plan(self._facts())
        for line, level in render_plan(plan, self._catalog):
            self._out(line, level)
        self._stop("apply")
        self._carry_out(plan, "apply")

    def _carry_out(self, plan: Plan, verb: str) -> None:
        Executor(self._machine, self._announce).apply(plan, verb)

    def _announce(self, verb: str, number: int, total: int, step: Step) -> None:
        title, target = self._text(f"step.{step.code}"), step_target(step)
        code = f"progress.{verb}"
        self._out(self._text(code, number=number, total=total, title=title, target=target))

    def _prove(self) -> None:
        facts = self._facts()
        self._stop("boot")
        rules = {each.path: each.text for each in facts.rules}
        after = Boot(facts.inventory, facts.kernel.command_line).run(rules)
        for each in facts.inventory.of_slot(SLOT):
            now, then = each.driver or "-", after[each.address] or "-"
            self._out(self._text("demo.boot-line", address=each.address, before=now, after=then))
            self.next_boot.append({"address": each.address, "before": now, "after": then})
            self._boot_into(each.address, after[each.address])
        self._stop("verify")
        facts = self._facts()
        for claim in facts.claims.claims:
            proof = verify(facts, claim, is_live=False, reset_test=False)
            for line, level in render_proof(proof, self._catalog):
                self._out(line, level)
        assert make_plan(facts).reboot is Reboot.NONE  # noqa: S101

    def _boot_into(self, address: str, driver: str | None) -> None:
        """Move the driver link in the scratch sysfs, as the reboot would."""
        link = f"{self._tree.base}/sys/bus/pci/devices/{address}/driver"
        if os.path.islink(link):
            self._links[address] = os.readlink(link)
            os.unlink(link)
        else:
            self._links[address] = ""
        if driver:
            os.symlink(f"../../../../bus/pci/drivers/{driver}", link)

    def _boot_back(self) -> None:
        for address, target in self._links.items():
            link = f"{self._tree.base}/sys/bus/pci/devices/{address}/driver"
            os.unlink(link)
            if target:
                os.symlink(target, link)

    def _take_back(self, directory: str, before: dict[str, str]) -> list[str]:
        self._stop("undo")
        Undoer(self._machine, announce=self._announce).undo(Journal(self._machine.files).history())
        self._boot_back()
        self._stop("compare")
        after = fingerprint(directory, _OUR_JOURNAL)
        different = sorted(
            path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
        )
        if different:
            self._out(self._text("demo.different", paths=", ".join(different)), "FAIL")
        else:
            self._out(self._text("demo.identical", count=len(before)), "PASS")
        self._out("")
        self._out(self._text("demo.end"))
        return different
