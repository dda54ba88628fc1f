"""A trial boot under systemd-boot that dies before anything of ours runs.

The firmware, its variables, systemd-boot and bootctl are the real ones.
"""

from __future__ import annotations

from lab.guest import Guest
from lab.scenario import Lab
from lab.scenarios import _steps as steps
from lab.scenarios import _trial as trial

DESCRIPTION = "systemd-boot: the trial boot dies early, reset, known good entry, back by itself"
HOSTS = ("sdboot-debian12",)

# The loader itself writes its seed at each boot
_LOOK = """
set -e
uuid=$(head -n1 /etc/kernel/proxmox-boot-uuids)
mkdir -p /run/look
mount -t vfat -o ro "/dev/disk/by-uuid/$uuid" /run/look
find /run/look -type f '!' -name random-seed -print0 | sort -z | xargs -0 sha256sum
umount /run/look
ls /sys/firmware/efi/efivars | grep -E '^LoaderEntry(Default|OneShot)-' || true
"""


def run(lab: Lab) -> None:
    """A rebuild on trial, so that the entry boots copies; then the kernel dies."""
    host = steps.factory_host(lab)
    before = _look(host)
    host.hostpci(["set", "iommu-pt", "--yes"])
    trial.apply_on_trial(
        lab, host, "20m", parts="ls /sys/firmware/efi/efivars/LoaderEntryOneShot-*"
    )
    armed = _look(host)
    wanted = ("entries/hostpci-known-good.conf", "EFI/hostpci/initrd.img-", "EFI/hostpci/vmlinuz-",
              "LoaderEntryDefault-", "LoaderEntryOneShot-")  # fmt: skip
    missing = [each for each in wanted if each not in armed]
    lab.check(condition=not missing, text=f"entry, copies and variables are there ({missing})")
    trial.crash_early(lab, host)
    lab.check(condition=_look(host) == before, text="ESP and variables are as they were")
    trial.end_after_crash(lab, host)


def _look(host: Guest) -> str:
    return host.shell(_LOOK).stdout
