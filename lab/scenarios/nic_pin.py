"""A network card whose place on the PCI bus changes: its name goes with the place, or stays.

The host's network configuration names the interface exactly, as a bridge of Proxmox VE does.
"""

from __future__ import annotations

import json
from dataclasses import replace

from lab.guest import Guest
from lab.scenario import Lab
from lab.scenarios import _steps as steps

DESCRIPTION = "a network card changes its slot: pinned by hostpci, it keeps its name and ssh works"
HOSTS = ("guide-debian12",)

_NAME = "enp0s4"
_ELSEWHERE = "bus=pcie.0,addr=0x1d"
_NAME_ELSEWHERE = "enp0s29"
_NETWORK = "/etc/systemd/network/10-lab.network"
_LINK = f"/etc/systemd/network/10-hostpci-{_NAME}.link"
_CLAIMS = "/etc/hostpci.toml"
# What the configuration of a bridge would say, and what the lab's own says
_EXACT = f"s/^Driver=virtio_net$/Name={_NAME}/"
_ANY = f"s/^Name={_NAME}$/Driver=virtio_net/"


def run(lab: Lab) -> None:
    """See the name move, pin it, move the card, come back by ssh, see drift, take it all back."""
    _see_it_move(lab)
    host = lab.boot()
    lab.check(condition=_interface_of(host) == _NAME, text=f"at its place it is {_NAME}")
    host.push_tool()
    host.shell(f"sed -i '{_EXACT}' {_NETWORK}; grep -qx Name={_NAME} {_NETWORK}")
    # The option as `hostpci set` writes it
    host.shell(f"printf '[host]\\noptions = [\"pin-nic-names\"]\\n' > {_CLAIMS}")
    report = host.hostpci(["check", steps.CARD], expect=tuple(range(8))).stdout
    lab.check(condition=f"NOTICE: {_NAME}: " in report, text="check says that nothing keeps it")
    host.hostpci(["apply", "--yes"])
    steps.nothing_to_do(lab, host)
    host.hostpci(["check", "--drift"])
    _see_the_timer_fail_on_nothing(lab, host)
    host.power_off()
    _move_the_card(lab)
    host = lab.boot()
    lab.check(condition=_interface_of(host) == _NAME, text=f"elsewhere it is {_NAME} still")
    host.push_tool()
    codes = _drift_codes(host)
    lab.check(condition="drift-renumbered" in codes, text="check --drift tells of the move")
    host.hostpci(["undo", "--yes"])
    host.shell(f"rm {_CLAIMS}; sed -i '{_ANY}' {_NETWORK}; test ! -e {_LINK}")
    host.reboot()
    lab.check(condition=_interface_of(host) == _NAME_ELSEWHERE, text="without the pin it is not")
    host.confirm(steps.FACTORY)
    host.power_off()
    lab.compare_root()


def _see_it_move(lab: Lab) -> None:
    at_home = lab.host
    _move_the_card(lab)
    host = lab.boot()
    lab.check(
        condition=_interface_of(host) == _NAME_ELSEWHERE,
        text=f"without a pin the card is {_NAME_ELSEWHERE} there: {_NAME} would not be found",
    )
    host.power_off()
    lab.host = at_home


def _move_the_card(lab: Lab) -> None:
    lab.host = replace(lab.host, uplink_at=_ELSEWHERE)


def _interface_of(host: Guest) -> str:
    """The name of the only interface that is not the loopback."""
    return host.shell("ls /sys/class/net | grep -v '^lo$'").stdout.strip()


def _see_the_timer_fail_on_nothing(lab: Lab, host: Guest) -> None:
    """The daily check runs in its sandbox, reads all it needs and finds nothing."""
    host.hostpci(["check", "--drift", "--timer", "on", "--yes"])
    host.shell("systemctl start hostpci-drift.service", timeout_s=900)
    log = host.shell("journalctl -b -u hostpci-drift.service -o cat").stdout
    lab.check(
        condition="Nothing that matters has changed." in log and "could not be read" not in log,
        text="the daily check found nothing, and read everything, in its sandbox",
    )
    state = host.shell("systemctl is-active hostpci-drift.timer").stdout.strip()
    lab.check(condition=state == "active", text="the timer is active")


def _drift_codes(host: Guest) -> set[str]:
    answer = host.hostpci(["check", "--drift", "--json"], expect=(steps.PROOF_FAILED,)).stdout
    failed = [each for each in json.loads(answer)["findings"] if each["outcome"] != "holds"]
    return {str(each["code"]) for each in failed}
