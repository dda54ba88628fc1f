"""The same job without any reboot, in both directions."""

from __future__ import annotations

from lab.scenario import Lab
from lab.scenarios import _steps as steps

DESCRIPTION = "apply --now and undo --now move the card over and back on the running host"
HOSTS = ("guide-debian12",)


def run(lab: Lab) -> None:
    """One boot: bind, prove, give back; the sound device beside the card never loses its driver."""
    host = steps.factory_host(lab)
    host.hostpci(["claim", steps.CARD, "--yes"])
    host.hostpci(["plan", "--now"], expect=(steps.CHANGES_PENDING,))
    host.hostpci(["apply", "--yes", "--now"])
    host.confirm(steps.BOUND)
    steps.verify_with_reset(lab, host)
    steps.nothing_to_do(lab, host)
    host.hostpci(["undo", "--yes", "--now"])
    host.confirm(steps.FACTORY, also=f"test ! -e {steps.RULE_FILE}")
    host.power_off()
    lab.compare_root()
