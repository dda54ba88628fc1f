"""The lab's command line: `python3 -m lab COMMAND`, or `./dev lab COMMAND`."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from lab import build, cache, nightly, tables, upstate
from lab.errors import ExitCode, LabError, UsageError
from lab.machine import Boot, Machine
from lab.progress import Reporter
from lab.scenario import run_scenario, scenarios


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lab",
        description="Real Debian hosts under QEMU with virtual PCI cards, to prove hostpci on.",
        epilog="Exit status: 0 success, 1 a scenario failed, 2 wrong usage, 3 this machine cannot "
        "run the lab as it is. Everything built is kept in $HOSTPCI_LAB_CACHE or "
        "~/.cache/hostpci-lab.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="show the hosts, cards and scenarios")
    one = commands.add_parser("build", help="build what a host needs, if it is missing")
    one.add_argument("host")
    one = commands.add_parser("up", help="boot a host and leave it running")
    one.add_argument("host")
    one.add_argument("--card", action="append", metavar="NAME", help="instead of the host's cards")
    one.add_argument("--keep", action="store_true", help="go on with the disk of the last time")
    one = commands.add_parser("ssh", help="log in to a host that is up, or run a command there")
    one.add_argument("host")
    one.add_argument("remote", nargs="*", metavar="-- COMMAND", help="what to run there")
    one = commands.add_parser("down", help="power a host off")
    one.add_argument("host")
    one = commands.add_parser("run", help="run a scenario")
    one.add_argument("scenario")
    one.add_argument("--host", action="append", help="on this host instead of the scenario's own")
    one.add_argument(
        "--cuts", type=int, default=10, help="power-cut: how many on each host (default 10)"
    )
    one.add_argument(
        "--output",
        metavar="PATH",
        help="record, broken-hardware, ordinary-journal: where to put what they recorded",
    )
    one.add_argument("--seed", type=int, help="power-cut: repeat the random choices of a run")
    one = commands.add_parser("nightly", help="run every scenario, with many power cuts")
    one.add_argument("--list", action="store_true", help="only print what it consists of")
    one.add_argument("--seed", type=int, help="repeat the random choices of a night")
    one.add_argument(
        "--cuts", type=int, default=30, help="power-cut: how many on each host (default 30)"
    )
    one = commands.add_parser(
        "prune", help="remove the logs of old runs, unfinished builds and outdated ones"
    )
    one.add_argument("--all", action="store_true", help="remove the current builds too")
    return parser


def _list() -> None:
    for title, rows in (
        ("Hosts", {name: each.description for name, each in tables.hosts().items()}),
        ("Cards", {name: each.description for name, each in tables.cards().items()}),
        ("Scenarios", {name: each.description for name, each in scenarios().items()}),
    ):
        print(title)
        for name, text in rows.items():
            print(f"  {name:20} {text}")


def _up(arguments: argparse.Namespace, reporter: Reporter) -> None:
    host = tables.host(arguments.host)
    if upstate.load(host.name):
        raise UsageError(f"{host.name} is up already", hint=f"stop it: ./dev lab down {host.name}")
    cards = tuple(arguments.card or host.cards)
    ready = build.ensure(host, reporter)
    folder = upstate.run_dir(host.name)
    overlay = folder / "disk.qcow2"
    if not (arguments.keep and overlay.exists()):
        cache.remove(folder)
        folder.mkdir()
        build.make_overlay(ready.image, ready.qemu, overlay)
    boot = Boot(
        host=host,
        cards=cards,
        disk=overlay,
        disk_format="qcow2",
        accelerator=ready.accelerator,
        firmware=build.firmware_of(ready.image, overlay),
    )
    machine = Machine.start(boot, ready.qemu, folder)
    try:
        with reporter.step(f"booting {host.name} ({ready.accelerator})"):
            machine.wait_ready(timeout_s=build.BOOT_TIMEOUT_S)
    except BaseException:
        machine.kill()
        raise
    state = upstate.save(machine)
    print(f"log in:  {shlex.join(upstate.ssh_words(state))}")
    print(f"or:      ./dev lab ssh {host.name}")
    print(f"stop:    ./dev lab down {host.name}")
    print(f"logs:    {folder}")


def _down(name: str, reporter: Reporter) -> None:
    state = upstate.require(tables.host(name).name)
    with reporter.step(f"powering {name} off"):
        orderly = upstate.stop(state, timeout_s=120)
    if not orderly:
        reporter.line(f"{name} did not power off by itself and was killed")


def _prune(*, everything: bool) -> None:
    up = {upstate.run_dir(name) for name in tables.hosts() if upstate.load(name)}
    doomed = [path for path in cache.leftovers() if path not in up]
    if up:
        print("hosts are up: their images stay")
    else:
        kept = set() if everything else {each.path for each in build.artefacts()}
        doomed += [path for path in cache.finished() if path not in kept]
    for path in doomed:
        print(f"removing {path}")
        cache.remove(path)


def _dispatch(arguments: argparse.Namespace) -> ExitCode:
    reporter = Reporter()
    match arguments.command:
        case "list":
            _list()
        case "build":
            build.ensure(tables.host(arguments.host), reporter)
        case "up":
            _up(arguments, reporter)
        case "ssh":
            host = tables.host(arguments.host)
            upstate.replace_by_ssh(upstate.require(host.name), arguments.remote)
        case "down":
            _down(arguments.host, reporter)
        case "run":
            return run_scenario(arguments)
        case "nightly":
            return nightly.run_all(arguments)
        case "prune":
            _prune(everything=arguments.all)
        case unknown:
            raise UsageError(f"no command {unknown!r}")
    return ExitCode.SUCCESS


def _on_terminate(_signal: int, _frame: FrameType | None) -> None:
    # So that `kill` unwinds like Ctrl-C does and no QEMU is left behind.
    raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; errors become one clear text and their exit code."""
    arguments = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _on_terminate)
    try:
        return _dispatch(arguments)
    except LabError as error:
        print(f"lab: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"     {error.hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
