"""A kernel word on a host that boots copies from an ESP, and the ESP's old bytes back.

The host's own files, systemd-boot, the firmware and the boots are real; proxmox-boot-tool is the
stand-in that behaves as the real one's transcripts.
"""

from __future__ import annotations

from lab.guest import Guest
from lab.scenario import Lab
from lab.scenarios import _steps as steps

DESCRIPTION = "iommu=pt through /etc/kernel/cmdline: on the ESP, in the boot, and gone again"
HOSTS = ("sdboot-debian12",)

_WORD = "iommu=pt"
# The loader itself writes its seed at each boot
_ESP = """
set -e
uuid=$(head -n1 /etc/kernel/proxmox-boot-uuids)
mkdir -p /run/look
mount -t vfat -o ro "/dev/disk/by-uuid/$uuid" /run/look
find /run/look -type f '!' -name random-seed -print0 | sort -z | xargs -0 sha256sum
grep -h ^options /run/look/loader/entries/proxmox-*.conf
umount /run/look
"""


def run(lab: Lab) -> None:
    """Exactly one word more on the next command line, and none of it left in the end."""
    host = steps.factory_host(lab)
    line, esp = host.read_file("/etc/kernel/cmdline"), _esp(host)
    host.hostpci(["set", "iommu-pt", "--yes"])
    plan = host.hostpci(["plan"], expect=(steps.CHANGES_PENDING,)).stdout
    lab.check(condition="proxmox-boot-tool refresh" in plan, text="the plan refreshes the ESP")
    host.hostpci(["apply", "--yes"], expect=(steps.DONE, steps.REBOOT_NEEDED))
    lab.check(condition=_words(host) == f"{_words_of(esp)} {_WORD}", text="the ESP has the word")
    mounts = host.shell("ls -A /run; cat /proc/self/mounts").stdout
    lab.check(condition=".hostpci-" not in mounts, text="nothing of the look at the ESP is left")
    host.reboot()
    host.confirm(steps.FACTORY, also=f"grep -qw {_WORD} /proc/cmdline")
    steps.nothing_to_do(lab, host)
    host.hostpci(["undo", "--yes"], expect=(steps.DONE, steps.REBOOT_NEEDED))
    lab.check(condition=host.read_file("/etc/kernel/cmdline") == line, text="the line is as it was")
    lab.check(condition=_esp(host) == esp, text="the ESP has its old bytes back")
    host.reboot()
    host.confirm(steps.FACTORY, also=f"! grep -qw {_WORD} /proc/cmdline")
    host.power_off()
    lab.compare_root()


def _esp(host: Guest) -> str:
    return host.shell(_ESP).stdout


def _words(host: Guest) -> str:
    return _words_of(_esp(host))


def _words_of(esp: str) -> str:
    options = {line.strip() for line in esp.splitlines() if line.startswith("options")}
    return options.pop() if len(options) == 1 else ""
