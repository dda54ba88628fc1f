"""Runs scenarios: modules in `lab/scenarios/` with DESCRIPTION, HOSTS and `run(lab)`."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import build, cache, images, rootdiff, tables
from lab import scenarios as package
from lab.errors import ExitCode, LabError, ScenarioFailedError, UsageError
from lab.guest import Guest
from lab.machine import Boot, Machine
from lab.progress import Reporter
from lab.rootdiff import Difference, Manifest
from lab.secondguest import push


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says to the scenarios that care."""

    cuts: int
    output: Path | None
    seed: int


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One scenario module."""

    name: str
    description: str
    hosts: tuple[str, ...]
    run: Callable[[Lab], None]


def scenarios() -> dict[str, Scenario]:
    """All scenarios by name; a module's underscores are dashes on the command line."""
    found = {}
    for info in pkgutil.iter_modules(package.__path__):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        name = info.name.replace("_", "-")
        found[name] = Scenario(
            name=name, description=module.DESCRIPTION, hosts=tuple(module.HOSTS), run=module.run
        )
    return found


class Lab:
    """What a scenario's `run` gets: one host table row, one overlay, as many boots as it likes."""

    def __init__(
        self, host: tables.Host, ready: build.Ready, run_dir: Path, *, options: Options,
        reporter: Reporter,
    ) -> None:  # fmt: skip
        self.host = host
        self.options = options
        self.random = random.Random(options.seed)  # noqa: S311  # repeatable, not secret
        self._ready = ready
        self._run_dir = run_dir
        self._reporter = reporter
        self._overlay = run_dir / "disk.qcow2"
        self._guest: Guest | None = None
        self._boots = 0

    def demand_confirmation(self) -> None:
        """The last boot must have ended with a report of success from inside the guest."""
        if self._guest is None or not self._guest.confirmed:
            raise ScenarioFailedError("the host never confirmed the end state of its last boot")

    def say(self, text: str) -> None:
        """Tell the person who watches."""
        self._reporter.line(text)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Show something that takes time."""
        with self._reporter.step(text):
            yield

    def check(self, *, condition: bool, text: str) -> None:
        """Demand something, and say so."""
        if not condition:
            raise ScenarioFailedError(f"not so: {text}")
        self.say(f"ok: {text}")

    def stop(self) -> None:
        """Cut the power, if it is on."""
        if self._guest is not None:
            self._guest.kill()

    def folder(self, name: str) -> Path:
        """A new folder in this run's."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._run_dir))

    def manifest(self, disk: Path, *, below: tuple[str, ...] = ("",)) -> Manifest:
        """What is on a disk that is not in use, as its journal says after a cut."""
        layout = self._ready.image.disk_layout
        raw = rootdiff.raw_copy(disk, layout, self._ready.qemu, self._run_dir)
        try:
            return rootdiff.manifest_of_disk(raw, layout, below=below)
        finally:
            raw.unlink()

    def boot(
        self, *, cards: Sequence[str] | None = None, durable_disk: bool = False,
        disk: Path | None = None,
    ) -> Guest:  # fmt: skip
        """Boot the host from this scenario's overlay, which is made on the first boot.

        Or from `disk`, another overlay of the same image.
        """
        if disk is None and not self._overlay.exists():
            build.make_overlay(self._ready.image, self._ready.qemu, self._overlay)
        used = disk or self._overlay
        self._boots += 1
        boot = Boot(
            host=self.host,
            cards=self.host.cards if cards is None else tuple(cards),
            disk=used,
            disk_format="qcow2",
            accelerator=self._ready.accelerator,
            durable_disk=durable_disk,
            firmware=build.firmware_of(self._ready.image, used),
        )
        with self.step(f"boot {self._boots} of {self.host.name} with {', '.join(boot.cards)}"):
            folder = self._run_dir / f"boot-{self._boots}"
            machine = Machine.start(boot, self._ready.qemu, folder)
            self._guest = Guest(machine, self._reporter)
            self._guest.wait_booted()
        return self._guest

    def push_second_guest(self, host: Guest) -> None:
        """Put a small guest into the host, for the host to start."""
        push.push(host, self._run_dir, self._reporter)

    def second_guest(self, host: Guest, vmid: int) -> push.SecondGuest:
        """The guest that was put into the host, under a number."""
        return push.SecondGuest(host, vmid, self._reporter)

    def push_pve_node(self, host: Guest) -> None:
        """Put Proxmox VE's node of the tests into the host, over the second guest."""
        push.push(host, self._run_dir, self._reporter)
        push.push_node(host, self._run_dir, self._reporter)

    def what_is_on_disk(self, host: Guest) -> Manifest:
        """The host's disk as a power cut at this moment would leave it."""
        host.ssh(["sync"])
        copy = host.machine.disk_as_after_a_cut(self.folder("disk"))
        try:
            return self.manifest(copy)
        finally:
            copy.unlink()

    def root_tar(self) -> Path:
        """The bootstrapped root that the host's image was made of."""
        return images.ensure_base(self._ready.image, self._reporter)

    def root_differences(self) -> list[Difference]:
        """What differs from the factory image on the disk of a host that is off."""
        with self.step("comparing the whole root with the factory image"):
            image = self._ready.image
            return rootdiff.compare_disk(
                image.manifest(), self._overlay, image.disk_layout, self._ready.qemu, self._run_dir
            )

    def compare_root(self) -> None:
        """Demand that the root is the factory image's, but for what any boot changes."""
        differences = self.root_differences()
        if differences:
            (self._run_dir / "root-differences.txt").write_text(
                "\n".join(map(str, differences)) + "\n", encoding="utf-8"
            )
            shown = "\n".join(map(str, differences[:20]))
            raise ScenarioFailedError(
                f"{len(differences)} differences to the factory image:\n{shown}"
            )
        self.say("ok: the root is the factory image's, byte for byte")

    def close(self, *, keep_disk: bool) -> None:
        """Leave nothing running; the disk stays only where somebody may want to look at it."""
        self.stop()
        if not keep_disk:
            self._overlay.unlink(missing_ok=True)


