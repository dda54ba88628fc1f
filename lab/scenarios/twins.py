"""Two cards of one model, of which one is claimed: ids alone cannot tell them apart."""

from __future__ import annotations

from lab.scenario import Lab
from lab.scenarios import _steps as steps

DESCRIPTION = "of two identical cards only the claimed one is bound, after a reboot too"
HOSTS = ("twins-debian12",)

SECOND = {"02:00.0": None, "02:00.1": "snd_hda_intel"}
FACTORY = steps.FACTORY | SECOND
BOUND = steps.BOUND | SECOND


def run(lab: Lab) -> None:
    """Claim the first, see the second left alone."""
    host = steps.factory_host(lab)
    host.confirm(FACTORY)
    steps.claim_apply_reboot(lab, host)
    host.confirm(BOUND)
    steps.verify_with_reset(lab, host)
    others = [each.event for each in host.card_log("02:00") if each.event == "FLR"]
    lab.check(condition=not others, text="the other card was never reset by the host")
    steps.undo_reboot_compare(lab, host, FACTORY)
