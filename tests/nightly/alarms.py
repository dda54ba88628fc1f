"""Fifty megabytes of ordinary journals, and not one fault of passthrough: ./dev alarms.

Generated of the shapes that services write; `./dev lab run ordinary-journal` has real services
write as much, and with ``--journal`` what it kept is read again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from hostpci.diagnose.engine import diagnose
from hostpci.model.diagnosis import Severity
from tests.ordinary_journal import journal

_MEGABYTE = 1_000_000
_OF_EACH_KIND = (False, True)


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="alarms", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=50, help="of journal, in two halves")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--journal", type=Path, help="this one instead of generated ones")
    args = parser.parse_args(words)
    if args.journal:
        return _of_file(args.journal)
    half = args.megabytes * _MEGABYTE // len(_OF_EACH_KIND)
    alarms = sum(
        _alarms(journal(half, seed=args.seed, with_card=with_card)) for with_card in _OF_EACH_KIND
    )
    print(f"{args.megabytes} MB, seed {args.seed}: {alarms} false alarms")  # noqa: T201
    return int(bool(alarms))


def _of_file(path: Path) -> int:
    with path.open(encoding="utf-8", errors="replace") as lines:
        alarms = _alarms(lines)
    print(f"{path.stat().st_size / _MEGABYTE:.1f} MB in {path}: {alarms} false alarms")  # noqa: T201
    return int(bool(alarms))


def _alarms(lines: Iterable[str]) -> int:
    """How many diagnoses above info; each is printed with what raised it."""
    alarms = [each for each in diagnose(lines) if each.severity is not Severity.INFO]
    for found in alarms:
        where = [sighting.text for sighting in found.sightings[:2]]
        print(f"{found.code}: {where}", file=sys.stderr)  # noqa: T201
    return len(alarms)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
