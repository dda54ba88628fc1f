"""The same job without any reboot, in both directions."""

from __future__ import annotations

from lab.guest import Guest
from lab.scenario import Lab
from lab.scenarios import _steps as steps

DESCRIPTION = "apply --now and undo --now move the card over and back on the running host"
HOSTS = ("guide-debian12",)


def run(lab: Lab) -> None:
    """One boot: bind, prove, give back; the sound device beside the card never loses its driver."""
    host = steps.factory_host(lab)
    host.hostpci(["claim", steps.CARD, "--yes"])
    host.hostpci(["plan", "--now"], expect=(steps.CHANGES_PENDING,))
    host.hostpci(["apply", "--yes", "--now"])
    host.confirm(steps.BOUND)
    steps.verify_with_reset(lab, host)
    steps.nothing_to_do(lab, host)
    _hold_the_group_as_a_virtual_machine_would(lab, host)
    host.hostpci(["undo", "--yes", "--now"])
    host.confirm(steps.FACTORY, also=f"test ! -e {steps.RULE_FILE}")
    host.power_off()
    lab.compare_root()


def _hold_the_group_as_a_virtual_machine_would(lab: Lab, host: Guest) -> None:
    """A group in use is left alone: verify cannot measure it, undo stops and goes on later."""
    group = host.iommu_group_of("01:00.0")
    holder = f"import os, time; os.open('/dev/vfio/{group}', os.O_RDWR); time.sleep(600)"
    quiet = "> /dev/null 2>&1 < /dev/null"
    host.shell(f'setsid python3 -c "{holder}" {quiet} & echo $! > /run/holder; sleep 3')
    answer = host.hostpci(["verify"], expect=(steps.PROOF_FAILED,)).stdout
    lab.check(condition="EBUSY" in answer, text="verify says that the group is in use")
    host.hostpci(["undo", "--yes", "--now"], expect=(steps.CONFLICT,))
    host.confirm(steps.BOUND)
    host.shell("kill $(cat /run/holder); sleep 1")
