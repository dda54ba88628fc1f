"""The way of ``up``: what each stage looks at, does, and remembers.

A stage calls the verb that a person would call, with its words; the verb asks, shows and journals.
Whether something was missing is told from the facts, or from the journal having grown.
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace

from ..errors import ConflictError, DeclinedError, Exit, RefusedError, ToolError
from ..executor.up import read_record, write_record
from ..model.address import is_in_slot
from ..model.guests import Guest, GuestKind
from ..model.plan import Reboot
from ..model.up import Came, Stage, StageResult, UpRecord, UpWish, stages_until
from ..planner.plan import make_plan
from ..planner.trial import open_trial
from .context import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# What a stage may end with and the way still goes on
_GOOD = (Exit.OK, Exit.REBOOT_NEEDED)


class StageFailedError(ToolError):
    """A verb said in its own words what is the matter; its exit code is ours.

    ``document``: what it would have printed with ``--json``.
    """

    document: dict[str, Any] | None = None


class Way:
    """One ``up`` of one slot. ``is_resumed``: this is the boot that goes on by itself."""

    def __init__(self, context: Context, wish: UpWish, *, is_resumed: bool = False) -> None:
        self.context = context
        self.wish = wish
        self.results: list[StageResult] = []
        self.is_resumed = is_resumed

    # what is remembered

    @property
    def record(self) -> UpRecord:
        found = read_record(self.context.root(), self.wish.slot)
        if found is None or found.wish.vmid != self.wish.vmid:
            return UpRecord(wish=self.wish)
        return replace(found, wish=self.wish)

    def remember(self, record: UpRecord) -> None:
        from ..executor.apply import exclusive

        machine = self.context.machine()
        with exclusive(machine):
            write_record(machine.files, record)

    # the way itself

    def go(self) -> int:
        """Stage by stage, until one waits or stops. Raises what a stage raises."""
        every = stages_until(self.wish.until)
        for number, stage in enumerate(every, start=1):
            self._announce(stage, number, len(every))
            try:
                result = _STAGES[stage](self)
            except ToolError:
                self.results.append(StageResult(stage=stage, came=Came.STOPPED))
                raise
            self.results.append(result)
            self._tell(result)
            if result.came is Came.WAITS:
                return Exit.REBOOT_NEEDED
        return Exit.OK

    def _announce(self, stage: Stage, number: int, total: int) -> None:
        title = self.context.catalog.text(f"up.stage.{stage}")
        self.context.tell("up.begins", number=number, total=total, title=title)

    def _tell(self, result: StageResult) -> None:
        title = self.context.catalog.text(f"up.stage.{result.stage}")
        self.context.tell(f"up.{result.came}", title=title, answer=result.answer or "-")

    def child(self, **words: object) -> Context:
        """The same call with the words of another verb."""
        return Context(Namespace(**{**vars(self.context.args), **words}), self.context.catalog)

    def verb(self, name: str, *, good: tuple[int, ...] = (Exit.OK,), **words: object) -> int:
        """Run a verb as it is. Raises StageFailedError for any other end."""
        from importlib import import_module

        child = self.child(**words)
        code: int = import_module(f"hostpci.cli.verbs.{name}").run(child)
        if code not in good:
            error = StageFailedError("up-stage", verb=name)
            error.exit = Exit(code)
            error.document = child.document
            raise error
        return code

    def runs(self) -> int:
        """How far the journal is: more runs, and something was changed."""
        return len(self.context.history().runs)

    def has_it_running(self) -> bool:
        """The machine runs with the slot: nothing about the host is to be done any more."""
        return any(each.is_running for each in self._holders())

    def is_attached(self) -> bool:
        """Every function of the slot is in its configuration."""
        functions = {
            each.address for each in self.context.facts().inventory.of_slot(self.wish.slot)
        }
        named = {place for each in self._holders() for one in each.devices for place in one.places}
        return self.wish.slot in named or (bool(functions) and functions <= named)

    def _holders(self) -> list[Guest]:
        return [
            guest
            for guest in self.context.facts().guests
            if guest.kind is GuestKind.VM
            and guest.number == self.wish.vmid
            and any(
                is_in_slot(place, self.wish.slot) for one in guest.devices for place in one.places
            )
        ]

    def held(self, stage: Stage) -> StageResult:
        return StageResult(stage=stage, came=Came.HELD, answer=f"VM {self.wish.vmid}")

    def result(self, stage: Stage, before: int, answer: str = "") -> StageResult:
        """HELD unless the journal has grown since ``before``."""
        came = Came.HELD if self.runs() == before else Came.DONE
        return StageResult(stage=stage, came=came, answer=answer)


def check(way: Way) -> StageResult:
    """Nothing stands in the way that the owner has not accepted. What was cut off is finished."""
    from ..checks.registry import run_checks
    from .verbs.apply import finish_interrupted

    finish_interrupted(way.context)
    if way.has_it_running():
        return way.held(Stage.CHECK)
    facts = way.context.facts()
    claimed = facts.claims.of_slot(way.wish.slot)
    accepted = (*way.wish.accept, *(claimed.accept if claimed else ()))
    if run_checks(facts, way.wish.slot, accepted).blocking:
        way.verb("check", address=way.wish.slot, drift=False, timer=None)
        raise RefusedError("up-blocked", slot=way.wish.slot)
    return StageResult(stage=Stage.CHECK, came=Came.HELD, answer=way.wish.slot)


def claim(way: Way) -> StageResult:
    if way.has_it_running():
        return way.held(Stage.CLAIM)
    before = way.runs()
    way.verb("claim", address=way.wish.slot, accept=list(way.wish.accept), dry_run=False)
    return way.result(Stage.CLAIM, before, way.wish.slot)


def apply(way: Way) -> StageResult:
    """The boot that goes on by itself changes nothing of the host: if something is missing there,
    somebody, or a trial that ended badly, has taken it back."""
    if way.has_it_running():
        return way.held(Stage.APPLY)
    plan = make_plan(way.context.facts(), bind_now=way.context.args.now)
    if not plan.steps and not plan.refusals:
        return StageResult(stage=Stage.APPLY, came=Came.HELD, answer=way.wish.slot)
    if way.is_resumed:
        raise ConflictError("up-taken-back", slot=way.wish.slot, vmid=way.wish.vmid)
    way.verb("apply", good=_GOOD, plan=None, dry_run=False, resume=False)
    return StageResult(stage=Stage.APPLY, came=Came.DONE, answer=way.wish.slot)


def reboot(way: Way) -> StageResult:
    """Only if something waits for it, and while no trial boot is open."""
    if way.has_it_running():
        return way.held(Stage.REBOOT)
    plan = make_plan(way.context.facts())
    if plan.reboot is Reboot.ONE:
        from .upboot import leave_for_next_boot

        if not way.context.confirm():
            raise DeclinedError("declined")
        leave_for_next_boot(way)
        waiting = ", ".join(plan.pending) or "IOMMU"
        return StageResult(stage=Stage.REBOOT, came=Came.WAITS, answer=waiting)
    trial = open_trial(way.context.history())
    if trial is not None and trial.asked.within_s is not None and not trial.confirmed:
        raise ConflictError("up-trial-open", run=trial.run.number + 1)
    return StageResult(stage=Stage.REBOOT, came=Came.HELD)


def verify(way: Way) -> StageResult:
    """The kernel's own word, without a reset: QEMU resets the card when it opens it."""
    if way.has_it_running():
        return way.held(Stage.VERIFY)
    way.verb("verify", address=way.wish.slot, reset_test=False)
    return StageResult(stage=Stage.VERIFY, came=Came.HELD, answer=way.wish.slot)


