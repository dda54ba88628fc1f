"""Resource mappings: the file, and whether the hardware is what they say."""

from __future__ import annotations

import pytest

from hostpci.pve.mapping import (
    HostDevice,
    MapEntry,
    Mappings,
    Section,
    parse_entry,
    parse_mappings,
    why_invalid,
    write_entry,
    write_mappings,
)
from hostpci.pve.schema import FormatError
from hostpci.pve.start import HostView, StartError, choose, resolve, resolve_all

MAP = "id=10de:2d04,iommugroup=12,node=pve,path=0000:01:00,subsystem-id=10b0:205e"
FILE = f"gpu0\n\tmap {MAP}\n\tdescription RTX 5060 Ti\n\tlive-migration-capable 0\n\n"
DEVICES = {
    each.address: each
    for each in (
        HostDevice(address="0000:01:00.0", identity="10de:2d04", subsystem="10b0:205e",
                   iommu_group=12),
        HostDevice(address="0000:01:00.1", identity="10de:22eb", subsystem="10b0:205e",
                   iommu_group=12),
        HostDevice(address="0000:02:00.0", identity="8086:1520"),
        HostDevice(address="0001:01:00.0", identity="10de:1db6", iommu_group=41),
        HostDevice(address="0000:00:02.0", identity="8086:3e98", iommu_group=1),
    )
}  # fmt: skip


def host(text: str = "") -> HostView:
    return HostView(devices=DEVICES, mappings=parse_mappings(text), node="pve")


def test_a_file_is_read_and_written() -> None:
    mappings = parse_mappings(FILE)
    assert mappings.warnings == ()
    assert write_mappings(mappings) == FILE
    section = mappings.sections["gpu0"]
    assert section == Section(maps=(MAP,), description="RTX 5060 Ti", live_migration_capable=0)
    assert section is not None
    (entry,) = section.entries("pve")
    assert section.entries("other") == ()
    assert entry == MapEntry(
        node="pve", path="0000:01:00", id="10de:2d04", subsystem_id="10b0:205e", iommugroup="12"
    )
    assert parse_entry(write_entry(entry)) == entry


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        ("gpu\n\tmdev\n\tmdev 1\n\tmap " + MAP + "\n",
         ["3 (section 'gpu') - unable to parse value of 'mdev': duplicate attribute\n"]),
        (f"gpu\n\tfoo 1\n\tid x\n\ttype usb\n\ttype pci\n\tmap {MAP}\n",
         ["2 (section 'gpu') - unable to parse value of 'foo': unknown property type\n",
          "3 (section 'gpu') - unable to parse value of 'id': unexpected property 'id'\n",
          "4 (section 'gpu') - unable to parse value of 'type': unexpected property 'type'\n"]),
        (f"# c\n\ngpu\n\t# c\n\tmap\n\tmap {MAP}\n",
         ["5 (section 'gpu') - unable to parse value of 'map': got undefined value\n"]),
        (f"gpu\n\tmap {MAP}\n  \nnext\n\tmap {MAP}\n",
         ["3 (section 'gpu') - ignore config line:   \n",
          "4 (section 'gpu') - ignore config line: next\n"]),
        (f"pci: gpu\n\tmap {MAP}\n",
         ["1 - ignore config line: pci: gpu\n", f"2 - ignore config line: \tmap {MAP}\n"]),
        ("gpu\n", ["1 (skip section 'gpu'): missing value for required option 'map'\n"]),
    ],
)  # fmt: skip
def test_what_pve_leaves_out_and_how_it_says_so(text: str, warnings: list[str]) -> None:
    prefix = "file mapping/pci.cfg line "
    assert list(parse_mappings(text).warnings) == [prefix + each for each in warnings]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"description {'显' * 1366}", "description': value may only be 4096 characters long"),
        (f"map id=1:2,description={'显' * 1366}", "value may only be 4096 characters long"),
        ("map node=a,id=10de:1f08,path=0000:01:00é0", "path: value does not match the regex"),
        ("map node=ä,id=10de:1f08,path=0000:01:00", "node: invalid format"),
    ],
)
def test_the_bytes_of_the_file_are_what_pve_checks(line: str, said: str) -> None:
    """The cluster's file system gives it bytes; only what the API is given is text."""
    warnings = parse_mappings(f"gpu\n\t{line}\n").warnings
    assert said in warnings[0]
    short = f"gpu\n\tdescription {'显' * 1365}\n\tmap {MAP}\n"
    assert parse_mappings(short).warnings == ()


def test_words_about_a_value_come_back_as_text() -> None:
    (first, _) = parse_mappings("gpu\n\tmdev ja·\n").warnings
    assert "got 'ja·'" in first


