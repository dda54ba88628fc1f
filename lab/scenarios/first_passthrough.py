"""The main job: a factory host becomes a passthrough host, proves it, and is given back."""

from __future__ import annotations

from lab.scenario import Lab
from lab.scenarios import _steps as steps

DESCRIPTION = "claim, plan, apply, reboot, verify with a reset, undo, reboot: byte for byte back"
HOSTS = ("guide-debian12", "guide-debian13")


def run(lab: Lab) -> None:
    """Everything the manual's first chapter does, with one reboot for each direction."""
    host = steps.factory_host(lab)
    steps.claim_apply_reboot(lab, host)
    host.confirm(steps.BOUND)
    steps.verify_with_reset(lab, host)
    steps.nothing_to_do(lab, host)
    steps.undo_reboot_compare(lab, host)
