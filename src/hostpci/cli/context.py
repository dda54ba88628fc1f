"""What a verb is given: its arguments, the host it looks at, and a place to speak."""

from __future__ import annotations

import sys

from ..errors import EnvironmentFault, NotPermittedError, ToolError, UsageError
from ..host.root import Root, TreeRoot
from ..host.runner import Completed, RealRunner, RefusingRunner, Runner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence
    from typing import Any

    from ..executor.apply import Machine
    from ..i18n import Catalog
    from ..model.facts import Facts
    from ..model.journal import History
    from ..model.plan import Step

_COLORS = {"PASS": "32", "NOTICE": "36", "WARN": "33", "FAIL": "31"}
_READING_PROGRAMS = {"lsinitramfs", "pveversion"}


class ReadingRunner(Runner):
    """Lets through the programs that only look. Facts are collected with nothing else."""

    def __init__(self, inner: Runner) -> None:
        self._inner = inner

    def run(
        self, argv: Sequence[str], *, timeout_s: float, keep: Callable[..., Any] | None = None
    ) -> Completed:
        if argv[0] not in _READING_PROGRAMS:
            raise EnvironmentFault("command-not-here", command=argv[0])
        return self._inner.run(argv, timeout_s=timeout_s, keep=keep)


class Context:
    """One call. stdout is data, stderr is talk."""

    def __init__(self, args: Namespace, catalog: Catalog) -> None:
        self.args = args
        self.catalog = catalog
        self._color = sys.stdout.isatty() and not args.json
        self._talks_to_person = sys.stderr.isatty()
        self._capture: dict[str, Any] | None = None
        self._counter_shown = False

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

        return collect(self.root(), self.runner())

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
            files=HostFiles(self.tree), runner=runner, is_live=self.is_live, boot_id=boot_id
        )

    # where to speak

    def out(self, text: str = "", level: str = "") -> None:
        """Print one line of data for a person; ``level`` colours it on a terminal."""
        color = _COLORS.get(level, "1" if level == "HEAD" else "")
        self._clear_counter()
        clean = one_line(text)
        print(f"\033[{color}m{clean}\033[0m" if color and self._color else clean)

    def json(self, document: dict[str, Any]) -> None:
        import json

        print(json.dumps(document, indent=2, ensure_ascii=False))

    def say(self, text: str) -> None:
        """Talk: what is going on. A terminal that went away must not stop a half-done run."""
        self._clear_counter()
        try:
            print(printable(text), file=sys.stderr, flush=True)
        except OSError:
            return

    def tell(self, code: str, **params: object) -> None:
        self.say(self.catalog.text(code, **_lines_joined(params)))

    def tick(self, program: str, elapsed_s: float) -> None:
        """Progress of a long program: a counter on a terminal, a line a minute elsewhere."""
        if self._talks_to_person:
            text = self.catalog.text("progress.running", program=program, seconds=round(elapsed_s))
            print(f"\r{one_line(text)}\033[K", end="", file=sys.stderr, flush=True)
            self._counter_shown = True
        elif round(elapsed_s) % 60 == 2:  # noqa: PLR2004  (first at two seconds)
            self.tell("progress.running", program=program, seconds=round(elapsed_s))

    def _clear_counter(self) -> None:
        if self._counter_shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
            self._counter_shown = False

    def announce(self, verb: str, number: int, total: int, step: Step) -> None:
        from ..render.plan import step_target

        title = self.catalog.text(f"step.{step.code}")
        self.tell(
            f"progress.{verb}", number=number, total=total, title=title, target=step_target(step)
        )

    def show_error(self, error: ToolError) -> None:
        code = f"error.{error.code}"
        text, hint = self.catalog.text(code, **error.params), ""
        if self.catalog.has(f"{code}.hint"):
            hint = self.catalog.text(f"{code}.hint", **error.params)
        if self.args.json:
            params = {key: str(value) for key, value in error.params.items()}
            self.json(
                {"schema": "hostpci.error/1", "code": error.code, "exit": int(error.exit),
                 "params": params, "message": text, "hint": hint}
            )  # fmt: skip
        self.say(_indented(self.catalog.text("error.line", text=text)))
        if hint:
            self.say(_indented(self.catalog.text("error.hint", text=hint)))

    def confirm(self) -> bool:
        """Ask; without a terminal ``--yes`` must have been said."""
        if self.option("yes"):
            return True
        if not sys.stdin.isatty():
            raise UsageError("needs-yes")
        self.say(self.catalog.text("confirm.question"))
        return sys.stdin.readline().strip().lower() in {"y", "yes", "j", "是"}


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
