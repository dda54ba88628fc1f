"""The faults that the lab puts into a host, and what a doctor has to call each of them.

What QEMU says of one goes where Proxmox VE has it, into the journal.
"""

from __future__ import annotations

from dataclasses import dataclass

# Without a guest: QEMU opens the device, as for a start, and waits. Through SeaBIOS, where the
# device's ROM has to be read.
_QEMU = (
    "qemu-system-x86_64 -nodefaults -no-user-config -display none -machine q35 -accel tcg"
    " -cpu qemu64 -m 64"
)


def opened(address: str, *, seconds: int, words: str = "-S", before: str = "") -> str:
    """A device opened by QEMU; what that says is told to the console and the journal."""
    return (
        f"{before} timeout -k 30 {seconds} {_QEMU} {words} -device vfio-pci,host={address} 2>&1"
        " | sed '/terminating on signal/d' | tee /dev/console | systemd-cat -t QEMU || true"
    )


def bound(slot: str, functions: str = "0 1") -> str:
    """Functions of a slot given to vfio-pci, as hostpci's rules would have done it."""
    return (
        f"modprobe vfio-pci; for each in {functions}; do device=0000:{slot}.$each;"
        " cd /sys/bus/pci/devices/$device; echo vfio-pci > driver_override;"
        " if [ -e driver ]; then echo $device > driver/unbind; fi;"
        " echo $device > /sys/bus/pci/drivers_probe; done; cd /"
    )


def released(*slots: str) -> str:
    """Functions that nobody drives any longer."""
    return (
        f"for each in {' '.join(slots)}; do for device in /sys/bus/pci/devices/0000:$each.*; do"
        " cd $device; echo > driver_override;"
        " if [ -e driver ]; then echo ${device##*/} > driver/unbind; fi; done; done; cd /"
    )


_LAB_CONF = "/etc/modprobe.d/lab.conf"


def _options(text: str) -> str:
    return f"modprobe -r vfio-pci; echo 'options vfio-pci {text}' > {_LAB_CONF}"


@dataclass(frozen=True, kw_only=True)
class Injection:
    """One fault, or none (no `code`).

    `ready` is done before the logs are set back, `script` is the fault itself, run in the host;
    `monitor` are commands for the QEMU that the host runs in; `after` gives back what later ones
    must not find. `code` is what it has to be called, `in_log` where a log alone tells less.
    `of_boot`: it was there from the start, so the whole boot is read.
    """

    name: str
    code: str
    script: str = ""
    ready: str = ""
    monitor: tuple[str, ...] = ()
    after: str = ""
    in_log: str | None = None
    settle_s: float = 2
    of_boot: bool = False


# One boot of a host full of broken cards. The last one floods the log, so it comes last.
CARDS = (
    Injection(
        name="healthy-card-opened",
        code="",
        ready=bound("06:00"),
        script=opened("0000:06:00.0", seconds=15),
    ),
    Injection(
        name="rom-without-signature",
        code="rom-invalid-signature",
        script="cd /sys/bus/pci/devices/0000:04:00.0; echo 1 > rom; cat rom >/dev/null || true",
    ),
    Injection(
        name="rom-does-not-answer",
        code="rom-unreadable",
        ready=bound("05:00"),
        script=opened("0000:05:00.0", seconds=25, words=""),
    ),
    Injection(
        name="sound-function-left-to-the-host",
        code="host-audio-function-held",
        in_log="group-not-viable",
        ready=bound("07:00", "0"),
        script=opened("0000:07:00.0", seconds=15),
        after=released("07:00", "06:00", "05:00"),
    ),
    Injection(
        name="module-option-misspelt",
        code="modprobe-option-typo",
        ready=_options("id=10de:2d04,10de:22eb"),
        script="modprobe vfio-pci",
        after=f"rm {_LAB_CONF}",
    ),
    Injection(
        name="twin-captured-by-its-ids",
        code="identical-gpus",
        in_log="",
        ready=f"{_options('ids=10de:2d04,10de:22eb')}; modprobe -r snd_hda_intel",
        script="modprobe vfio-pci; modprobe snd_hda_intel",
        after=f"rm {_LAB_CONF}; {released('07:00', '08:00')}; modprobe -r vfio-pci",
    ),
    Injection(
        name="does-not-wake-up",
        code="power-stuck-d3",
        script=f"{bound('02:00')}; sleep 2; {opened('0000:02:00.0', seconds=100)}",
    ),
    Injection(
        name="dies-of-its-own-reset",
        code="reset-flr-not-ready",
        ready=bound("01:00"),
        script=opened("0000:01:00.0", seconds=100),
    ),
    Injection(
        name="dies-of-a-bus-reset",
        code="reset-bus-not-ready",
        ready=bound("03:00"),
        script=opened("0000:03:00.0", seconds=100),
    ),
    Injection(
        name="link-with-a-protocol-error",
        code="aer-fatal",
        monitor=("pcie_aer_inject_error port7 DLP",),
        settle_s=5,
    ),
    Injection(
        name="link-that-corrects-errors",
        code="aer-storm",
        monitor=("pcie_aer_inject_error port5 RCVR",) * 12,
        settle_s=3,
    ),
    Injection(
        name="reads-where-it-must-not",
        code="iommu-amdvi-page-fault",
        script="python3 -IS /run/stray_dma.py",
        settle_s=3,
    ),
)

NO_REMAPPING = (
    # A host of the lab is a virtual machine: until VFIO is there, it rightly looks like a guest.
    Injection(
        name="bar-larger-than-the-window",
        code="above-4g-decoding-off",
        ready=bound("01:00"),
        of_boot=True,
    ),
    Injection(
        name="no-interrupt-remapping",
        code="iommu-no-interrupt-remapping",
        ready=bound("01:00"),
        script=opened("0000:01:00.0", seconds=20),
    ),
)

NO_IOMMU = (
    Injection(
        name="no-iommu",
        code="iommu-off-firmware",
        in_log="iommu-no-group",
        script=f"{bound('01:00')}; {opened('0000:01:00.0', seconds=20)}",
    ),
)

_DISPLAY = "0000:00:02.0"
FRAMEBUFFER = (
    Injection(
        name="framebuffer-in-the-bar",
        code="bar-reserved-by-bootfb",
        ready=bound("00:02", "0"),
        script=f"python3 -IS /run/touch_bar.py {_DISPLAY} 0",
    ),
)

BY_HOST = {
    "broken-debian12": CARDS,
    "no-remapping-debian12": NO_REMAPPING,
    "no-iommu-debian12": NO_IOMMU,
    "framebuffer-debian12": FRAMEBUFFER,
}
