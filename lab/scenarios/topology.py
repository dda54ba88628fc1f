"""What the real kernel makes of the boards whose card shares things with the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lab.scenario import Lab

DESCRIPTION = "boards whose card shares its group with the host, or is its only display"
HOSTS = (
    "dirty-group-debian12",
    "uplink-in-group-debian12",
    "boot-disk-in-group-debian12",
    "only-vga-debian12",
)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a host's kernel says: who shares the card's group, and who is the boot display."""

    card: str = "03:00"
    beside: Mapping[str, str] = field(default_factory=dict)
    also: str = "true"


# SeaBIOS routes the legacy VGA ranges to the only display there is, option ROM or not, and vgaarb
# (drivers/pci/vgaarb.c, vga_is_boot_device) takes who owns them.
_BOOT_VGA = "/sys/bus/pci/devices/0000:01:00.0/boot_vga"
_EXPECTED = {
    "dirty-group-debian12": Expected(beside={"04:00.0": "e1000e"}),
    "uplink-in-group-debian12": Expected(
        beside={"04:00.0": "virtio-pci"},
        also="ip -4 route show default | grep -q 'dev enp4s0'",
    ),
    "boot-disk-in-group-debian12": Expected(
        beside={"04:00.0": "virtio-pci"},
        also="readlink -f /sys/class/block/vda | grep -q 0000:04:00.0",
    ),
    "only-vga-debian12": Expected(card="01:00", also=f"grep -q 1 {_BOOT_VGA}"),
}


def run(lab: Lab) -> None:
    """Boot, ask the kernel, and show what hostpci says."""
    expected = _EXPECTED[lab.host.name]
    host = lab.boot()
    card = {f"{expected.card}.0": None, f"{expected.card}.1": "snd_hda_intel"}
    group = host.iommu_group_of(f"{expected.card}.0")
    lab.check(condition=group is not None, text=f"the card is in an IOMMU group: {group}")
    for address in (f"{expected.card}.1", *expected.beside):
        lab.check(
            condition=host.iommu_group_of(address) == group, text=f"{address} is in the same group"
        )
    host.confirm({**card, **expected.beside}, also=expected.also)
    host.push_tool()
    answer = host.hostpci(["check", expected.card], expect=range(8))
    lab.say(f"hostpci check says (status {answer.rc}):\n{answer.stdout}")
    host.power_off()
    lab.compare_root()
