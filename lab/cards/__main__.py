"""Serve one card: `python3 -m lab.cards --card NAME --sockets PREFIX --log FILE`."""

from __future__ import annotations

import argparse
from pathlib import Path

from lab import tables
from lab.cards.server import CardLog, Server


def main() -> None:
    """Serve every function of the card at PREFIX.FUNCTION until ended."""
    parser = argparse.ArgumentParser(prog="lab.cards", description=__doc__)
    parser.add_argument("--card", required=True)
    parser.add_argument("--sockets", required=True, type=Path, metavar="PREFIX")
    parser.add_argument("--log", required=True, type=Path)
    arguments = parser.parse_args()
    log = CardLog(arguments.log)
    Server(tables.card(arguments.card), sockets=arguments.sockets, log=log).run()


if __name__ == "__main__":
    main()
