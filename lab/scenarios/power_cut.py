"""Power cuts at random moments of an apply: the host always boots, and undo always works."""

from __future__ import annotations

import shlex
import time

from lab.errors import ScenarioFailedError
from lab.guest import TOOL, Guest
from lab.scenario import Lab
from lab.scenarios import _steps as steps

DESCRIPTION = "QEMU is killed at random moments of apply; each time undo gets the factory back"
HOSTS = ("guide-debian12",)

# Software emulation: how long an apply takes on a host is measured once, then cut within it,
# and a little beyond, so that cuts after the last write happen too.
_BEYOND = 1.2
_BOTH_BOOTS = (steps.FACTORY, steps.BOUND)
_STARTED = "/run/apply-started"


def run(lab: Lab) -> None:
    """Measure an uninterrupted apply, then cut, boot and undo as often as asked."""
    lab.say(f"seed {lab.options.seed}, {lab.options.cuts} cuts")
    host = steps.factory_host(lab, durable_disk=True)
    factory_settings = steps.settings_of(host)
    host.hostpci(["claim", steps.CARD, "--yes"])
    started_s = time.monotonic()
    host.hostpci(["apply", "--yes"], expect=(steps.DONE, steps.REBOOT_NEEDED))
    apply_s = time.monotonic() - started_s
    _undo(lab, host, factory_settings)
    for number in range(lab.options.cuts):
        host = _cut_once(lab, host, number, lab.random.uniform(0, apply_s * _BEYOND))
        _undo(lab, host, factory_settings)
    host.reboot()
    host.confirm(steps.FACTORY)
    host.power_off()
    lab.compare_root()


def _cut_once(lab: Lab, host: Guest, number: int, delay_s: float) -> Guest:
    host.hostpci(["claim", steps.CARD, "--yes"])
    # The claim itself is on the disk before the cut: the apply is what is under test.
    host.ssh(["sync"])
    background = f"{shlex.join(TOOL)} apply --yes >/run/apply.log 2>&1 & touch {_STARTED}"
    host.shell(background)
    time.sleep(delay_s)
    host.kill()
    lab.say(f"cut {number + 1}: the power went {delay_s:.2f} s into apply")
    host = lab.boot(durable_disk=True)
    _demand_one_of_both(host)
    host.check_logs()
    host.push_tool()
    return host


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
