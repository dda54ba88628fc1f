"""What the host uses a function for, through every layer in between."""

from __future__ import annotations

import pytest

from hostpci.model.pci import Use, UseKind

from ..hosts import AUDIO, VGA, RecordedHost
from .support import with_block, with_class_device, with_mounts

SATA = "0000:00:1f.2"
VIRTIO_DISK = "0000:00:03.0"
NIC = "0000:00:04.0"
SDA = f"pci0000:00/{SATA}/ata1/host0/target0:0:0/0:0:0:0/block/sda"
NVME = f"pci0000:00/0000:00:08.0/{VGA}/nvme/nvme0"


def uses(host: RecordedHost, address: str, kind: UseKind) -> list[Use]:
    found = host.facts().inventory.function(address)
    assert found is not None
    return [use for use in found.uses if use.kind is kind]


def disk(host: RecordedHost, address: str = SATA) -> Use:
    (found,) = uses(host, address, UseKind.DISK)
    return found


def with_sda(host: RecordedHost) -> RecordedHost:
    for node, path in (("sda", SDA), ("sda2", f"{SDA}/sda2"), ("sda3", f"{SDA}/sda3")):
        with_block(host, node, path)
    return host


# disks


def test_a_disk_that_nobody_mounted_is_shown_and_not_critical(guide: RecordedHost) -> None:
    assert disk(with_sda(guide)) == Use(kind=UseKind.DISK, name="sda")


def test_a_mounted_partition_makes_its_controller_critical(guide: RecordedHost) -> None:
    with_mounts(with_sda(guide), "/dev/sda2 /srv ext4 rw 0 0", "/dev/sda3 / ext4 rw 0 0")
    assert disk(guide) == Use(kind=UseKind.DISK, name="sda", detail="/, /srv", critical=True)
    assert not disk(guide, VIRTIO_DISK).critical


def test_a_partition_whose_name_another_begins_with_is_not_mixed_up(guide: RecordedHost) -> None:
    with_sda(guide)
    with_block(guide, "sdaa", SDA.replace("sda", "sdaa").replace("ata1", "ata2"))
    with_block(guide, "sda22", f"{SDA}/sda22")
    with_mounts(guide, "/dev/sda22 /srv ext4 rw 0 0")
    by_name = {use.name: use for use in uses(guide, SATA, UseKind.DISK)}
    assert by_name["sda"].detail == "/srv"
    assert not by_name["sdaa"].critical


@pytest.mark.parametrize("device", ["/dev/mapper/pve-root", "/dev/dm-1"])
def test_lvm_is_followed_to_the_disk_below_it(guide: RecordedHost, device: str) -> None:
    with_sda(guide)
    with_block(guide, "dm-1", "virtual/block/dm-1", slaves=("sda3",), mapper="pve-root")
    assert disk(with_mounts(guide, f"{device} / ext4 rw 0 0")).detail == "/"


def test_lvm_on_luks_on_a_mirror_is_followed_to_both_disks(guide: RecordedHost) -> None:
    with_sda(guide)
    with_block(guide, "md0", "virtual/block/md0", slaves=("sda2", "vda1"))
    with_block(guide, "dm-0", "virtual/block/dm-0", slaves=("md0",), mapper="crypt")
    with_block(guide, "dm-1", "virtual/block/dm-1", slaves=("dm-0",), mapper="pve-root")
    with_mounts(guide, "/dev/mapper/pve-root / ext4 rw 0 0")
    assert disk(guide).critical
    assert disk(guide, VIRTIO_DISK).critical


def test_a_loop_of_devices_ends(guide: RecordedHost) -> None:
    with_sda(guide)
    with_block(guide, "dm-0", "virtual/block/dm-0", slaves=("dm-1", "sda3"), mapper="a")
    with_block(guide, "dm-1", "virtual/block/dm-1", slaves=("dm-0",), mapper="b")
    assert disk(with_mounts(guide, "/dev/mapper/a / ext4 rw 0 0")).critical


@pytest.mark.parametrize("device", ["/dev/sda2", "/dev/dm-0"])
def test_swap_makes_a_disk_critical(guide: RecordedHost, device: str) -> None:
    with_sda(guide)
    with_block(guide, "dm-0", "virtual/block/dm-0", slaves=("sda2",), mapper="pve-swap")
    header = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
    guide.with_file("/proc/swaps", f"{header}{device}    partition\t8388604\t\t0\t\t-2\n")
    assert disk(with_mounts(guide)) == Use(
        kind=UseKind.DISK, name="sda", detail="swap", critical=True
    )


def test_pseudo_file_systems_are_no_disks(guide: RecordedHost) -> None:
    with_mounts(with_sda(guide), "sysfs /sys sysfs rw 0 0", "sda2 /x fuse.sda2 rw 0 0")
    assert not disk(guide).critical


