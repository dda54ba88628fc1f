"""The guide, word for word, on a host that somebody else set up; then back to what is needed."""

from __future__ import annotations

import re

from lab.guest import Guest
from lab.scenario import Lab
from lab.scenarios import _steps as steps

DESCRIPTION = "a guide applied by hand: all of it named, taken out, and given back byte for byte"
HOSTS = ("guide-debian12",)

# Every command of the guide that touches the host, in its order. The line in /etc/default/grub
# is edited there with an editor.
_GUIDE = r"""
sed -i 's/^GRUB_CMDLINE_LINUX_DEFAULT=.*/GRUB_CMDLINE_LINUX_DEFAULT="quiet amd_iommu=on iommu=pt initcall_blacklist=sysfb_init pcie_acs_override=downstream"/' /etc/default/grub
update-grub
printf 'vfio\nvfio_iommu_type1\nvfio_pci\nvfio_virqfd\n' >> /etc/modules
echo "options vfio-pci ids=10de:2d04 disable_vga=1" > /etc/modprobe.d/vfio.conf
echo "# NVIDIA" >> /etc/modprobe.d/blacklist.conf
echo "blacklist nouveau" >> /etc/modprobe.d/blacklist.conf
echo "blacklist nvidia" >> /etc/modprobe.d/blacklist.conf
echo "blacklist nvidiafb" >> /etc/modprobe.d/blacklist.conf
echo "blacklist nvidia_drm" >> /etc/modprobe.d/blacklist.conf
echo "" >> /etc/modprobe.d/blacklist.conf
echo "options vfio_iommu_type1 allow_unsafe_interrupts=1" > /etc/modprobe.d/iommu_unsafe_interrupts.conf
echo "options kvm ignore_msrs=1 report_ignored_msrs=0" > /etc/modprobe.d/kvm.conf
update-initramfs -k all -u
"""  # noqa: E501
_GRUB_LINE = "/etc/default/grub:"
# What must be named, with where it stands, one row for each of the guide's settings
_NAMED = (
    ("cmdline-amd-iommu-on", _GRUB_LINE), ("cmdline-iommu-pt", _GRUB_LINE),
    ("cmdline-sysfb", _GRUB_LINE), ("cmdline-acs-override-ignored", _GRUB_LINE),
    ("module-vfio", "/etc/modules:"), ("module-vfio-virqfd-present", "/etc/modules:"),
    ("vfio-ids-partial", "/etc/modprobe.d/vfio.conf:1"),
    ("vfio-disable-vga", "/etc/modprobe.d/vfio.conf:1"),
    ("blacklist", "/etc/modprobe.d/blacklist.conf:2"),
    ("blacklist-absent", "/etc/modprobe.d/blacklist.conf:3"),
    ("blacklist-absent", "/etc/modprobe.d/blacklist.conf:4"),  # Proxmox's kernels have nvidiafb
    ("blacklist-absent", "/etc/modprobe.d/blacklist.conf:5"),
    ("unsafe-interrupts-remapped", "/etc/modprobe.d/iommu_unsafe_interrupts.conf:1"),
    ("kvm-ignore-msrs", "/etc/modprobe.d/kvm.conf:1"),
    ("kvm-report-ignored-msrs", "/etc/modprobe.d/kvm.conf:1"),
)  # fmt: skip
_WORDS = "amd_iommu|iommu=pt|sysfb|acs_override|vfio|nouveau|nvidia|allow_unsafe|ignore_msrs"
_NO_GUIDE_LINE = f"! grep -rqE '{_WORDS}' /etc/default/grub /etc/modules /proc/cmdline"
# ids= names one function of two, as the guide has it: the other stays with the host's driver
_AS_THE_GUIDE_LEAVES_IT = {
    "01:00.0": "vfio-pci", "01:00.1": "snd_hda_intel", "00:1b.0": "snd_hda_intel",
}  # fmt: skip


def run(lab: Lab) -> None:
    """Apply the guide, find all of it, take it out, keep the card bound, give it all back."""
    host = steps.factory_host(lab)
    with lab.step("the guide, by hand"):
        host.shell(_GUIDE, timeout_s=1800)
    before = _files_of(host)
    host.reboot()
    host.confirm(_AS_THE_GUIDE_LEAVES_IT, also="grep -qw amd_iommu=on /proc/cmdline")
    _all_of_it_is_named(lab, host)
    host.hostpci(["adopt", "--remove", "--yes"], timeout_s=1800)
    host.hostpci(["claim", steps.CARD, "--yes"])
    host.hostpci(["apply", "--yes"], expect=(steps.DONE, steps.REBOOT_NEEDED), timeout_s=1800)
    host.reboot()
    host.confirm(steps.BOUND, also=_NO_GUIDE_LINE)
    _minimal(lab, host)
    steps.verify_with_reset(lab, host)
    steps.nothing_to_do(lab, host)
    host.hostpci(["undo", "--yes"], expect=(steps.DONE, steps.REBOOT_NEEDED), timeout_s=1800)
    lab.check(
        condition=_files_of(host) == before,
        text="undo gave back every file of the guide, grub.cfg and every image byte for byte",
    )
    host.reboot()
    host.confirm(_AS_THE_GUIDE_LEAVES_IT, also="grep -qw amd_iommu=on /proc/cmdline")
    host.power_off()


def _files_of(host: Guest) -> str:
    """Every file that holds settings or is made from them, with checksum, owner and mode."""
    return host.shell(
        "find /etc /boot -xdev -type f -printf '%m %U %G %p\\n' | sort;"
        " find /etc /boot -xdev -type f -exec sha256sum {} + | sort -k2"
    ).stdout


def _all_of_it_is_named(lab: Lab, host: Guest) -> None:
    report = steps.json_of(host, ["check", steps.CARD], expect=(steps.DONE, steps.PROOF_FAILED))
    assert isinstance(report, dict)
    found = {
        (each["code"].removeprefix("leftover-"), each["subject"])
        for each in report["findings"]
        if each["code"].startswith("leftover-")
    }
    missing = [
        (code, where)
        for code, where in _NAMED
        if not any(each == code and subject.startswith(where) for each, subject in found)
    ]
    lab.check(condition=not missing, text=f"check names all {len(_NAMED)}; missing: {missing}")
    text = host.hostpci(["check", steps.CARD], expect=(steps.DONE, steps.PROOF_FAILED)).stdout
    for line in text.splitlines():
        if re.search("/etc/(default/grub|modules|modprobe)", line):
            lab.say(f"   {line.strip()}")


def _minimal(lab: Lab, host: Guest) -> None:
    """One rule file of ours, nothing of the guide but a comment and what cannot be a setting."""
    ours = host.shell(
        "ls /etc/udev/rules.d/10-hostpci* /etc/modprobe.d/*.conf /etc/modules-load.d/*.conf"
        " /etc/default/grub.d/*hostpci* 2>/dev/null || true"
    ).stdout.split()
    kept = {"/etc/modprobe.d/blacklist.conf", "/etc/modules-load.d/modules.conf"}
    lab.check(
        condition=set(ours) - kept == {steps.RULE_FILE},
        text=f"one rule file is all there is: {', '.join(ours)}",
    )
    left = host.read_file("/etc/modprobe.d/blacklist.conf").decode()
    lab.check(condition=left.split() == ["#", "NVIDIA"], text="the guide's comment alone is left")
