"""What a verb is given: its arguments, the host it looks at, and a place to speak."""

from __future__ import annotations

import sys

from ..errors import EnvironmentFault, Exit, NotPermittedError, ToolError, UsageError
from ..host.root import Root, TreeRoot
from ..host.runner import Completed, RealRunner, RefusingRunner, Runner
from .streams import is_terminal, put, terminal_columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from ..executor.apply import Machine
    from ..i18n import Catalog
    from ..model.facts import Facts
    from ..model.journal import History
    from ..model.plan import Step
    from ..pve.node import Pve

_COLORS = {"PASS": "32", "NOTICE": "36", "WARN": "33", "FAIL": "31"}
# Words that a call must begin with
_READING_PROGRAMS = (
    ("lsinitramfs",),
    ("pveversion",),
    ("proxmox-boot-tool", "status"),
    ("zpool", "list"),
    ("pvesm", "status"),
    ("journalctl", "--no-pager", "--quiet", "--no-hostname"),
)


class ReadingRunner(Runner):
    """Lets through the programs that only look. Facts are collected with nothing else."""

    def __init__(self, inner: Runner) -> None:
        self._inner = inner

    def run(
        self, argv: Sequence[str], *, timeout_s: float, keep: Callable[..., Any] | None = None
    ) -> Completed:
        if not any(tuple(argv[: len(words)]) == words for words in _READING_PROGRAMS):
            raise EnvironmentFault("command-not-here", command=argv[0])
        return self._inner.run(argv, timeout_s=timeout_s, keep=keep)


