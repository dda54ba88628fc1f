"""``hostpci capture``: one redacted file with everything that is read on this host."""

from __future__ import annotations

from os.path import lexists

from ...errors import Exit, UsageError
from ...facts.capture import Maker, dump_capture
from ..context import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# Told one by one; of what the kernel shows there are hundreds
_TOLD = ("/etc/", "/boot/", "/var/", "/proc/cmdline", "/proc/iomem")


def run(context: Context) -> int:
    path = context.args.output
    is_file = bool(path) and path != "-"
    if is_file and lexists(path):
        raise UsageError("output-exists", path=path)
    maker = Maker(context.root(), context.runner(), context.history())
    text = dump_capture(maker.capture)
    sources = list(_sources(maker.capture))
    said = {"schema": "hostpci.captured/1", "bytes": len(text), "replaced": maker.replaced,
            "sources": [{"source": name, "lines": lines} for name, lines in sources]}  # fmt: skip
    if context.args.preview:
        _preview(context, maker, sources, len(text) >> 10)
        context.json(said)
        return Exit.OK
    if not is_file:
        context.write(text)
        return Exit.OK
    _write(path, text)
    context.json({**said, "path": path})
    _tell_replaced(context, maker)
    context.tell("capture.done", path=path, kib=len(text) >> 10)
    return Exit.OK


def _write(path: str, text: str) -> None:
    from ...host.files import write_output

    if path.endswith(".gz"):
        import gzip

        write_output(path, gzip.compress(text.encode("utf-8"), mtime=0))
    else:
        write_output(path, text)


def _sources(capture: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """(log, file or command, its lines)."""
    for command in capture["commands"]:
        yield _shown(command["argv"]), command["stdout"].count("\n")
    for path, text in sorted(capture["files"].items()):
        if path.startswith(_TOLD):
            yield path, text.count("\n")


def _shown(argv: list[str]) -> str:
    """Of a long command what tells it from the others."""
    if argv[0] == "journalctl":
        return " ".join(word for word in argv if word == argv[0] or word.startswith("--boot="))
    return " ".join(argv)


def _preview(context: Context, maker: Maker, sources: list[tuple[str, int]], kib: int) -> None:
    if context.args.json:
        return
    say = context.catalog.text
    context.out(say("capture.preview", kib=kib), "HEAD")
    for name, lines in sources:
        context.out(say("capture.source", lines=lines, source=name))
    kernel = sum(not path.startswith(_TOLD) for path in maker.capture["files"])
    context.out(say("capture.kernel", count=kernel))
    context.out(_replaced(context, maker))


def _tell_replaced(context: Context, maker: Maker) -> None:
    context.say(_replaced(context, maker))


def _replaced(context: Context, maker: Maker) -> str:
    say = context.catalog.text
    kinds = [f"{count} {say(f'capture.kind.{kind}')}" for kind, count in maker.replaced.items()]
    return say("capture.replaced", kinds=", ".join(kinds) or "-")
