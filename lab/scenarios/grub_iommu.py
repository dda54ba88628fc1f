"""A kernel that leaves the Intel IOMMU off: the one word that is missing goes in through GRUB.

Debian's kernels have it on, so what such a kernel looks like is laid over sysfs and /boot for
the time of `apply`; GRUB, its drop-in directory, grub-mkconfig and the boot are the real ones.
"""

from __future__ import annotations

from lab.scenario import Lab
from lab.scenarios import _steps as steps

DESCRIPTION = "intel_iommu=on through a GRUB drop-in of our own, and grub.cfg's old bytes back"
HOSTS = ("intel-debian12",)

_DISGUISE = """
mkdir /run/no-iommu
grep -v INTEL_IOMMU_DEFAULT_ON "/boot/config-$(uname -r)" > /run/config-off
mount --bind /run/no-iommu /sys/class/iommu
mount --bind /run/config-off "/boot/config-$(uname -r)"
"""
_UNDISGUISE = 'umount /sys/class/iommu "/boot/config-$(uname -r)"'


def run(lab: Lab) -> None:
    """Exactly one word more on the next command line, and none of it left in the end."""
    host = steps.factory_host(lab)
    before = host.read_file("/boot/grub/grub.cfg")
    host.shell(_DISGUISE)
    host.hostpci(["claim", steps.CARD, "--yes"])
    plan = host.hostpci(["plan"], expect=(steps.CHANGES_PENDING,)).stdout
    lab.check(condition="grub-mkconfig" in plan, text="the plan goes through GRUB")
    host.hostpci(["apply", "--yes"], expect=(steps.REBOOT_NEEDED,))
    host.shell(_UNDISGUISE)
    host.reboot()
    host.confirm(steps.BOUND, also="grep -qw intel_iommu=on /proc/cmdline")
    steps.verify_with_reset(lab, host)
    steps.nothing_to_do(lab, host)
    host.hostpci(["undo", "--yes"], expect=(steps.REBOOT_NEEDED,))
    lab.check(
        condition=host.read_file("/boot/grub/grub.cfg") == before,
        text="grub.cfg has its old bytes back",
    )
    host.reboot()
    host.confirm(steps.FACTORY, also="! grep -qw intel_iommu=on /proc/cmdline")
    host.power_off()
    lab.compare_root()