def test_a_disk_behind_a_usb_controller_belongs_to_the_controller(guide: RecordedHost) -> None:
    path = f"pci0000:00/0000:00:08.0/{VGA}/usb2/2-1/2-1:1.0/host4/target4:0:0/4:0:0:0/block/sdb"
    with_block(guide, "sdb", path)
    with_mounts(guide, "/dev/sdb / ext4 rw 0 0")
    assert disk(guide, VGA).critical
    assert uses(guide, "0000:00:08.0", UseKind.DISK) == []


def test_a_disk_at_02_00_is_not_one_at_00_02(guide: RecordedHost) -> None:
    guide.with_twin()
    with_block(guide, "sdb", "pci0000:00/0000:00:08.0/0000:02:00.0/ata9/host9/block/sdb")
    with_mounts(guide, "/dev/sdb / ext4 rw 0 0")
    assert disk(guide, "0000:02:00.0").critical
    assert uses(guide, "0000:00:02.0", UseKind.DISK) == []


def test_a_disk_in_another_domain_is_not_mixed_up(guide: RecordedHost) -> None:
    guide.with_twin("10000:01:00")
    with_block(guide, "sdb", "pci10000:00/10000:00:06.0/10000:01:00.0/ata9/block/sdb")
    with_mounts(guide, "/dev/sdb / ext4 rw 0 0")
    assert disk(guide, "10000:01:00.0").critical
    assert uses(guide, VGA, UseKind.DISK) == []


def test_a_mounted_nvme_disk_makes_its_controller_critical(guide: RecordedHost) -> None:
    with_block(guide, "nvme0n1", f"{NVME}/nvme0n1")
    with_block(guide, "nvme0n1p2", f"{NVME}/nvme0n1/nvme0n1p2")
    assert disk(with_mounts(guide, "/dev/nvme0n1p2 / ext4 rw 0 0"), VGA).critical


def test_an_nvme_disk_has_its_own_name(guide: RecordedHost) -> None:
    with_block(guide, "nvme0n1", f"{NVME}/nvme0n1")
    with_block(guide, "nvme0n1p2", f"{NVME}/nvme0n1/nvme0n1p2")
    assert disk(guide, VGA).name == "nvme0n1"


def test_a_disk_of_a_multipath_nvme_makes_its_controller_critical(guide: RecordedHost) -> None:
    """Controllers that report CMIC (many data centre and some consumer disks), one path each."""
    head = "virtual/nvme-subsystem/nvme-subsys0/nvme0n1"
    with_block(guide, "nvme0c0n1", f"{NVME}/nvme0c0n1")
    with_block(guide, "nvme0n1", head)
    with_block(guide, "nvme0n1p2", f"{head}/nvme0n1p2")
    with_mounts(guide, "/dev/nvme0n1p2 / ext4 rw 0 0")
    assert any(use.critical for use in uses(guide, VGA, UseKind.DISK))


def test_a_partition_of_a_mirror_is_followed_to_the_disks(guide: RecordedHost) -> None:
    """Intel's RAID (IMSM) puts a partition table on md126; slaves/ is in the whole array only."""
    with_sda(guide)
    with_block(guide, "md126", "virtual/block/md126", slaves=("sda",))
    with_block(guide, "md126p2", "virtual/block/md126/md126p2")
    assert disk(with_mounts(guide, "/dev/md126p2 / ext4 rw 0 0")).critical


def test_bcache_is_followed_to_the_disks(guide: RecordedHost) -> None:
    with_sda(guide)
    with_block(guide, "bcache0", "virtual/block/bcache0", slaves=("sda3",))
    assert disk(with_mounts(guide, "/dev/bcache0 /srv ext4 rw 0 0")).critical


def test_the_disk_of_a_zfs_root_is_not_called_unused(guide: RecordedHost) -> None:
    """PVE's installer offers ZFS; its datasets are mounted by name, not by /dev/..."""
    with_mounts(guide, "rpool/ROOT/pve-1 / zfs rw,relatime,xattr,noacl 0 0")
    assert disk(guide, VIRTIO_DISK).critical


# networks


def with_nic(host: RecordedHost, node: str, state: str, *, master: str = "") -> RecordedHost:
    """A second network card, at the card's address."""
    with_class_device(host, "net", node, f"pci0000:00/0000:00:08.0/{VGA}/net/{node}")
    host.with_file(f"/sys/class/net/{node}/operstate", f"{state}\n")
    if master:
        host.with_link(f"/sys/class/net/{node}/master", f"../../../virtual/net/{master}")
    else:
        host.without(f"/sys/class/net/{node}/master")
    return host


