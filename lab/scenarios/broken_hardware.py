"""Hardware that is broken on purpose: the doctor is judged on what a real kernel says of it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from lab.errors import ScenarioFailedError
from lab.guest import TOOL, Guest
from lab.kernel_log import Allowed
from lab.scenario import Lab
from lab.scenarios import _injections as injections
from lab.scenarios._injections import Injection

DESCRIPTION = "every fault put into a host is the doctor's first answer, live and from the console"
HOSTS = (
    "broken-debian12",
    "no-remapping-debian12",
    "no-iommu-debian12",
    "framebuffer-debian12",
)

_STANDINS = Path(__file__).parents[1] / "standins"
_FORGET = "journalctl --quiet --rotate --vacuum-time=1s 2>/dev/null"
_ANYTHING = (Allowed(pattern="", reason="the host is broken; what it says is what is judged"),)
_GOOD_ENOUGH = 3


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """What the doctor said of one injection, faults and warnings in their order."""

    injection: Injection
    live: tuple[str, ...]
    of_log: tuple[str, ...]
    log: str
    seconds: float

    @property
    def wanted_of_log(self) -> str:
        """The log alone may tell less."""
        return self.injection.code if self.injection.in_log is None else self.injection.in_log

    def place(self, codes: tuple[str, ...], wanted: str) -> int:
        """Counted from one; 0 where it is not among them. Of nothing wrong: 1 if nothing is."""
        if not wanted:
            return int(not codes)
        return codes.index(wanted) + 1 if wanted in codes else 0

    @property
    def places(self) -> tuple[int, int]:
        """Live, and from the log alone."""
        return self.place(self.live, self.injection.code), self.place(
            self.of_log, self.wanted_of_log
        )


def run(lab: Lab) -> None:
    """Inject what this host's table says, one after the other, and ask after each."""
    host = lab.boot()
    host.push_tool()
    host.expected_messages = _ANYTHING
    _push(host)
    if lab.host.name == "framebuffer-debian12":
        _without_driver(host)
    host.shell("echo 8 > /proc/sys/kernel/printk")
    answers = [_inject(lab, host, each) for each in injections.BY_HOST[lab.host.name]]
    _report(lab, host, answers)
    host.confirm({})
    host.kill()


def _push(host: Guest) -> None:
    for name in ("stray_dma.py", "touch_bar.py"):
        host.machine.ssh.run(["tee", f"/run/{name}"], stdin=_STANDINS / name)


def _without_driver(host: Guest) -> None:
    """As guides tell: the driver is kept away, and so nothing takes the firmware's picture off."""
    host.shell("echo blacklist bochs > /etc/modprobe.d/lab.conf")
    host.reboot()
    _push(host)


def _inject(lab: Lab, host: Guest, injection: Injection) -> _Answer:
    begin = time.monotonic()
    if injection.ready:
        host.shell(injection.ready)
    if not injection.of_boot:
        host.shell(_FORGET)
    console = host.machine.run_dir / "console.log"
    before = 0 if injection.of_boot else console.stat().st_size
    with lab.step(f"injecting {injection.name}"):
        if injection.script:
            host.shell(injection.script, timeout_s=400)
        for command in injection.monitor:
            said = host.machine.monitor(command)
            if not said.startswith("OK"):
                raise ScenarioFailedError(f"QEMU does not {command}: {said}")
            time.sleep(0.2)
        time.sleep(injection.settle_s)
    log = lab.folder("log") / f"{injection.name}.log"
    # The console is quiet while the host boots; what it would have said is in the kernel's own log.
    text = host.ssh(["dmesg"]).stdout if injection.of_boot else _said(console, before)
    log.write_text(text, encoding="utf-8")
    live = host.ssh([*TOOL, "doctor", "--json"], timeout_s=300).stdout
    of_log = host.machine.ssh.run([*TOOL, "doctor", "--log", "-", "--json"], stdin=log).stdout
    if injection.after:
        host.shell(injection.after)
    answer = _Answer(
        injection=injection, live=_codes(live), of_log=_codes(of_log), log=text,
        seconds=time.monotonic() - begin,
    )  # fmt: skip
    lab.say(f"{injection.name}: {answer.places} live {answer.live[:4]} log {answer.of_log[:4]}")
    return answer


def _said(console: Path, before: int) -> str:
    with console.open("rb") as stream:
        stream.seek(before)
        return stream.read().decode(errors="replace").replace("\r\n", "\n")


def _codes(text: str) -> tuple[str, ...]:
    found = json.loads(text)["diagnoses"]
    return tuple(each["code"] for each in found if each["severity"] != "info")


def _report(lab: Lab, host: Guest, answers: list[_Answer]) -> None:
    """The figures; fewer than first or in the first three is a failure."""
    if lab.options.output:
        _keep(lab.options.output, host, answers)
    places = [place for each in answers for place in each.places]
    first = sum(place == 1 for place in places)
    near = sum(0 < place <= _GOOD_ENOUGH for place in places)
    lab.say(
        f"{len(answers)} injections, {len(places)} answers: {first} first, {near} in the first"
        f" {_GOOD_ENOUGH}, {sum(each.seconds for each in answers):.0f} s"
    )
    missed = [each for each in answers if not all(0 < at <= _GOOD_ENOUGH for at in each.places)]
    if missed:
        shown = "\n".join(
            f"{each.injection.name}: wanted {each.injection.code or 'nothing'},"
            f" live {each.live}, from the log {each.of_log}"
            for each in missed
        )
        raise ScenarioFailedError(f"{len(missed)} not recognised:\n{shown}")


def _keep(folder: Path, host: Guest, answers: list[_Answer]) -> None:
    """The logs as test data: what they are, and what they must be called."""
    folder.mkdir(parents=True, exist_ok=True)
    release = host.ssh(["uname", "-r"]).stdout.strip()
    for each in answers:
        head = f"# {each.wanted_of_log or '-'} Linux {release}, {host.machine.boot.host.name}\n"
        (folder / f"{each.injection.name}.log").write_text(head + each.log, encoding="utf-8")
