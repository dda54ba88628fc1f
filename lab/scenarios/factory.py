"""The host as it comes: what every other scenario starts from and must come back to."""

from __future__ import annotations

from lab.scenario import Lab
from lab.scenarios._steps import FACTORY

DESCRIPTION = "a factory host: its drivers and IOMMU, and that two boots change nothing else"
HOSTS = ("guide-debian12", "guide-debian13")


def run(lab: Lab) -> None:
    """Boot, look, reboot, compare."""
    host = lab.boot()
    host.confirm(FACTORY)
    log = host.ssh(["dmesg"]).stdout
    lab.check(condition="nouveau 0000:01:00.0" in log, text="nouveau has tried the card")
    lab.check(
        condition="AMD-Vi: Interrupt remapping enabled" in log, text="interrupts are remapped"
    )
    groups = {host.iommu_group_of(f"01:00.{function}") for function in (0, 1)}
    lab.check(
        condition=len(groups) == 1 and None not in groups,
        text="both functions are in one IOMMU group",
    )
    lab.check(
        condition="CONNECTED" in {each.event for each in host.card_log("01:00")},
        text="the card's own log shows the host",
    )
    host.reboot()
    host.confirm(FACTORY)
    host.power_off()
    lab.compare_root()