def run_scenario(arguments: argparse.Namespace) -> ExitCode:
    """Run one scenario on each of its hosts, or on those asked for."""
    table = scenarios()
    if arguments.scenario not in table:
        raise UsageError(
            f"no scenario {arguments.scenario!r}", hint=f"known scenarios: {', '.join(table)}"
        )
    scenario = table[arguments.scenario]
    hosts = [tables.host(name) for name in arguments.host or scenario.hosts]
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().getrandbits(32)
    output = Path(arguments.output) if arguments.output else None
    options = Options(cuts=arguments.cuts, output=output, seed=seed)
    results = [_run_on(scenario, host, options) for host in hosts]
    return ExitCode.SUCCESS if all(results) else ExitCode.SCENARIO_FAILED


def _run_on(scenario: Scenario, host: tables.Host, options: Options) -> bool:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    run_dir = cache.runs() / f"{scenario.name}-{host.name}-{stamp}"
    run_dir.mkdir()
    reporter = Reporter(log=run_dir / "scenario.log")
    reporter.line(f"scenario {scenario.name} on {host.name}; logs in {run_dir}")
    ready = build.ensure(host, reporter)
    lab = Lab(host, ready, run_dir, options=options, reporter=reporter)
    passed = False
    try:
        scenario.run(lab)
        lab.demand_confirmation()
        passed = True
    except LabError as error:
        if error.exit_code is not ExitCode.SCENARIO_FAILED:
            raise
        _report_failure(reporter, error)
    finally:
        lab.close(keep_disk=not passed)
    outcome = "PASSED" if passed else "FAILED"
    reporter.line(f"{outcome}: {scenario.name} on {host.name}; logs in {run_dir}")
    return passed


def _report_failure(reporter: Reporter, error: LabError) -> None:
    for line in (error.message + "\n" + error.hint).splitlines():
        reporter.line(f"  {line}")
