"""The host as it comes: what every other scenario starts from and must come back to."""

from __future__ import annotations

from lab.scenario import Lab

DESCRIPTION = "a factory host: its drivers and IOMMU, and that two boots change nothing else"
HOSTS = ("guide-debian12", "guide-debian13")

DRIVERS = {"01:00.0": None, "01:00.1": "snd_hda_intel", "00:1b.0": "snd_hda_intel"}


def run(lab: Lab) -> None:
    """Boot, look, reboot, compare."""
    host = lab.boot()
    host.confirm(DRIVERS)
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
    host.confirm(DRIVERS)
    host.power_off()
    lab.compare_root()