class Context:
    """One call. stdout is data, stderr is talk; losing either never stops what is going on."""

    def __init__(self, args: Namespace, catalog: Catalog) -> None:
        self.args = args
        self.catalog = catalog
        self._color = is_terminal(sys.stdout) and not args.json
        self._talks_to_person = is_terminal(sys.stderr)
        self._capture: dict[str, Any] | None = None
        self._counter_shown = False
        self._document: dict[str, Any] | None = None
        self._lost: OSError | None = None
        self.on_tick: Callable[[], None] | None = None

    # what to look at

    def option(self, name: str) -> Any:  # noqa: ANN401  (argparse)
        return getattr(self.args, name, None)

    @property
    def is_live(self) -> bool:
        return not self.option("host") and self.tree == "/"

    @property
    def tree(self) -> str:
        """The directory that holds the root file system."""
        from os.path import isdir, realpath

        tree = self.option("root") or "/"
        if not isdir(tree):
            raise UsageError("no-such-directory", path=tree)
        return realpath(tree)

    def capture(self) -> dict[str, Any]:
        if self._capture is None:
            from ..host.capture import load_capture

            self._capture = load_capture(self.args.host)
        return self._capture

    def root(self) -> Root:
        if not self.option("host"):
            return TreeRoot(self.tree)
        if self.option("root"):
            raise UsageError("host-and-root")
        from ..host.capture import CaptureRoot

        return CaptureRoot(self.capture())

    def runner(self) -> Runner:
        """Programs of the host that is looked at: none but readers, and none off the host."""
        if self.option("host"):
            from ..host.runner import ReplayRunner

            return ReplayRunner(self.capture()["commands"])
        return ReadingRunner(RealRunner(self.tick)) if self.is_live else RefusingRunner()

    def facts(self) -> Facts:
        from ..facts.collect import collect

        return collect(self.root(), self.runner(), history=self._readable_history)

    def facts_without_claims(self) -> Facts:
        """For undo, which must work whatever has become of the claims file."""
        from ..facts.collect import collect

        return collect(
            self.root(), self.runner(), with_claims=False, history=self._readable_history
        )

    def _readable_history(self) -> History:
        """None of it where it may not be read, or is damaged: whoever needs it will say so."""
        from ..model.journal import History as HistoryModel

        try:
            return self.history()
        except ToolError:
            return HistoryModel(runs=())

    def history(self) -> History:
        if self.option("host"):
            from ..errors import CorruptError
            from ..model.codec import DecodeError, decode
            from ..model.journal import History as HistoryModel

            try:
                return decode(HistoryModel, self.capture().get("history", {"runs": []}))
            except DecodeError as error:
                raise CorruptError(
                    "capture-corrupt", path=self.args.host, reason=f"history{error}"
                ) from error
        from ..executor.journal import read_history

        return read_history(self.root())

    def machine(self) -> Machine:
        """Write access. Raises NotPermittedError unless this is root or a tree of one's own."""
        import os

        from ..executor.apply import Machine as MachineType
        from ..host.files import HostFiles

        if self.is_live and os.geteuid() != 0:
            raise NotPermittedError("needs-root", verb=sys.argv[1] if sys.argv[1:] else "")
        runner = RealRunner(self.tick) if self.is_live else RefusingRunner()
        try:
            boot_id = self.root().read_text("/proc/sys/kernel/random/boot_id").strip()
        except OSError:
            boot_id = ""
        return MachineType(
            files=HostFiles(self.tree), runner=runner, is_live=self.is_live, boot_id=boot_id,
            pve=self.pve,
        )  # fmt: skip

    def pve(self) -> Pve:
        """Proxmox VE: through --api if that is given, else as root on this node. Asks nothing."""
        node = self.option("node") or ""
        if self.option("api"):
            from ..pve.https import HttpsPve
            from ..pve.token import find_token

            token = find_token(self.option("token_file"))
            pin = self.option("fingerprint") or ""
            return HttpsPve(self.option("api"), token, fingerprint=pin, node=node, tick=self.tick)
        if not self.is_live:
            raise EnvironmentFault("command-not-here", command="pvesh")
        import os

        if os.geteuid() != 0:
            raise NotPermittedError("needs-root", verb=sys.argv[1] if sys.argv[1:] else "")
        from ..pve.shell import ShellPve

        return ShellPve(RealRunner(self.tick), node=node, tick=self.tick)

    # where to speak

    def out(self, text: str = "", level: str = "") -> None:
        """Print one line of data for a person; ``level`` colours it on a terminal."""
        color = _COLORS.get(level, "1" if level == "HEAD" else "")
        self._clear_counter()
        clean = one_line(text)
        self.write(f"\033[{color}m{clean}\033[0m\n" if color and self._color else f"{clean}\n")

    def prose(self, lines: Iterable[tuple[str, str]]) -> None:
        """Lines with their levels: a terminal gets rows that fit it, a file whole lines."""
        from ..render.fold import fold

        width = terminal_columns(sys.stdout)
        for line, level in lines:
            for row in fold(line, width) if width else (line,):
                self.out(row, level)

    def write(self, data: str) -> None:
        """Data as it is. After the first failure nothing more is written; ``finish`` tells."""
        if self._lost is None:
            self._lost = put(sys.stdout, data, flush=False)

    def json(self, document: dict[str, Any]) -> None:
        """Set the one document of a call with ``--json``; the last one is printed at the end."""
        self._document = document

    @property
    def document(self) -> dict[str, Any] | None:
        """What ``json`` was last given, for a verb that calls another one."""
        return self._document

    def finish(self, code: int) -> int:
        """Print what is still to be printed; the exit code, now that stdout is known.

        A reader that went away has seen enough. What changes the host keeps its own code.
        """
        if self._document is not None and self.args.json:
            import json

            self.write(json.dumps(self._document, indent=2) + "\n")
        self._lost = self._lost or put(sys.stdout, "")
        if self._lost is None or isinstance(self._lost, BrokenPipeError):
            return code
        self._say_error("output-lost", reason=self._lost.strerror)
        return code if self.option("dry_run") is False else Exit.FAILED

    def say(self, text: str) -> None:
        """Talk: what is going on. In a log that takes both, it comes after the data before it."""
        self._clear_counter()
        self._lost = self._lost or put(sys.stdout, "")
        put(sys.stderr, f"{printable(text)}\n")

    def tell(self, code: str, **params: object) -> None:
        self.say(self.catalog.text(code, **_lines_joined(params)))

    def tick(self, program: str, elapsed_s: float) -> None:
        """Progress of a long program: a counter on a terminal, a line a minute elsewhere."""
        if self.on_tick is not None:
            self.on_tick()
        if self._talks_to_person:
            text = self.catalog.text("progress.running", program=program, seconds=round(elapsed_s))
            put(sys.stderr, f"\r{one_line(text)}\033[K")
            self._counter_shown = True
        elif round(elapsed_s) % 60 == 2:  # noqa: PLR2004  (first at two seconds)
            self.tell("progress.running", program=program, seconds=round(elapsed_s))

    def _clear_counter(self) -> None:
        if self._counter_shown:
            put(sys.stderr, "\r\033[K")
            self._counter_shown = False

    def announce(self, verb: str, number: int, total: int, step: Step) -> None:
        from ..render.plan import step_target

        title = self.catalog.step_text(step.code)
        self.tell(
            f"progress.{verb}", number=number, total=total, title=title, target=step_target(step)
        )

    def show_error(self, error: ToolError) -> None:
        from ..diagnose.pointers import fault_of_error

        text, hint = self._say_error(error.code, **error.params)
        fault = fault_of_error(error.code, error.params)
        if fault:
            more = self.catalog.text("doctor.more", fault=fault)
            self.say(self.catalog.text("error.hint", text=more))
        params = {key: str(value) for key, value in error.params.items()}
        self.json(
            {"schema": "hostpci.error/1", "code": error.code, "exit": int(error.exit),
             "params": params, "message": text, "hint": hint, "fault": fault or None}
        )  # fmt: skip

    def _say_error(self, code: str, **params: object) -> tuple[str, str]:
        """Returns the text and the hint."""
        text, hint = self.catalog.text(f"error.{code}", **params), ""
        if self.catalog.has(f"error.{code}.hint"):
            hint = self.catalog.text(f"error.{code}.hint", **params)
        self.say(_indented(self.catalog.text("error.line", text=text)))
        if hint:
            self.say(_indented(self.catalog.text("error.hint", text=hint)))
        return text, hint

    def confirm(self) -> bool:
        """Ask; without a terminal ``--yes`` must have been said."""
        if self.option("yes"):
            return True
        if not is_terminal(sys.stdin):
            raise UsageError("needs-yes")
        put(sys.stdout, "")  # what is asked about must be on the screen first
        self.say(self.catalog.text("confirm.question"))
        try:
            return sys.stdin.readline().strip().lower() in {"y", "yes", "j", "是"}
        except (OSError, ValueError):
            return False  # the terminal is gone, or what came is no text


def printable(text: str) -> str:
    """Text without control characters: what a guest or a capture says must not drive a terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else "�" for char in text)


def one_line(text: str) -> str:
    """Printable text that is one line: a name from a capture must not forge a line of ours."""
    return printable(text).replace("\n", "�")


def _lines_joined(params: dict[str, object]) -> dict[str, object]:
    return {
        key: one_line(value) if isinstance(value, str) else value for key, value in params.items()
    }


def _indented(text: str) -> str:
    """An error may show a difference or what a program said; only its first line is ours."""
    return text.replace("\n", "\n    ")
