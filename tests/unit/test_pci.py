"""The inventory: BARs, links, groups, reserved regions, bridges, drivers."""

from __future__ import annotations

import pytest

from hostpci.facts.pci import parse_bars
from hostpci.model.pci import Bar, Inventory, Link, PciFunction

from ..hosts import AUDIO, DEVICES, SLOT, VGA, RecordedHost
from .support import identity

NIC = "0000:00:04.0"
SATA = "0000:00:1f.2"
PORT = "0000:00:08.0"
NONE = "0x0000000000000000 0x0000000000000000 0x0000000000000000"


def inventory(host: RecordedHost) -> Inventory:
    return host.facts().inventory


def function(host: RecordedHost, address: str = VGA) -> PciFunction:
    found = inventory(host).function(address)
    assert found is not None
    return found


def attribute(host: RecordedHost, name: str, text: str, address: str = VGA) -> RecordedHost:
    host.data["errors"].pop(f"{DEVICES}/{address}/{name}", None)
    host.data["files"][f"{DEVICES}/{address}/{name}"] = text
    return host


@pytest.mark.parametrize(
    ("line", "size_bytes", "is_io", "is_64bit", "is_prefetchable"),
    [
        ("0xfc000000 0xfcffffff 0x0000000000040200", 16 << 20, False, False, False),
        ("0xd0000000 0xdfffffff 0x000000000014220c", 256 << 20, False, True, True),
        ("0x0000e000 0x0000e07f 0x0000000000040101", 128, True, False, False),
        ("0x1800000000 0x1fffffffff 0x000000000014220c", 32 << 30, False, True, True),
    ],
)
def test_a_bar_has_the_size_and_kind_of_its_line(
    line: str, size_bytes: int, *, is_io: bool, is_64bit: bool, is_prefetchable: bool
) -> None:
    assert parse_bars(line) == (
        Bar(
            index=0,
            start=int(line.partition(" ")[0], 16),
            size_bytes=size_bytes,
            is_io=is_io,
            is_64bit=is_64bit,
            is_prefetchable=is_prefetchable,
        ),
    )


def test_bars_keep_their_number_and_absent_ones_are_left_out() -> None:
    memory = "0x1000 0x1fff 0x200"
    lines = [NONE, memory, NONE, NONE, NONE, memory, memory, memory]
    assert [bar.index for bar in parse_bars("\n".join(lines))] == [1, 5]


def test_no_resource_file_means_no_bars() -> None:
    assert parse_bars("") == ()


@pytest.mark.parametrize(
    "text", ["x", "0 0", "0 0 0 0", "0x1 0x2 0xg", "-1 0 0", "1_0 0 0", f"{'0' * 17} 0 0"]
)
def test_a_resource_that_is_none_is_an_error_and_a_gap(guide: RecordedHost, text: str) -> None:
    with pytest.raises(ValueError, match="start, end and flags"):
        parse_bars(text)
    path = f"{DEVICES}/{VGA}/resource"
    found = inventory(guide.with_file(path, text))
    assert found.of_slot(SLOT)[0].bars == ()
    assert path in [gap.what for gap in found.unmeasured]


def test_the_guides_card_is_read_as_it_was_recorded(guide: RecordedHost) -> None:
    vga, audio = inventory(guide).of_slot(SLOT)
    assert (vga.address, audio.address) == (VGA, AUDIO)
    assert vga.identity == identity("10de:2d04:10b0:205e")
    assert str(vga.identity) == "10de:2d04 (10b0:205e)"
    assert (vga.class_code, vga.revision, vga.iommu_group) == (0x030000, 0xA1, 8)
    assert (vga.driver, vga.driver_module, vga.modules) == (None, None, ("nouveau",))
    assert (audio.driver, audio.driver_module) == ("snd_hda_intel", "snd_hda_intel")
    assert (vga.reset_methods, audio.reset_methods) == (("flr", "bus"), ("flr",))
    assert (vga.boot_vga, audio.boot_vga) == (False, None)
    assert (vga.is_display, audio.is_display) == (True, False)
    assert vga.link == Link(speed="32.0 GT/s PCIe", width=8, max_speed="Unknown", max_width=8)
    assert vga.parent == PORT
    assert vga.power_state == "D0"


def test_functions_are_sorted_by_address_and_groups_by_number(guide: RecordedHost) -> None:
    found = inventory(guide.with_group(NIC, 10))
    addresses = [each.address for each in found.functions]
    assert addresses == sorted(addresses)
    numbers = [each.number for each in found.groups]
    assert numbers == sorted(numbers)


def test_only_functions_are_read_from_the_bus(guide: RecordedHost) -> None:
    listed = guide.data["directories"][DEVICES]
    guide.data["directories"][DEVICES] = [*listed, "0000:01:00", "uevent", "0000:01:00.9"]
    assert [each.address for each in inventory(guide).functions] == sorted(listed)


