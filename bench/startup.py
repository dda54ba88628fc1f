#!/usr/bin/env python3
"""Start-up cost and memory of hostpci, side by side with the interpreter itself.

CPU seconds (user + system) of whole processes, the commands in turn A B C A B C ..., so that
the ratios hold on a noisy machine. Exit code 1 if a ratio or the memory is over its budget.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Sequence

HERE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
HOSTPCI = os.path.join(HERE, "hostpci")
GUIDE = os.path.join(HERE, "src/hostpci/data/guide-host.json")
BASE = ("/usr/bin/python3", "-c", "pass")
# name, words, budget as a multiple of BASE's CPU time (None: only memory counts)
CASES: tuple[tuple[str, tuple[str, ...], float | None], ...] = (
    ("--help", (HOSTPCI, "--help"), 2.5),
    ("scan", (HOSTPCI, "scan", "--host", GUIDE), 5.0),
    ("scan --json", (HOSTPCI, "scan", "--host", GUIDE, "--json"), None),
    ("check", (HOSTPCI, "check", "01:00", "--host", GUIDE), None),
    ("plan", (HOSTPCI, "plan", "--host", GUIDE), None),
    ("history", (HOSTPCI, "history", "--host", GUIDE), None),
    ("demo", (HOSTPCI, "demo"), None),
)
MEMORY_BUDGET_KIB = 60 * 1024
DEFAULT_ROUNDS = 25


def measure(argv: Sequence[str]) -> tuple[float, int]:
    """Run once; return (CPU seconds, peak resident KiB) as the kernel accounted them."""
    pid = os.posix_spawn(
        argv[0],
        list(argv),
        {**os.environ, "LC_ALL": "C.UTF-8"},
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, _, usage = os.wait4(pid, 0)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def main(words: Sequence[str]) -> int:
    rounds = int(words[0]) if words else DEFAULT_ROUNDS
    commands = [("python3 -c pass", BASE, None), *CASES]
    for _, argv, _ in commands:
        measure(argv)  # bytecode and page cache are warm from here on
    samples: dict[str, list[float]] = {name: [] for name, _, _ in commands}
    memory = dict.fromkeys(samples, 0)
    for _ in range(rounds):
        for name, argv, _ in commands:
            cpu_s, peak_kib = measure(argv)
            samples[name].append(cpu_s)
            memory[name] = max(memory[name], peak_kib)
    return report(commands, samples, memory)


def report(
    commands: Sequence[tuple[str, tuple[str, ...], float | None]],
    samples: dict[str, list[float]],
    memory: dict[str, int],
) -> int:
    """Print one row a command; return 1 if a budget is broken."""
    base = statistics.median(samples[commands[0][0]])
    broken = 0
    heads = ("median CPU ms", "min", "ratio", "budget", "RSS MiB")
    print(f"{'command':<16} {heads[0]:>13} {heads[1]:>7} {heads[2]:>6} {heads[3]:>6} {heads[4]:>8}")
    for name, _, budget in commands:
        median = statistics.median(samples[name])
        ratio = median / base
        over = (budget is not None and ratio > budget) or memory[name] > MEMORY_BUDGET_KIB
        broken |= over
        print(
            f"{name:<16} {median * 1000:>13.1f} {min(samples[name]) * 1000:>7.1f} {ratio:>6.2f} "
            f"{budget or '-':>6} {memory[name] / 1024:>8.1f}{'  OVER' if over else ''}"
        )
    return int(broken)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
