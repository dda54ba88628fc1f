"""``hostpci capture``: one redacted file with everything the facts readers read on this host."""

from __future__ import annotations

import os
import sys

from ...errors import Exit
from ...facts.capture import dump_capture, make_capture
from ...host.files import fault_of
from ..context import Context


def run(context: Context) -> int:
    text = dump_capture(make_capture(context.root(), context.runner(), context.history()))
    path = context.args.output
    if not path or path == "-":
        sys.stdout.write(text)
        return Exit.OK
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise fault_of(error, path) from error
    if context.args.json:
        context.json({"schema": "hostpci.captured/1", "path": path, "bytes": len(text)})
    context.tell("capture.done", path=path, kib=len(text) >> 10)
    return Exit.OK