def test_a_function_is_a_bridge_where_pve_would_leave_it_alone(guide: RecordedHost) -> None:
    assert [each.address for each in inventory(guide).functions if each.is_bridge] == [PORT]


@pytest.mark.parametrize(
    ("text", "expected"), [("(null)\n", None), ("\n", None), ("vfio-pci\n", "vfio-pci")]
)
def test_an_override_is_a_drivers_name_or_nothing(
    guide: RecordedHost, text: str, expected: str | None
) -> None:
    assert function(attribute(guide, "driver_override", text)).driver_override == expected


def test_a_driver_without_a_module_is_built_in(guide: RecordedHost) -> None:
    found = function(guide.with_driver(VGA, "nouveau", built_in=True))
    assert (found.driver, found.driver_module) == ("nouveau", None)


def test_variant_drivers_of_vfio_are_no_rivals(guide: RecordedHost) -> None:
    path = f"/lib/modules/{guide.release}/modules.alias"
    lines = "\n".join(
        f"alias pci:v000010DEd*sv*sd*bc03sc*i* {name}"
        for name in ("nouveau", "nvgrace-gpu-vfio-pci", "vfio-pci")
    )
    found = function(guide.with_file(path, lines))
    assert found.modules == ("nouveau", "nvgrace_gpu_vfio_pci", "vfio_pci")
    assert found.rivals == ("nouveau",)


@pytest.mark.parametrize(
    ("regions", "direct"),
    [
        ("0xfee00000 0xfeefffff msi\n", ()),
        ("0xfee00000 0xfeefffff msi\n0xfd00000000 0xffffffffff reserved\n", ()),
        ("0xa0000 0xbffff direct-relaxable\n", ()),
        ("0xdf000000 0xdf7fffff direct\n", ("0xdf000000-0xdf7fffff",)),
        ("0x1 0x2 direct\n0x3 0x4 direct-relaxable\n0x5 0x6 direct\n", ("0x1-0x2", "0x5-0x6")),
        ("", ()),
    ],
)
def test_only_direct_regions_forbid_assignment(
    guide: RecordedHost, regions: str, direct: tuple[str, ...]
) -> None:
    guide.with_file("/sys/kernel/iommu_groups/8/reserved_regions", regions)
    group = inventory(guide).group(8)
    assert group is not None
    assert group.reserved_direct == direct
    assert group.members == (VGA, AUDIO)
    assert group.default_domain == "DMA"


def test_strangers_are_the_others_of_the_group_without_its_bridges(guide: RecordedHost) -> None:
    guide.with_group(NIC, 8).with_group(PORT, 8)
    assert [each.address for each in inventory(guide).strangers_of(SLOT)] == [NIC]


def test_a_function_of_another_domain_is_a_stranger_and_not_of_the_slot(
    guide: RecordedHost,
) -> None:
    found = inventory(guide.with_twin("0001:01:00", group=8))
    assert [each.address for each in found.of_slot(SLOT)] == [VGA, AUDIO]
    strangers = [each.address for each in found.strangers_of(SLOT)]
    assert strangers == ["0001:01:00.0", "0001:01:00.1"]


def test_functions_without_a_group_are_no_strangers_of_each_other(guide: RecordedHost) -> None:
    found = inventory(guide.without_iommu())
    assert found.groups == ()
    assert found.strangers_of(SLOT) == ()


def test_the_physical_function_of_a_virtual_one_is_named(guide: RecordedHost) -> None:
    guide.with_link(f"{DEVICES}/{AUDIO}/physfn", f"../{VGA}")
    attribute(guide, "sriov_numvfs", "4\n")
    assert function(guide, AUDIO).physical_function == VGA
    assert function(guide).sriov_vfs_enabled == 4


def test_a_link_width_of_zero_is_no_link(guide: RecordedHost) -> None:
    assert function(attribute(guide, "current_link_width", "0\n")).link is None


def test_a_card_that_sleeps_is_not_woken_by_looking_at_it(guide: RecordedHost) -> None:
    attribute(guide, "power_state", "D3cold\n").unreadable(f"{DEVICES}/{VGA}/current_link_width")
    assert (function(guide).power_state, function(guide).link) == ("D3cold", None)
    assert inventory(guide).unmeasured == ()


def test_an_unreadable_attribute_is_reported_and_nothing_else_is_lost(guide: RecordedHost) -> None:
    guide.unreadable(f"{DEVICES}/{VGA}/reset_method")
    found = inventory(guide)
    assert [(gap.what, gap.why) for gap in found.unmeasured] == [
        (f"{DEVICES}/{VGA}/reset_method", "EACCES")
    ]
    assert len(found.of_slot(SLOT)) == 2
