"""A trial boot from an ESP that dies before anything of ours runs.

The loaders are the real ones: systemd-boot with the firmware's variables and bootctl, and GRUB,
which writes its note into a vfat file system by itself.
"""

from __future__ import annotations

from lab.guest import Guest
from lab.scenario import Lab
from lab.scenarios import _steps as steps
from lab.scenarios import _trial as trial

DESCRIPTION = "loaders on ESPs: the trial boot dies early, reset, known good entry, back by itself"
HOSTS = ("sdboot-debian12", "grub-esp-debian12")

# What lies there once the trial is armed, and a test for it
_SYSTEMD_BOOT = (
    "entries/hostpci-known-good.conf", "EFI/hostpci/initrd.img-", "EFI/hostpci/vmlinuz-",
    "LoaderEntryDefault-", "LoaderEntryOneShot-",
)  # fmt: skip
_GRUB = ("grub/custom.cfg", "grub/hostpci.env", "hostpci/initrd.img-", "hostpci/vmlinuz-",
         "hostpci_trial=pending")  # fmt: skip

# systemd-boot itself writes its seed at each boot
_LOOK = """
set -e
uuid=$(head -n1 /etc/kernel/proxmox-boot-uuids)
mkdir -p /run/look
mount -t vfat -o ro "/dev/disk/by-uuid/$uuid" /run/look
find /run/look -type f '!' -name random-seed -print0 | sort -z | xargs -0 sha256sum
grep -a ^hostpci_trial= /run/look/grub/hostpci.env 2>/dev/null || true
umount /run/look
ls /sys/firmware/efi/efivars 2>/dev/null | grep -E '^LoaderEntry(Default|OneShot)-' || true
"""


def run(lab: Lab) -> None:
    """A rebuild on trial, so that the entry boots copies; then the kernel dies."""
    host = steps.factory_host(lab)
    before = _look(host)
    host.hostpci(["set", "iommu-pt", "--yes"])
    trial.apply_on_trial(lab, host, "20m", parts="true")
    armed = _look(host)
    wanted = _GRUB if "/grub/grub.cfg" in before else _SYSTEMD_BOOT
    missing = [each for each in wanted if each not in armed]
    lab.check(condition=not missing, text=f"entry, copies and one-shot are there ({missing})")
    trial.crash_early(lab, host)
    lab.check(condition=_look(host) == before, text="ESP and variables are as they were")
    trial.end_after_crash(lab, host)


def _look(host: Guest) -> str:
    return host.shell(_LOOK).stdout
