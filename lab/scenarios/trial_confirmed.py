"""A trial boot that is confirmed: the change stays, and what watched over it is gone."""

from __future__ import annotations

from lab.guest import Guest
from lab.scenario import Lab
from lab.scenarios import _steps as steps
from lab.scenarios import _trial as trial

DESCRIPTION = "apply --confirm-within, reboot, confirm: the claim alone is left; then undo"
HOSTS = ("watchdog-debian12",)

_GONE = f"test ! -e {trial.UNIT} && test ! -e /boot/grub/custom.cfg"


def run(lab: Lab) -> None:
    """Confirm in the trial boot, see one more boot, undo."""
    host = steps.factory_host(lab)
    trial.apply_on_trial(lab, host, "20m", "--healthy", "default-route,ssh,storage")
    host.reboot()
    host.confirm(steps.BOUND, also="grep -q hostpci_trial=started /boot/grub/hostpci.env")
    said = host.read_file("/run/motd.d/hostpci").decode()
    lab.check(condition="hostpci confirm" in said, text=f"the login says: {said.strip()}")
    _wait_for_proof(lab, host)
    host.hostpci(["confirm"])
    host.confirm(steps.BOUND, also=_GONE)
    host.reboot()
    host.confirm(steps.BOUND, also=f"{_GONE} && ! grep -q hostpci=off /proc/cmdline")
    steps.nothing_to_do(lab, host)
    steps.undo_reboot_compare(lab, host)


def _wait_for_proof(lab: Lab, host: Guest) -> None:
    script = (
        "for i in $(seq 60); do journalctl -b -u hostpci-trial -o cat -q"
        " | grep -q 'proven up to the IOMMU' && exit 0; sleep 2; done; exit 1"
    )
    host.shell(script)
    log = host.ssh(["journalctl", "-b", "-u", "hostpci-trial", "-o", "cat", "-q"]).stdout
    lab.check(condition="resets it" in log, text=f"the watcher has the watchdog:\n{log}")
