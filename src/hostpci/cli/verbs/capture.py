"""``hostpci capture``: one redacted file with everything the facts readers read on this host."""

from __future__ import annotations

from ...errors import Exit
from ...facts.capture import dump_capture, make_capture
from ..context import Context


def run(context: Context) -> int:
    text = dump_capture(make_capture(context.root(), context.runner(), context.history()))
    path = context.args.output
    if not path or path == "-":
        context.write(text)
        return Exit.OK
    from ...host.files import write_output

    write_output(path, text)
    if context.args.json:
        context.json({"schema": "hostpci.captured/1", "path": path, "bytes": len(text)})
    context.tell("capture.done", path=path, kib=len(text) >> 10)
    return Exit.OK
