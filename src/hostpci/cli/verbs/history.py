"""``hostpci history``: every run, what it did, and whether it stands, was undone or was cut off."""

from __future__ import annotations

from ...errors import Exit
from ...model.codec import document
from ...render.plan import step_target
from ...render.trial import render_events
from ..context import Context


def run(context: Context) -> int:
    history = context.history()
    if context.args.json:
        context.json(document("hostpci.history/1", history))
        return Exit.OK
    if not history.runs:
        context.out(context.catalog.text("history.empty"))
    for each in history.runs:
        begun = each.begin
        state = context.catalog.text(f"state.{each.state}")
        context.out(
            context.catalog.text(
                "history.line", number=each.number, started=begun.started, verb=begun.verb,
                state=state,
            ),
            "HEAD",
        )  # fmt: skip
        for index, step in enumerate(begun.plan.steps):
            if each.is_step_undone(index):
                mark = "undone"
            else:
                mark = "done" if each.done(index) else "open"
            title = context.catalog.step_text(step.code)
            context.out(f"   [{context.catalog.text(f'mark.{mark}')}] {title}: {step_target(step)}")
        for line, level in render_events(each, context.catalog):
            context.out(f"   {line}", level)
    return Exit.OK
