"""Another card in the claimed slot: a claim is for a card, not for an address."""

from __future__ import annotations

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
    broken = _broken_identities(report)
    lab.check(
        condition=broken == {"0000:01:00.0", "0000:01:00.1"},
        text="check says of both functions that the identity does not hold",
    )
    host.power_off()
    host = lab.boot()
    host.confirm(steps.BOUND)
    host.push_tool()
    steps.undo_reboot_compare(lab, host)


def _broken_identities(report: object) -> set[str]:
    """The functions whose finding `identity` does not hold, out of `check --json`."""
    assert isinstance(report, dict)
    return {
        str(finding["subject"])
        for finding in report["findings"]
        if (finding["code"], finding["outcome"]) == ("identity", "does-not-hold")
    }
