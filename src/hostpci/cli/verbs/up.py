"""``hostpci up ADDRESS --vm N``: from a claim to a card that works in the guest, in one go."""

from __future__ import annotations

from ...diagnose.pointers import fault_of_error
from ...errors import Exit, ToolError, UsageError
from ...executor.up import read_records
from ...model.address import parse_slot
from ...model.codec import encode
from ...model.up import Stage, UpRecord, UpWish
from ..context import Context
from ..upway import StageFailedError, Way

_SCHEMA = "hostpci.up/1"


def run(context: Context) -> int:
    return go(Way(context, asked_wish(context)))


def asked_wish(context: Context) -> UpWish:
    """What the words say; without any, the one that was begun and is not over."""
    args = context.args
    if args.address is None and args.vm is None:
        return _begun(read_records(context.root())).wish
    if args.address is None or args.vm is None:
        raise UsageError("up-words")
    if not (args.vm.isascii() and args.vm.isdigit() and len(args.vm) < 10):  # noqa: PLR2004  (PVE's own limit)
        raise UsageError("up-bad-vmid", text=args.vm)
    return UpWish(
        slot=parse_slot(args.address), vmid=int(args.vm), until=asked_stage(args.until),
        accept=tuple(args.accept), driver=args.driver or "",
    )  # fmt: skip


def asked_stage(text: str | None) -> Stage:
    if text is None:
        return Stage.RESTART
    try:
        return Stage(text)
    except ValueError:
        raise UsageError("up-no-such-stage", name=text, known=", ".join(Stage)) from None


def _begun(records: tuple[UpRecord, ...]) -> UpRecord:
    if len(records) != 1:
        begun = ", ".join(f"{each.wish.slot} --vm {each.wish.vmid}" for each in records)
        raise UsageError("up-which", begun=begun or "-")
    return records[0]


def go(way: Way) -> int:
    """Whatever stops it, what came before stands, and the same command goes on from there."""
    context, failed = way.context, None
    context.tell("up.head", slot=way.wish.slot, vmid=way.wish.vmid)
    try:
        code = way.go()
    except ToolError as error:
        failed, code = error, error.exit
        context.show_error(error)
        context.tell(
            "up.stopped-at", title=context.catalog.text(f"up.stage.{way.results[-1].stage}")
        )
    if code == Exit.OK:
        last = "up.all-done" if way.wish.until is Stage.RESTART else "up.until-done"
        context.tell(last, slot=way.wish.slot, vmid=way.wish.vmid, stage=way.wish.until)
    context.json(
        {"schema": _SCHEMA, "slot": way.wish.slot, "vmid": way.wish.vmid,
         "stages": encode(tuple(way.results)), "proven": encode(way.record.proven),
         "error": failed.code if failed else None,
         "fault": (fault_of_error(failed.code, failed.params) or None) if failed else None,
         "said": failed.document if isinstance(failed, StageFailedError) else None,
         "exit": int(code)}
    )  # fmt: skip
    return code