def test_a_section_that_pve_threw_away_keeps_it_from_writing() -> None:
    mappings = parse_mappings(f"gpu\n\n{FILE}")
    assert mappings.document()["gpu"] is None
    with pytest.raises(FormatError, match="unknown section type ''"):
        write_mappings(mappings)


def test_a_second_section_of_one_name_counts() -> None:
    mappings = parse_mappings(f"gpu\n\tmap {MAP}\n\nnic\n\tmap {MAP}\n\ngpu\n\tmap {MAP}\n")
    assert mappings.order == {"nic": 2, "gpu": 3}
    assert list(mappings.sections) == ["nic", "gpu"]


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ("", ""),
        ("12->13", "'iommugroup' does not match for 'gpu0' (12 != 13)\n"),
        ("iommugroup=12,->", "missing expected property 'iommugroup' for device '0000:01:00.0'\n"),
        ("0000:01:00->0000:03:00.0", "pci device '0000:03:00.0' not found\n"),
        ("0000:01:00->0000:02:00.0", "'id' does not match for 'gpu0' (8086:1520 != 10de:2d04)\n"),
        ("0000:01:00->0000:01:00.0;0000:01:00.1",
         "'id' does not match for 'gpu0' (10de:22eb != 10de:2d04)\n"),
    ],
)  # fmt: skip
def test_whether_the_hardware_is_what_an_entry_says(changes: str, wrong: str) -> None:
    old, _, new = changes.partition("->")
    entry = parse_entry(MAP.replace(old, new) if old else MAP)
    assert why_invalid("gpu0", Section(maps=()), entry, DEVICES) == wrong


def test_a_device_without_a_group_must_not_have_one_in_its_entry() -> None:
    entry = MapEntry(node="pve", path="0000:02:00.0", id="8086:1520", iommugroup="3")
    wrong = why_invalid("nic", Section(maps=()), entry, DEVICES)
    assert wrong == "unexpected property 'iommugroup' configured for device '0000:02:00.0'\n"


def test_a_mapping_stands_for_its_places_on_this_node() -> None:
    found = resolve("mapping=gpu0,pcie=1", host(FILE))
    assert found.alternatives == (("0000:01:00.0", "0000:01:00.1"),)
    assert found.is_multifunction
    with pytest.raises(StartError, match="PCI device mapping not found for 'none'"):
        resolve("mapping=none", host(FILE))
    with pytest.raises(StartError, match="hardware probably changed"):
        resolve("mapping=gpu0", host(FILE.replace("=12", "=13")))


def test_a_domain_that_was_left_out_is_the_first_one() -> None:
    assert resolve("01:00", host()).alternatives == (("0000:01:00.0", "0000:01:00.1"),)
    assert resolve("0001:01:00", host()).alternatives == (("0001:01:00.0",),)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"hostpci0": "01:00,pcie=1"}, "q35 machine model is not enabled"),
        ({"hostpci0": "00:02.0,legacy-igd=1"}, "requires VGA mode to be 'none'"),
        ({"hostpci0": "00:02.0,legacy-igd=1", "vga": "none", "machine": "pc-q35-8.1"},
         "not compatible with q35"),
        ({"hostpci0": "0001:01:00,legacy-igd=1", "vga": "none"}, "devices on host bus 00:02.0"),
        ({"hostpci3": "00:02,legacy-igd=1", "hostpci4": "00:02,legacy-igd=1", "vga": "none"},
         "only one device can be assigned in legacy-igd mode"),
    ],
)  # fmt: skip
def test_what_fails_when_the_machine_starts(config: dict[str, str], said: str) -> None:
    with pytest.raises(StartError) as caught:
        resolve_all(config, host())
    assert said in str(caught.value)


def test_one_function_goes_to_one_device() -> None:
    text = f"two\n\tmap {MAP}\n\tmap id=10de:1db6,iommugroup=41,node=pve,path=0001:01:00.0\n"
    both = resolve_all({"hostpci0": "mapping=two", "hostpci1": "mapping=two"}, host(text))
    assert choose(both) == {
        "hostpci0": ("0000:01:00.0", "0000:01:00.1"), "hostpci1": ("0001:01:00.0",)
    }  # fmt: skip
    three = {**both, "hostpci2": both["hostpci0"]}
    with pytest.raises(StartError, match="could not find a free device for 'hostpci2'"):
        choose(three)
    twice = resolve_all({"hostpci0": "01:00", "hostpci1": "01:00.1"}, host())
    with pytest.raises(StartError, match=r"device '0000:01:00\.1' assigned more than once"):
        choose(twice)


def test_nothing_is_an_empty_file() -> None:
    assert parse_mappings("") == Mappings()
    assert write_mappings(Mappings()) == ""
