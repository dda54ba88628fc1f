"""From a factory host to a card that works in a guest, over a reboot, and back: a command each."""

from __future__ import annotations

from lab.scenario import Lab
from lab.scenarios import _steps as steps
from lab.scenarios import _up as up

DESCRIPTION = "hostpci up: claim to guest proof, twice, over a reboot by itself; then one undo"
HOSTS = ("node-debian12",)

_DONE = (
    "for i in $(seq 400); do systemctl is-active -q hostpci-up || break; sleep 3; done;"
    " journalctl -b -u hostpci-up -o cat -q; cat /run/motd.d/hostpci"
)


def run(lab: Lab) -> None:
    """The host reboots itself and goes on with nobody there."""
    host, before = up.node(lab)
    host.hostpci([*up.UP, "--reboot"], expect=(steps.REBOOT_NEEDED,))
    host.machine.ssh.drop_connection()
    with lab.step("the host reboots"):
        host.wait_booted()
    host.confirm(steps.BOUND)
    with lab.step("hostpci-up.service goes on by itself"):
        said = host.shell(_DONE, timeout_s=up.LONG_S).stdout
    lab.check(condition="works in VM 100" in said, text="the next login is told that it works")
    host.shell("test ! -e /etc/systemd/system/hostpci-up.service")
    up.demand_works(lab, host)
    host.hostpci(up.UP, timeout_s=up.LONG_S)
    lab.say("ok: once more it finds everything done")
    up.undo_all(lab, host, before)
