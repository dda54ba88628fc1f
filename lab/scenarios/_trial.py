"""What the scenarios of trial boots share: waiting for a host that comes back by itself."""

from __future__ import annotations

import time

from lab.errors import LabError, ScenarioFailedError
from lab.guest import Guest
from lab.scenario import Lab
from lab.scenarios import _steps as steps

UNIT = "/etc/systemd/system/hostpci-trial.service"
_GRUB_PARTS = "test -s /boot/grub/custom.cfg && test -s /boot/grub/hostpci.env"
_POLL_S = 3.0
# What the claim itself leaves: it is what is wanted, and no part of what was tried
_CLAIM = {"/etc/hostpci.toml: added"}


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


def apply_on_trial(
    lab: Lab, host: Guest, within: str, *more: str, parts: str = _GRUB_PARTS
) -> None:
    """Claim the card and apply, with the next boot as a trial."""
    steps.claim(lab, host)
    answer = host.hostpci(
        ["apply", "--yes", "--confirm-within", within, *more], expect=(steps.REBOOT_NEEDED,)
    )
    lab.check(
        condition="comes up in the known good entry" in answer.stdout,
        text="apply says that the loader has a one-shot here",
    )
    host.shell(f"test -s {UNIT} && {parts}")


def crash_early(lab: Lab, host: Guest) -> None:
    """The kernel dies before the watcher; somebody presses the reset button."""
    host.shell(_CRASH)
    host.check_logs()
    host.ssh(["systemctl", "reboot"], check=False)
    host.machine.ssh.drop_connection()
    with lab.step("waiting for the kernel to die"):
        host.machine.wait_console("Kernel panic", timeout_s=_PANIC_WAIT_S)
    host.machine.reset()
    wait_until_back(lab, host, timeout_s=900)
    host.confirm(steps.FACTORY, also="! grep -q hostpci=off /proc/cmdline")
    demand_reason(lab, host, "known-good")
    host.shell(f"rm -r {_GENERATOR.rpartition('/')[0]}")


def end_after_crash(lab: Lab, host: Guest) -> None:
    """Power off. The console holds the panic that was made on purpose, so nobody judges it."""
    host.confirm(steps.FACTORY)
    host.ssh(["systemctl", "poweroff"], check=False)
    host.machine.wait_off(timeout_s=180)
    nothing_but_the_claim(lab)


def wait_until_back(lab: Lab, host: Guest, *, timeout_s: float) -> None:
    """Wait until the host has taken the trial back by itself and has come up without it."""
    test = f"test ! -e {UNIT} && test ! -e {steps.RULE_FILE} && systemctl is-system-running"
    deadline_s = time.monotonic() + timeout_s
    with lab.step("waiting for the host to come back by itself"):
        while not _holds(host, test):
            if time.monotonic() > deadline_s:
                raise ScenarioFailedError(
                    f"the host did not come back in {timeout_s:.0f} s",
                    hint=host.machine.diagnosis(),
                )
            time.sleep(_POLL_S)
    host.wait_booted()


def _holds(host: Guest, test: str) -> bool:
    try:
        return host.shell(test, check=False, timeout_s=30).rc == 0
    except LabError:
        return False
    finally:
        # The next answer must come from whatever boot there is then
        host.machine.ssh.drop_connection()


def demand_reason(lab: Lab, host: Guest, reason: str) -> None:
    """The history must say why, and the next login must be told."""
    history = steps.json_of(host, ["history"], expect=(steps.DONE,))
    assert isinstance(history, dict)
    entries = [entry for run in history["runs"] for entry in run["entries"]]
    found = [entry["reason"] for entry in entries if entry["kind"] == "given-up"]
    lab.check(condition=found == [reason], text=f"the history says why: {', '.join(found)}")
    said = host.read_file("/run/motd.d/hostpci").decode()
    lab.check(condition="was taken back" in said, text=f"the next login is told: {said.strip()}")
    log = host.ssh(["journalctl", "-u", "hostpci-trial.service", "-o", "cat", "-q"]).stdout
    lab.check(condition="Taking back run" in log, text="the log has it too")


def nothing_but_the_claim(lab: Lab) -> None:
    """The root of a host that took its trial back: the factory's, and what is still wanted."""
    differences = {str(each) for each in lab.root_differences()}
    lab.check(
        condition=differences == _CLAIM,
        text=f"beside the claim itself every byte is the factory's ({sorted(differences)})",
    )
