"""A rival inside the initramfs: it takes the card before the root file system is there."""

from __future__ import annotations

from lab.scenario import Lab
from lab.scenarios import _steps as steps

DESCRIPTION = "a competing driver inside the initramfs: one image rebuilt, and its old bytes back"
HOSTS = ("guide-debian12",)

_HASHES = "find /etc /boot /var/lib/initramfs-tools -xdev -type f -exec sha256sum {} + | sort -k2"


def run(lab: Lab) -> None:
    """The owner's own initramfs loads snd_hda_intel; the claim must win, and undo restore it."""
    host = steps.factory_host(lab)
    host.shell("echo snd_hda_intel >> /etc/initramfs-tools/modules")
    with lab.step("the owner rebuilds the initramfs with a rival inside"):
        host.shell("update-initramfs -u", timeout_s=1800)
    before = host.shell(_HASHES).stdout
    host.expected_messages = steps.NO_CODECS
    host.reboot()
    host.confirm(steps.FACTORY)
    host.hostpci(["claim", steps.CARD, "--yes"])
    plan = host.hostpci(["plan"], expect=(steps.CHANGES_PENDING,)).stdout
    lab.check(
        condition="update-initramfs -u -k" in plan,
        text="the plan rebuilds the image of this kernel",
    )
    host.hostpci(["apply", "--yes"], expect=(steps.REBOOT_NEEDED,), timeout_s=1800)
    host.reboot()
    host.confirm(steps.BOUND)
    steps.nothing_to_do(lab, host)
    host.hostpci(["undo", "--yes"], expect=(steps.REBOOT_NEEDED,), timeout_s=1800)
    after = host.shell(_HASHES).stdout
    lab.check(condition=after == before, text="every file, the image too, has its old bytes back")
    host.reboot()
    host.confirm(steps.FACTORY)
    host.power_off()