@pytest.mark.parametrize(
    ("state", "master", "route", "detail", "critical"),
    [
        ("down", "", "vmbr0", "down", False),
        ("up", "", "vmbr0", "up", True),
        ("down", "vmbr0", "enp9s0", "down, port of vmbr0", True),
        ("up", "vmbr0", "vmbr0", "up, port of vmbr0, default route", True),
        ("down", "bond0", "bond0", "down, port of bond0, default route", True),
        ("unknown", "", "eth7", "unknown, default route", True),
        ("unknown", "", "eth77", "unknown", False),
    ],
)
def test_a_network_card_is_critical_if_the_host_talks_through_it(
    guide: RecordedHost, state: str, master: str, route: str, detail: str, *, critical: bool
) -> None:
    guide.with_file("/proc/net/route", f"Iface\tDestination\n{route}\t00000000\t0102A8C0\n")
    with_nic(guide, "eth7", state, master=master)
    assert uses(guide, VGA, UseKind.NETWORK) == [
        Use(kind=UseKind.NETWORK, name="eth7", detail=detail, critical=critical)
    ]


def test_a_route_to_a_network_is_no_default_route(guide: RecordedHost) -> None:
    guide.with_file("/proc/net/route", "Iface\tDestination\neth7\t0002A8C0\t00000000\n")
    (found,) = uses(with_nic(guide, "eth7", "down"), VGA, UseKind.NETWORK)
    assert not found.critical


# displays, sound, input


def with_holders(host: RecordedHost, **holders: list[str]) -> RecordedHost:
    """``dri_card1=["Xorg[9]"]`` -> /dev/dri/card1."""
    host.data["holders"] = {
        f"/dev/{name.replace('_', '/', 1)}": names for name, names in holders.items()
    }
    return host


def on_card(host: RecordedHost, kind: str, node: str, address: str = VGA) -> RecordedHost:
    return with_class_device(host, kind, node, f"pci0000:00/0000:00:08.0/{address}/{kind}/{node}")


def test_a_display_names_who_holds_it_open_and_its_connectors_are_left_out(
    guide: RecordedHost,
) -> None:
    on_card(on_card(guide, "drm", "card1"), "drm", "card1-DP-1")
    with_holders(guide, dri_card1=["Xorg[900]"], dri_card10=["other[1]"], dri_card0=["x[2]"])
    assert uses(guide, VGA, UseKind.DISPLAY) == [
        Use(kind=UseKind.DISPLAY, name="card1", holders=("Xorg[900]",))
    ]


def test_a_container_that_holds_the_render_node_is_seen(guide: RecordedHost) -> None:
    """A media server in a container opens renderD128 and never card1."""
    on_card(on_card(guide, "drm", "card1"), "drm", "renderD129")
    with_holders(guide, dri_renderD129=["ffmpeg[77]"])
    holders = [name for use in uses(guide, VGA, UseKind.DISPLAY) for name in use.holders]
    assert holders == ["ffmpeg[77]"]


def test_a_frame_buffer_is_a_console(guide: RecordedHost) -> None:
    on_card(guide, "graphics", "fb1")
    assert uses(guide, VGA, UseKind.CONSOLE) == [Use(kind=UseKind.CONSOLE, name="fb1")]


def test_the_boot_display_is_a_console(guide: RecordedHost) -> None:
    names = [use.name for use in uses(guide, "0000:00:02.0", UseKind.CONSOLE)]
    assert names == ["boot-vga", "fb0"]


def test_a_sound_card_names_who_holds_any_of_its_nodes(guide: RecordedHost) -> None:
    with_holders(
        guide,
        snd_controlC1=["pipewire[2]"],
        snd_pcmC1D3p=["mpv[3]", "pipewire[2]"],
        snd_pcmC10D0p=["ten[4]"],
        snd_controlC0=["zero[5]"],
        snd_seq=["seq[6]"],
        snd_timer=["timer[7]"],
    )
    assert uses(guide, AUDIO, UseKind.SOUND) == [
        Use(kind=UseKind.SOUND, name="card1", holders=("mpv[3]", "pipewire[2]"))
    ]


def test_only_a_keyboard_on_usb_belongs_to_a_function(guide: RecordedHost) -> None:
    usb = f"pci0000:00/0000:00:08.0/{VGA}/usb1/1-2/1-2:1.0/0003:046D:C31C.0001/input/input9"
    with_class_device(guide, "input", "input9", usb)
    with_class_device(guide, "input", "event9", f"{usb}/event9")
    guide.with_file("/sys/class/input/input9/name", "Logitech USB Keyboard\n")
    on_card(guide, "input", "input8")
    assert uses(guide, VGA, UseKind.INPUT) == [
        Use(kind=UseKind.INPUT, name="input9", detail="Logitech USB Keyboard")
    ]
