"""What the scenarios of trial boots share: waiting for a host that comes back by itself."""

from __future__ import annotations

import time

from lab.errors import LabError, ScenarioFailedError
from lab.guest import Guest
from lab.scenario import Lab
from lab.scenarios import _steps as steps

UNIT = "/etc/systemd/system/hostpci-trial.service"
_POLL_S = 3.0
# What the claim itself leaves: it is what is wanted, and no part of what was tried
_CLAIM = {"/etc/hostpci.toml: added"}


def apply_on_trial(lab: Lab, host: Guest, within: str, *more: str) -> None:
    """Claim the card and apply, with the next boot as a trial."""
    steps.claim(lab, host)
    answer = host.hostpci(
        ["apply", "--yes", "--confirm-within", within, *more], expect=(steps.REBOOT_NEEDED,)
    )
    lab.check(
        condition="comes up in the known good entry" in answer.stdout,
        text="apply says that GRUB has a one-shot here",
    )
    host.shell(f"test -s {UNIT} && test -s /boot/grub/custom.cfg && test -s /boot/grub/hostpci.env")


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
