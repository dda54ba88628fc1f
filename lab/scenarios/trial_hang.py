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

# PID 1 runs generators before any unit: the kernel dies there as long as the claim is applied,
# as it would if binding the card killed it. The known good entry leaves claims unbound.
_GENERATOR = "/etc/systemd/system-generators/lab-crash"
_CRASH = f"""
mkdir -p /etc/systemd/system-generators
cat > {_GENERATOR} <<'END'
#!/bin/sh
test -e {steps.RULE_FILE} || exit 0
grep -qw hostpci=off /proc/cmdline || echo c > /proc/sysrq-trigger
END
chmod 755 {_GENERATOR}
sync
"""
_PANIC_WAIT_S = 600


def run(lab: Lab) -> None:
    """Both kinds, one after the other, on one host."""
    host = steps.factory_host(lab)
    _hang_late(lab, host)
    host.hostpci(["undo", "--yes", "--forget"])
    _crash_early(lab, host)
    host.shell(f"rm -r {_GENERATOR.rpartition('/')[0]}")
    host.confirm(steps.FACTORY)
    # The console holds the panic that was made on purpose, so nobody judges it here.
    host.ssh(["systemctl", "poweroff"], check=False)
    host.machine.wait_off(timeout_s=180)
    trial.nothing_but_the_claim(lab)


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


def _crash_early(lab: Lab, host: Guest) -> None:
    """The kernel dies before the watcher; somebody presses the reset button."""
    trial.apply_on_trial(lab, host, "20m")
    host.shell(_CRASH)
    host.check_logs()
    host.ssh(["systemctl", "reboot"], check=False)
    host.machine.ssh.drop_connection()
    with lab.step("waiting for the kernel to die"):
        host.machine.wait_console("Kernel panic", timeout_s=_PANIC_WAIT_S)
    host.machine.reset()
    trial.wait_until_back(lab, host, timeout_s=900)
    host.confirm(steps.FACTORY, also="! grep -q hostpci=off /proc/cmdline")
    trial.demand_reason(lab, host, "known-good")
