"""The edge: words in, exit code out. Every error of the program is turned into text here."""

from __future__ import annotations

import os
import sys

from .. import __version__
from ..errors import Exit, ToolError, UsageError
from ..i18n import Catalog, choose_language
from .options import VERBS, Option, Verb, verb_named
from .streams import fill_closed, put, settle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence
    from typing import NoReturn

    from .context import Context


def entry() -> int:
    """Entry point of the launcher and of the installed command."""
    fill_closed()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    code = main(sys.argv[1:])
    settle(sys.stdout)
    settle(sys.stderr)
    return code


def main(argv: Sequence[str]) -> int:
    """Run one command line; returns its exit code and raises nothing."""
    catalog = Catalog(choose_language(_language_in(argv)))
    words = list(argv)
    if not words:
        put(sys.stderr, f"{general_help(catalog)}\n")
        return Exit.USAGE
    if words[0] in ("-h", "--help", "help"):
        return _shown(f"{general_help(catalog)}\n")
    if words[0] == "--version":
        return _shown(f"hostpci {__version__}\n")
    try:
        verb = verb_named(words[0])
        if verb is None:
            raise UsageError("no-such-verb", verb=words[0])
        args = make_parser(verb, catalog).parse_args(_joined(verb, words[1:]))
    except UsageError as error:
        return _refuse(error, words, catalog)
    except SystemExit:
        return _shown("")  # --help, which the parser has printed
    return _run(verb, args, catalog)


def _joined(verb: Verb, words: Sequence[str]) -> list[str]:
    """``--value -1`` is ``--value=-1``: the parser would take the second word for an option."""
    verbatim = {name for option in verb.options if option.verbatim for name in option.names}
    joined: list[str] = []
    rest = iter(words)
    for word in rest:
        following = next(rest, None) if word in verbatim else None
        joined.append(word if following is None else f"{word}={following}")
    return joined


def _shown(text: str) -> int:
    """Print text that somebody asked for; the exit code says whether it got there."""
    error = put(sys.stdout, text)
    return Exit.OK if error is None or isinstance(error, BrokenPipeError) else Exit.FAILED


def _refuse(error: UsageError, words: Sequence[str], catalog: Catalog) -> int:
    from argparse import Namespace

    from .context import Context

    return _stopped(Context(Namespace(json="--json" in words), catalog), error)


def _language_in(argv: Sequence[str]) -> str | None:
    for index, word in enumerate(argv):
        if word.startswith("--lang="):
            return word.partition("=")[2]
        if word == "--lang":
            return argv[index + 1] if index + 1 < len(argv) else None
    return None


def general_help(catalog: Catalog) -> str:
    """The first screen, printed without loading the parser."""
    lines = [catalog.text("help.head", version=__version__), ""]
    lines += [
        f"  {verb.name:<9} {catalog.text(f'verb.{verb.name}')}"
        for verb in VERBS
        if not verb.internal
    ]
    lines += ["", catalog.text("help.exit-codes")]
    lines += [f"  {code.value:>3}  {catalog.text(f'exit.{code.name}')}" for code in Exit]
    lines += ["", catalog.text("help.more")]
    return "\n".join(lines)


def make_parser(verb: Verb, catalog: Catalog) -> ArgumentParser:
    """The parser of one verb. Abbreviated options are refused: a script must say what it means.

    Wrong words are a UsageError.
    """
    from argparse import ArgumentParser

    class Parser(ArgumentParser):
        def error(self, message: str) -> NoReturn:
            put(sys.stderr, self.format_usage())
            raise UsageError("wrong-words", verb=verb.name, reason=message)

        def print_help(self, file: object = None) -> None:  # noqa: ARG002
            put(sys.stdout, self.format_help(), flush=False)

    parser = Parser(
        prog=f"hostpci {verb.name}",
        description=catalog.text(f"verb.{verb.name}"),
        allow_abbrev=False,
    )
    for option in verb.options:
        _add(parser, option, catalog.text(f"option.{option.key}"))
    return parser


def _add(parser: ArgumentParser, option: Option, text: str) -> None:
    if option.is_positional and option.repeatable:
        parser.add_argument(option.names[0], metavar=option.takes, help=text, nargs="*")
    elif option.is_positional and option.optional:
        parser.add_argument(option.names[0], metavar=option.takes, help=text, nargs="?")
    elif option.is_positional:
        parser.add_argument(option.names[0], metavar=option.takes, help=text)
    elif option.repeatable:
        parser.add_argument(
            *option.names, metavar=option.takes, help=text, action="append", default=[]
        )
    elif option.takes:
        parser.add_argument(*option.names, metavar=option.takes, help=text)
    else:
        parser.add_argument(*option.names, action="store_true", help=text)


def _run(verb: Verb, args: Namespace, catalog: Catalog) -> int:
    from importlib import import_module

    from .context import Context

    module = import_module(f"hostpci.cli.verbs.{verb.name.replace('-', '_')}")
    context = Context(args, catalog)
    try:
        return context.finish(module.run(context))
    except ToolError as error:
        return _stopped(context, error)
    except KeyboardInterrupt:
        return _stopped(context, Interrupted("interrupted"))
    except Exception as error:
        if os.environ.get("HOSTPCI_TRACEBACK"):
            raise
        reason = f"{type(error).__name__}: {_printable(str(error))}"
        return _stopped(context, ToolError("bug", reason=reason))


class Interrupted(ToolError):  # noqa: N818  (InterruptedError is a builtin)
    """Ctrl-C."""

    exit = Exit.INTERRUPTED


def _stopped(context: Context, error: ToolError) -> int:
    """The error's own code, whatever became of stdout."""
    context.show_error(error)
    context.finish(error.exit)
    return error.exit


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
