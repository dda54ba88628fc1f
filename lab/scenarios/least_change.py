"""A host that needs nothing but a claim gets one file; a knob gets exactly that knob's change."""

from __future__ import annotations

from lab.guest import Guest
from lab.scenario import Lab
from lab.scenarios import _steps as steps

DESCRIPTION = "one file for a claim, no word and no image touched; two knobs, each by itself"
HOSTS = ("guide-debian12",)

# All but what no step may touch: the comparison after the undo reads every byte of the root
_FILES = (
    "find /etc /boot /usr/local /lib/udev /var/lib/initramfs-tools -xdev -type f"
    " -exec sha256sum {} + | sort -k2"
)
_CLAIMS = "/etc/hostpci.toml"
_OPTIONS = "/etc/modprobe.d/hostpci.conf"
_DROP_IN = "/etc/default/grub.d/90-hostpci.cfg"
_GRUB_CFG = "/boot/grub/grub.cfg"


def run(lab: Lab) -> None:
    """Count what changed on the whole root after each step."""
    host = steps.factory_host(lab)
    factory = _sums(host)
    steps.claim(lab, host)
    host.hostpci(["apply", "--yes"], expect=(steps.REBOOT_NEEDED,))
    _only(lab, host, factory, {_CLAIMS, steps.RULE_FILE}, "a claim")
    claimed = _sums(host)
    host.hostpci(["set", "iommu-pt", "--yes"])
    host.hostpci(["apply", "--yes"], expect=(steps.REBOOT_NEEDED,))
    _only(lab, host, claimed, {_CLAIMS, _DROP_IN, _GRUB_CFG}, "iommu-pt")
    with_word = _sums(host)
    host.hostpci(["set", "kvm-ignore-msrs", "--yes"])
    host.hostpci(["apply", "--yes"], expect=(steps.REBOOT_NEEDED,))
    _only(lab, host, with_word, {_CLAIMS, _OPTIONS}, "kvm-ignore-msrs")
    host.reboot()
    host.shell("modprobe kvm")
    host.confirm(
        steps.BOUND,
        also="grep -qw iommu=pt /proc/cmdline"
        ' && test "$(cat /sys/module/kvm/parameters/ignore_msrs)" = Y'
        " && grep -q identity /sys/kernel/iommu_groups/*/type",
    )
    steps.nothing_to_do(lab, host)
    steps.verify_with_reset(lab, host)
    _turned_back(lab, host, claimed)
    steps.undo_reboot_compare(lab, host)


def _turned_back(lab: Lab, host: Guest, claimed: dict[str, str]) -> None:
    """Unset both: the host is as it was with the claim alone."""
    for name in ("iommu-pt", "kvm-ignore-msrs"):
        host.hostpci(["unset", name, "--yes"])
    host.hostpci(["apply", "--yes"], expect=(steps.DONE, steps.REBOOT_NEEDED))
    left = _changed(host, claimed)
    lab.check(
        condition=left <= {_GRUB_CFG},
        text=f"with both unset the host is as with the claim alone, but for: {left or 'nothing'}",
    )


def _sums(host: Guest) -> dict[str, str]:
    lines = host.shell(_FILES, timeout_s=900).stdout.splitlines()
    return {path: digest for digest, _, path in (line.partition("  ") for line in lines)}


def _changed(host: Guest, before: dict[str, str]) -> set[str]:
    now = _sums(host)
    return {path for path in before.keys() | now.keys() if before.get(path) != now.get(path)}


def _only(lab: Lab, host: Guest, before: dict[str, str], expected: set[str], what: str) -> None:
    changed = _changed(host, before)
    lab.check(
        condition=changed == expected,
        text=f"{what} changed exactly: {', '.join(sorted(changed)) or 'nothing'}",
    )
