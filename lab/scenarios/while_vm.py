"""A card that the host keeps until its machine starts, and has again when that ends."""

from __future__ import annotations

from lab.guest import Guest
from lab.scenario import Lab
from lab.scenarios import _steps as steps
from lab.scenarios import _up as up
from lab.scenarios.second_guest import CARD_IN_GUEST, VMID

DESCRIPTION = (
    "a claim lent to a machine: taken at each start, given back at each stop, fails closed"
)
HOSTS = ("node-debian12",)

_HOOK = "/var/lib/vz/snippets/hostpci-hook.sh"
_TOOL = "/var/lib/hostpci/tool/hostpci.pyz"
_START_FAILED = 1


def run(lab: Lab) -> None:
    """Without a reboot: the host's own drivers have the card whenever the machine does not run."""
    host, before = up.node(lab)
    host.hostpci(["claim", steps.CARD, "--yes"])
    host.hostpci(["set", f"while-vm={VMID}", steps.CARD, "--yes"])
    host.hostpci(["apply", "--yes", "--now"])
    host.hostpci(["attach", steps.CARD, "--vm", str(VMID), "--yes"])
    host.confirm(steps.FACTORY)
    for _ in range(2):
        _start_and_stop(lab, host)
    _fails_closed(lab, host)
    host.shell(f"{_HOOK} {VMID + 1} pre-start")
    lab.say("ok: a machine restored under another number may start")
    host.confirm(steps.FACTORY)
    up.undo_all(lab, host, before)


def _start_and_stop(lab: Lab, host: Guest) -> None:
    host.hostpci(["start", str(VMID)], timeout_s=up.LONG_S)
    host.confirm(steps.BOUND)
    guest = lab.second_guest(host, VMID)
    guest.wait()
    seen = guest.functions_of("01")
    lab.check(condition=seen == CARD_IN_GUEST, text=f"the guest sees {seen} on one slot")
    host.hostpci(["stop", str(VMID)], timeout_s=up.LONG_S)
    host.confirm(steps.FACTORY)


def _fails_closed(lab: Lab, host: Guest) -> None:
    """Without the program behind the script nobody can say that the card is free: no start."""
    host.shell(f"mv {_TOOL} {_TOOL}.away")
    said = host.hostpci(["start", str(VMID)], expect=(_START_FAILED,), timeout_s=up.LONG_S)
    host.shell(f"mv {_TOOL}.away {_TOOL}")
    text = said.stdout + said.stderr
    lab.check(condition="hookscript error" in text, text=f"it did not start: {text.strip()[-300:]}")
    host.confirm(steps.FACTORY)
