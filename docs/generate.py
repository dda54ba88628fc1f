"""Fills the parts of the manual that the program's own tables say: ``./dev manual``.

Between ``<!-- made: NAME -->`` and ``<!-- end -->`` nothing is written by hand; a test compares.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
MANUALS = {"en": HERE / "manual.md", "zh_CN": HERE / "manual.zh-CN.md"}
_PART = re.compile(r"(<!-- made: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent / "src"))

from hostpci.cli.options import VERBS, Option, Verb  # noqa: E402
from hostpci.errors import Exit  # noqa: E402
from hostpci.i18n import Catalog  # noqa: E402
from hostpci.model.knob import KNOBS  # noqa: E402
from hostpci.model.risk import Risk  # noqa: E402


def _verbs(catalog: Catalog) -> Iterator[str]:
    for verb in VERBS:
        yield f"### hostpci {verb.name}"
        yield ""
        yield f"    hostpci {verb.name} {_synopsis(verb)}".rstrip()
        yield ""
        yield f"{catalog.text(f'verb.{verb.name}')}"
        yield ""
        for option in verb.options:
            yield f"* `{_shown(option)}`: {catalog.text(f'option.{option.key}')}"
        yield ""


def _synopsis(verb: Verb) -> str:
    positional = [option for option in verb.options if option.is_positional]
    words = [f"[{each.takes}]" if each.optional else each.takes for each in positional]
    return " ".join([*words, "[OPTIONS]"])


def _shown(option: Option) -> str:
    if option.is_positional:
        return option.takes
    names = ", ".join(option.names)
    return f"{names} {option.takes}" if option.takes else names


def _exit_codes(catalog: Catalog) -> Iterator[str]:
    for code in Exit:
        yield f"* `{code.value}`: {catalog.text(f'exit.{code.name}')}"


def _consents(catalog: Catalog) -> Iterator[str]:
    for risk in Risk:
        yield f"* `{risk}`: {catalog.text(f'consent.{risk}')}"


def _knobs(catalog: Catalog) -> Iterator[str]:
    for knob in KNOBS:
        yield f"### {knob.name}"
        yield ""
        yield catalog.text(f"knob.{knob.name}")
        yield ""
        for aspect in ("reason", "does", "risk", "undo"):
            label = catalog.text(f"options.{aspect}").strip()
            yield f"* {label} {catalog.text(f'knob.{knob.name}.{aspect}')}"
        yield ""


PARTS: dict[str, Callable[[Catalog], Iterator[str]]] = {
    "verbs": _verbs,
    "exit-codes": _exit_codes,
    "consents": _consents,
    "knobs": _knobs,
}


def filled(text: str, language: str) -> str:
    """The manual with its made parts as the tables of today make them."""
    catalog = Catalog(language)

    def part(match: re.Match[str]) -> str:
        lines = "\n".join(PARTS[match[2]](catalog)).strip("\n")
        return f"{match[1]}\n{lines}\n\n{match[3]}"

    return _PART.sub(part, text)


def main() -> int:
    for language, path in MANUALS.items():
        path.write_text(filled(path.read_text(encoding="utf-8"), language), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
