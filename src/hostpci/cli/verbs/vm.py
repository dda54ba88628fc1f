"""``hostpci vm create``: a machine from a cloud image, ready for a card and its driver."""

from __future__ import annotations

import re
import uuid

from ...errors import EnvironmentFault, Exit, PartialError, UsageError
from ...facts.vmcreate import read_surroundings
from ...model.codec import document
from ...model.plan import Plan
from ...model.vmcreate import VmWish
from ...planner.vmcreate import plan_create
from ..context import Context
from ..wishes import asked_vmid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...host.root import Root

# pve-common PVE/JSONSchema.pm: pve-vmid, pve_verify_dns_name
_VMIDS = range(100, 999_999_999 + 1)
_NAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9-]{1,63})*", re.ASCII)
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}", re.ASCII)
_VOLUME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*:[\w./+-]+", re.ASCII)
_NUMBERS = {"cores": range(1, 1025), "memory": range(512, (1 << 22) + 1), "disk": range(4, 65_537)}


def run(context: Context) -> int:
    if context.args.action != "create":
        raise UsageError("vm-what", text=context.args.action)
    wish = asked_machine(context)
    if context.args.dry_run:
        plan = _plan(context, wish)
        _show(context, plan)
        context.tell("apply.dry-run")
        return Exit.FINDINGS if plan.refusals else Exit.OK
    return _make(context, wish)


def _make(context: Context, wish: VmWish) -> int:
    from ...executor.apply import Executor, exclusive
    from ...executor.journal import Journal
    from .apply import outlive_the_terminal

    outlive_the_terminal()
    machine = context.machine()
    with exclusive(machine):
        if Journal(machine.files).interrupted():
            raise PartialError("interrupted-run", verb="vm create")
        plan = _plan(context, wish)
        _show(context, plan)
        if plan.refusals:
            return Exit.FINDINGS
        if not context.confirm():
            context.tell("confirm.no")
            return Exit.FAILED
        done = Executor(machine, context.announce).apply(plan, "vm create")
    context.json(document("hostpci.run/1", done))
    vmid = next(each.vmid for each in plan.steps if hasattr(each, "vmid"))
    context.tell("vm.created", vmid=vmid, name=wish.name)
    return Exit.OK


def _plan(context: Context, wish: VmWish) -> Plan:
    try:
        return plan_create(wish, read_surroundings(context.pve(), local_files(), wish))
    except (KeyError, TypeError, ValueError) as error:
        # An answer that lacks what PVE's schema promises
        raise EnvironmentFault("vm-odd-answer", reason=repr(error)[:200]) from error


def local_files() -> Root:
    """The image and the key lie where the person is, which need not be the node."""
    from ...host.root import TreeRoot

    return TreeRoot("/")


def _show(context: Context, plan: Plan) -> None:
    if context.args.json:
        context.json(document("hostpci.plan/1", plan))
        return
    from ...render.findings import render_finding
    from ...render.plan import render_plan, render_steps

    render = render_plan if plan.refusals else render_steps
    for line, level in render(plan, context.catalog):
        context.out(line, level)
    for note in plan.notes:
        for line, level in render_finding(note, context.catalog):
            context.out(line, level)


def asked_machine(context: Context) -> VmWish:
    args = context.args
    for word, value in (
        ("--name", args.name),
        ("--image", args.image),
        ("--ssh-key", args.ssh_key),
    ):
        if not value:
            raise UsageError("vm-needs", option=word)
    vmid = asked_vmid(args.id) if args.id else 0
    if vmid and vmid not in _VMIDS:
        raise UsageError("vm-bad-id", text=args.id)
    for word, value in (("--storage", args.storage), ("--bridge", args.bridge)):
        if value and not _WORD.fullmatch(value):
            raise UsageError("vm-bad-word", option=word, text=value)
    if not _NAME.fullmatch(args.name):
        raise UsageError("vm-bad-name", text=args.name)
    return VmWish(
        name=args.name, image=asked_image(args.image), key_path=_absolute(args.ssh_key),
        uuid=str(uuid.uuid4()), vmid=vmid, storage=args.storage or "", bridge=args.bridge or "",
        cores=_number("cores", args.cores, 4), memory_mib=_number("memory", args.memory, 8192),
        disk_gib=_number("disk", args.disk, 32), has_secure_boot=bool(args.secure_boot),
    )  # fmt: skip


def asked_image(text: str) -> str:
    """A volume, or a path that can stand in a list of PVE's, whose items a comma ends."""
    if _VOLUME.fullmatch(text):
        return text
    path = _absolute(text)
    if "," in path or not path.isprintable():
        raise UsageError("vm-bad-path", path=path)
    return path


def _absolute(path: str) -> str:
    from os.path import abspath, expanduser

    return abspath(expanduser(path))


def _number(name: str, text: str | None, otherwise: int) -> int:
    if text is None:
        return otherwise
    allowed = _NUMBERS[name]
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) in allowed):  # noqa: PLR2004
        raise UsageError(
            "vm-bad-number", option=f"--{name}", text=text, least=allowed[0], most=allowed[-1]
        )
    return int(text)