def attach(way: Way) -> StageResult:
    """The machine names the whole slot. Of its check list only what is needed is changed."""
    if way.is_attached():
        return way.held(Stage.ATTACH)
    before, vmid = way.runs(), str(way.wish.vmid)
    way.verb(
        "attach", address=way.wish.slot, vm=vmid, mapping=None, primary=False, fix=[],
        dry_run=False,
    )  # fmt: skip
    if not way.is_attached():
        raise RefusedError("up-not-attached", slot=way.wish.slot, vmid=way.wish.vmid)
    return way.result(Stage.ATTACH, before, f"VM {vmid}")


def _start(way: Way) -> StageResult:
    from . import upguest

    return upguest.start(way)


def _guest(way: Way) -> StageResult:
    from . import upguest

    return upguest.guest(way)


def _restart(way: Way) -> StageResult:
    from . import upguest

    return upguest.restart(way)


_STAGES: dict[Stage, Callable[[Way], StageResult]] = {
    Stage.CHECK: check,
    Stage.CLAIM: claim,
    Stage.APPLY: apply,
    Stage.REBOOT: reboot,
    Stage.VERIFY: verify,
    Stage.ATTACH: attach,
    Stage.START: _start,
    Stage.GUEST: _guest,
    Stage.RESTART: _restart,
}
