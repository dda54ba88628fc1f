"""A card that does not come back from its own reset: verify must say no, and never hang."""

from __future__ import annotations

from lab.kernel_log import Allowed
from lab.scenario import Lab
from lab.scenarios import _steps as steps

DESCRIPTION = "a card with the reset bug is bound, but verify does not call it proven"
HOSTS = ("guide-debian12",)

_MESSAGES = (
    Allowed(pattern=r"not ready \d+ms after FLR; (waiting|giving up)", reason="the fault itself"),
    Allowed(pattern=r"0000:01:00\.0.*(D3|device inaccessible)", reason="the fault itself"),
    Allowed(pattern=r"vfio-pci 0000:01:00\.0: ", reason="VFIO about a function that is silent"),
)
# pci_dev_wait() in drivers/pci/pci.c gives a function about 65 s after a reset, and there are
# several resets.
_TIMEOUT_S = 900


def run(lab: Lab) -> None:
    """Bind it, let the proof fail in bounded time, give it back."""
    host = steps.factory_host(lab, cards=("rtx5060ti-reset-bug",))
    steps.claim_apply_reboot(lab, host)
    host.confirm(steps.BOUND)
    host.expected_messages = _MESSAGES
    answer = host.hostpci(
        ["verify", "--reset-test"], expect=(steps.PROOF_FAILED,), timeout_s=_TIMEOUT_S
    )
    lab.say(f"ok: not proven:\n{answer.stdout}")
    lab.check(
        condition="FLR" in {each.event for each in host.card_log(steps.CARD)},
        text="the card was really reset",
    )
    steps.undo_reboot_compare(lab, host)
