"""The long set: every scenario, on every host it is meant for, and the power cuts in earnest."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from lab.errors import ExitCode
from lab.scenario import run_scenario, scenarios

# Records for the tests instead of demanding something.
_NO_TEST = {"record"}
_MORE_HOSTS = {
    "first-passthrough": (
        "guide-debian12", "guide-debian13", "lvm-debian12", "sdboot-debian12", "grub-esp-debian12",
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Run:
    """One line of the set."""

    scenario: str
    hosts: tuple[str, ...]
    cuts: int

    def __str__(self) -> str:
        cuts = f" --cuts {self.cuts}" if self.scenario == "power-cut" else ""
        return " ".join((self.scenario, *(f"--host {host}" for host in self.hosts))) + cuts


def runs(cuts: int) -> Iterator[Run]:
    """The whole set; a new scenario is in it by being there."""
    for name, scenario in scenarios().items():
        if name not in _NO_TEST:
            yield Run(scenario=name, hosts=_MORE_HOSTS.get(name, scenario.hosts), cuts=cuts)


def run_all(arguments: argparse.Namespace) -> ExitCode:
    """Run the set, or print it; a failure does not keep the rest from running."""
    results: dict[str, bool] = {}
    for each in runs(arguments.cuts):
        if arguments.list:
            print(f"./dev lab run {each}")
            continue
        options = argparse.Namespace(
            scenario=each.scenario, host=list(each.hosts), cuts=each.cuts, output=None,
            seed=arguments.seed,
        )  # fmt: skip
        results[str(each)] = run_scenario(options) is ExitCode.SUCCESS
    for text, passed in results.items():
        print(f"{'passed' if passed else 'FAILED'}: {text}")
    return ExitCode.SUCCESS if all(results.values()) else ExitCode.SCENARIO_FAILED
