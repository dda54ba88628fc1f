"""The edge: words in, exit code out. Every error of the program is turned into text here."""

from __future__ import annotations

import os
import sys

from .. import __version__
from ..errors import Exit, ToolError
from ..i18n import Catalog, choose_language
from .options import VERBS, Option, Verb, verb_named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence


def entry() -> int:
    """Entry point of the launcher and of the installed command."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader went away (``| head``): nothing is wrong, and nothing can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    return code


def main(argv: Sequence[str]) -> int:
    """Run one command line; returns its exit code and raises nothing but BrokenPipeError."""
    catalog = Catalog(choose_language(_language_in(argv)))
    words = list(argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(general_help(catalog), file=sys.stdout if words else sys.stderr)
        return Exit.OK if words else Exit.USAGE
    if words[0] == "--version":
        print(f"hostpci {__version__}")
        return Exit.OK
    verb = verb_named(words[0])
    if verb is None:
        print(catalog.text("error.no-such-verb", verb=_printable(words[0])), file=sys.stderr)
        return Exit.USAGE
    args = _parse(verb, words[1:], catalog)
    return args if isinstance(args, int) else _run(verb, args, catalog)


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
    lines += [f"  {verb.name:<9} {catalog.text(f'verb.{verb.name}')}" for verb in VERBS]
    lines += ["", catalog.text("help.exit-codes")]
    lines += [f"  {code.value:>3}  {catalog.text(f'exit.{code.name}')}" for code in Exit]
    lines += ["", catalog.text("help.more")]
    return "\n".join(lines)


def _parse(verb: Verb, words: Sequence[str], catalog: Catalog) -> Namespace | int:
    parser = make_parser(verb, catalog)
    try:
        return parser.parse_args(words)
    except SystemExit as stop:
        return Exit.OK if not stop.code else Exit.USAGE


def make_parser(verb: Verb, catalog: Catalog) -> ArgumentParser:
    """The parser of one verb. Abbreviated options are refused: a script must say what it means."""
    from argparse import ArgumentParser

    parser = ArgumentParser(
        prog=f"hostpci {verb.name}",
        description=catalog.text(f"verb.{verb.name}"),
        allow_abbrev=False,
    )
    for option in verb.options:
        _add(parser, option, catalog.text(f"option.{option.key}"))
    return parser


def _add(parser: ArgumentParser, option: Option, text: str) -> None:
    if option.is_positional and option.optional:
        parser.add_argument(option.names[0], metavar=option.takes, help=text, nargs="?")
    elif option.is_positional:
        parser.add_argument(option.names[0], metavar=option.takes, help=text)
    elif option.takes:
        parser.add_argument(*option.names, metavar=option.takes, help=text)
    else:
        parser.add_argument(*option.names, action="store_true", help=text)


def _run(verb: Verb, args: Namespace, catalog: Catalog) -> int:
    from importlib import import_module

    from .context import Context

    module = import_module(f"hostpci.cli.verbs.{verb.name}")
    context = Context(args, catalog)
    try:
        code: int = module.run(context)
    except ToolError as error:
        context.show_error(error)
        return error.exit
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        context.say(catalog.text("error.interrupted"))
        return Exit.INTERRUPTED
    except Exception as error:
        if os.environ.get("HOSTPCI_TRACEBACK"):
            raise
        context.show_error(
            ToolError("bug", reason=f"{type(error).__name__}: {_printable(str(error))}")
        )
        return Exit.FAILED
    return code


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
