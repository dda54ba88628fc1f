"""Power cuts at random moments of an apply: the host always boots, and undo always works."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from pathlib import Path

from lab.errors import ScenarioFailedError
from lab.guest import Guest
from lab.scenario import Lab
from lab.scenarios import _steps as steps

DESCRIPTION = "QEMU is killed at random moments of apply; each time undo gets the factory back"
HOSTS = ("guide-debian12",)

# How long a slowed apply takes on a host is measured once, then cut from when it begins to write
# to a little beyond its end, so that cuts after the last write happen too.
_BEYOND = 1.1
_SLOWLY = Path(__file__).parents[1] / "slowly.py"
_APPLY = ("python3", "-IS", "/run/slowly.py", "apply", "--yes")
_BOTH_BOOTS = (steps.FACTORY, steps.BOUND)
_STARTED = "/run/apply-started"


def run(lab: Lab) -> None:
    """Measure an uninterrupted apply, then cut, boot and undo as often as asked."""
    lab.say(f"seed {lab.options.seed}, {lab.options.cuts} cuts")
    host = steps.factory_host(lab, durable_disk=True)
    factory_settings = steps.settings_of(host)
    host.hostpci(["claim", steps.CARD, "--yes"])
    first_s = _seconds(lambda: host.hostpci(["plan"], expect=(steps.CHANGES_PENDING,)))
    _push_slowly(host)
    with lab.step("a slowed apply, uncut"):
        last_s = _seconds(lambda: host.ssh(_APPLY, check=False)) * _BEYOND
    lab.say(f"apply writes from about {first_s:.1f} s to {last_s / _BEYOND:.1f} s")
    _undo(lab, host, factory_settings)
    for number in range(lab.options.cuts):
        host = _cut_once(lab, host, number, lab.random.uniform(first_s, last_s))
        _undo(lab, host, factory_settings)
    host.reboot()
    host.confirm(steps.FACTORY)
    host.power_off()
    lab.compare_root()


def _cut_once(lab: Lab, host: Guest, number: int, delay_s: float) -> Guest:
    host.hostpci(["claim", steps.CARD, "--yes"])
    # The claim itself is on the disk before the cut: the apply is what is under test.
    host.ssh(["sync"])
    _push_slowly(host)
    background = f"{shlex.join(_APPLY)} >/run/apply.log 2>&1 & touch {_STARTED}"
    host.shell(background)
    time.sleep(delay_s)
    host.kill()
    lab.say(f"cut {number + 1}: the power went {delay_s:.2f} s into apply")
    host = lab.boot(durable_disk=True)
    _demand_one_of_both(host)
    host.check_logs()
    host.push_tool()
    return host


def _push_slowly(host: Guest) -> None:
    host.machine.ssh.run(["tee", "/run/slowly.py"], stdin=_SLOWLY)


def _seconds(action: Callable[[], object]) -> float:
    started_s = time.monotonic()
    action()
    return time.monotonic() - started_s


def _demand_one_of_both(host: Guest) -> None:
    """Half an apply may leave the card bound or not, but never something in between."""
    drivers = {address: host.driver_of(address) for address in steps.FACTORY}
    if drivers not in _BOTH_BOOTS:
        raise ScenarioFailedError(f"after the cut the drivers are {drivers}")


def _undo(lab: Lab, host: Guest, factory_settings: str) -> None:
    host.hostpci(["undo", "--yes"], expect=(steps.DONE, steps.REBOOT_NEEDED))
    before, after = set(factory_settings.splitlines()), set(steps.settings_of(host).splitlines())
    if before != after:
        raise ScenarioFailedError(f"undo left: {sorted(before ^ after)}")
    lab.say("ok: after undo every settings file is the factory's")
