"""A trial boot without a network: nobody can log in, so the host must come back by itself."""

from __future__ import annotations

from lab.scenario import Lab
from lab.scenarios import _steps as steps
from lab.scenarios import _trial as trial

DESCRIPTION = "health checks fail in a trial boot without a network: back by itself"
HOSTS = ("watchdog-debian12",)

_FOLDER = "/etc/systemd/system/systemd-networkd.service.d"
# The network does not start as long as the claim is applied: what a claimed NIC would do
_BREAK = f"""
mkdir {_FOLDER}
printf '[Unit]\\nConditionPathExists=!{steps.RULE_FILE}\\n' > {_FOLDER}/broken.conf
sync
"""


def run(lab: Lab) -> None:
    """Never a way in during the trial; afterwards all is as it was."""
    host = steps.factory_host(lab)
    trial.apply_on_trial(lab, host, "150s", "--healthy", "default-route,ssh")
    host.shell(_BREAK)
    with lab.step("reboot into a boot without a network"):
        host.check_logs()
        host.ssh(["systemctl", "reboot"], check=False)
        host.machine.ssh.drop_connection()
    trial.wait_until_back(lab, host, timeout_s=900)
    host.confirm(steps.FACTORY)
    trial.demand_reason(lab, host, "unhealthy")
    host.shell(f"rm -r {_FOLDER}")
    host.power_off()
    trial.nothing_but_the_claim(lab)
