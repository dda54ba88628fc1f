"""Another card in the claimed slot: a claim is for a card, not for an address."""

from __future__ import annotations

import json

from lab.errors import ScenarioFailedError
from lab.scenario import Lab
from lab.scenarios import _steps as steps

DESCRIPTION = "with another card in the claimed slot nothing is bound, and check says why"
HOSTS = ("guide-debian12",)

_OTHER_CARD = "rtx4060"
_ANY_STATUS = tuple(range(8))


def run(lab: Lab) -> None:
    """Bind, swap the cards with the power off, see nothing bound, swap back, see it bound."""
    host = steps.factory_host(lab)
    steps.claim_apply_reboot(lab, host)
    host.confirm(steps.BOUND)
    host.power_off()
    host = lab.boot(cards=(_OTHER_CARD,))
    host.confirm(steps.FACTORY)
    host.push_tool()
    report = steps.json_of(host, ["check", steps.CARD], expect=_ANY_STATUS)
    _demand_identity_finding(report)
    lab.say("ok: check names the identity that does not hold")
    host.power_off()
    host = lab.boot()
    host.confirm(steps.BOUND)
    host.push_tool()
    steps.undo_reboot_compare(lab, host)


def _demand_identity_finding(report: object) -> None:
    if "identity" not in json.dumps(report).lower():
        raise ScenarioFailedError(f"check has no finding about the identity: {json.dumps(report)}")
