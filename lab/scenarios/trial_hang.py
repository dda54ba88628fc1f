"""A trial boot that hangs: late, where the watchdog notices, and before anything of ours runs."""

from __future__ import annotations

from lab.guest import Guest
from lab.scenario import Lab
from lab.scenarios import _steps as steps
from lab.scenarios import _trial as trial

DESCRIPTION = "a hang in the trial boot, late and early: reset, known good entry, back by itself"
# Not the AMD board: QEMU's AMD IOMMU stays as it was over a reset, and the next kernel then dies of
# it ("timer doesn't work through Interrupt-remapped IO-APIC"), as no real board lets it.
HOSTS = ("watchdog-intel-debian12",)


def run(lab: Lab) -> None:
    """Both kinds, one after the other, on one host."""
    host = steps.factory_host(lab)
    _hang_late(lab, host)
    host.hostpci(["undo", "--yes", "--forget"])
    trial.apply_on_trial(lab, host, "20m")
    trial.crash_early(lab, host)
    trial.end_after_crash(lab, host)


def _hang_late(lab: Lab, host: Guest) -> None:
    """User space stands still: the watchdog is not fed any more."""
    trial.apply_on_trial(lab, host, "20m")
    host.reboot()
    host.confirm(steps.BOUND)
    host.shell(
        "for i in $(seq 60); do journalctl -b -u hostpci-trial -o cat -q"
        " | grep -q 'resets it' && break; sleep 2; done;"
        " systemctl kill -s STOP hostpci-trial.service"
    )
    host.machine.ssh.drop_connection()
    trial.wait_until_back(lab, host, timeout_s=900)
    host.confirm(steps.FACTORY, also="! grep -q hostpci=off /proc/cmdline")
    trial.demand_reason(lab, host, "known-good")
