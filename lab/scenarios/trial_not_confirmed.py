"""A trial boot that nobody confirms: the host takes the change back by itself."""

from __future__ import annotations

from lab.scenario import Lab
from lab.scenarios import _steps as steps
from lab.scenarios import _trial as trial

DESCRIPTION = "apply --confirm-within, reboot, silence: back to what it was, byte for byte"
HOSTS = ("watchdog-debian12",)


def run(lab: Lab) -> None:
    """Say nothing, and wait."""
    host = steps.factory_host(lab)
    trial.apply_on_trial(lab, host, "180s")
    host.reboot()
    host.confirm(steps.BOUND)
    trial.wait_until_back(lab, host, timeout_s=900)
    host.confirm(steps.FACTORY, also="! grep -q hostpci=off /proc/cmdline")
    trial.demand_reason(lab, host, "not-confirmed")
    host.power_off()
    trial.nothing_but_the_claim(lab)
