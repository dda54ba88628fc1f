"""What the log of a failed task points to, told beside the error."""

from __future__ import annotations

from ..errors import ToolError
from ..model.codec import encode
from ..pve.power import TaskFailedError
from .context import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..model.diagnosis import Diagnosis
    from ..model.facts import Facts


def causes(context: Context, log: tuple[str, ...]) -> tuple[Diagnosis, ...]:
    """The likeliest first. The facts of this host say more, where the machine is on this host."""
    from ..diagnose.engine import diagnose

    return diagnose(log, None if context.option("api") else _facts(context))


def _facts(context: Context) -> Facts | None:
    """Without them the log still speaks: what is wrong with the facts is another verb's matter."""
    try:
        return context.facts_without_claims()
    except ToolError:
        return None


def tell_failed(context: Context, failed: TaskFailedError, document: dict[str, Any]) -> int:
    """The error, and what is behind it. ``document``: what the verb has to say in JSON."""
    context.show_error(failed)
    found = causes(context, failed.end.log)
    if not context.args.json:
        _show(context, found, len(failed.end.log))
    context.json(
        {**document, "error": failed.code, "status": failed.end.status, "task": failed.end.upid,
         "log": list(failed.end.log), "diagnoses": encode(found),
         "fault": found[0].code if found else None, "exit": int(failed.exit)}
    )  # fmt: skip
    return failed.exit


def show_causes(context: Context, found: tuple[Diagnosis, ...], lines: int) -> None:
    """Nothing where nothing was found: the finding that failed has said what is so."""
    if found and not context.args.json:
        context.out()
        _show(context, found, lines)


def _show(context: Context, found: tuple[Diagnosis, ...], lines: int) -> None:
    from ..diagnose.knowledge import load
    from ..render.diagnoses import render_diagnoses

    context.prose(render_diagnoses(found, lines, load(), context.catalog))
