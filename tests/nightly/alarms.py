"""Fifty megabytes of ordinary journals, and not one fault of passthrough: ./dev alarms."""

from __future__ import annotations

import argparse
import sys

from hostpci.diagnose.engine import diagnose
from hostpci.model.diagnosis import Severity
from tests.ordinary_journal import journal

_MEGABYTE = 1_000_000
_OF_EACH_KIND = (False, True)


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="alarms", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=50, help="of journal, in two halves")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(words)
    half = args.megabytes * _MEGABYTE // len(_OF_EACH_KIND)
    alarms = 0
    for with_card in _OF_EACH_KIND:
        for found in diagnose(journal(half, seed=args.seed, with_card=with_card)):
            if found.severity is not Severity.INFO:
                alarms += 1
                where = [sighting.text for sighting in found.sightings[:2]]
                print(f"with a card: {with_card}: {found.code}: {where}", file=sys.stderr)  # noqa: T201
    print(f"{args.megabytes} MB, seed {args.seed}: {alarms} false alarms")  # noqa: T201
    return int(bool(alarms))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
