"""What the scenarios of `up` share: a host that is a node, and the two ends of the way."""

from __future__ import annotations

import json
from typing import Any

from lab import rootdiff
from lab.guest import Guest
from lab.rootdiff import Manifest
from lab.scenario import Lab
from lab.scenarios import _steps as steps
from lab.scenarios.second_guest import CARD_IN_GUEST, VMID
from lab.secondguest.push import OWN_FILES

UP = ("up", steps.CARD, "--vm", str(VMID), "--yes")
RECORD = "/var/lib/hostpci/up/0000-01-00.json"
LONG_S = 2400


def node(lab: Lab) -> tuple[Guest, Manifest]:
    """A factory host that is a node with a machine, and what is on its disk."""
    host = lab.boot(durable_disk=True)
    host.confirm(steps.FACTORY)
    lab.push_pve_node(host)
    host.push_tool()
    return host, lab.what_is_on_disk(host)


def demand_works(lab: Lab, host: Guest) -> None:
    """The card is in the guest, and was proven in two starts of it."""
    seen = lab.second_guest(host, VMID).functions_of("01")
    lab.check(condition=seen == CARD_IN_GUEST, text=f"the guest sees {seen} on one slot")
    record: dict[str, Any] = json.loads(host.read_file(RECORD))
    starts = {each["process"] for each in record["proven"]}
    lab.check(condition=len(starts) > 1, text=f"proven in {len(starts)} starts of the machine")


def undo_all(lab: Lab, host: Guest, before: Manifest) -> None:
    """One command; then the host's drivers, and every byte that was there before."""
    host.hostpci(["undo", "--now", "--yes"], timeout_s=LONG_S)
    host.confirm(steps.FACTORY, also=f"test ! -e {steps.RULE_FILE} && test ! -e {RECORD}")
    host.power_off()
    after = lab.manifest(host.machine.boot.disk)
    changes = rootdiff.unexplained(rootdiff.compare(before, after), rootdiff.boot_changes())
    left = [str(each) for each in changes if not str(each).startswith(OWN_FILES)]
    lab.check(condition=not left, text=f"every byte is as before ({left[:10]})")
