"""Laws of PVE's grammar: what is written is read again, and nothing makes a reader fall over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hostpci.pve.hostpci import PVE8, PVE9, FormatError, Hostpci, parse_hostpci, write_hostpci
from hostpci.pve.mapping import (
    MapEntry,
    Mappings,
    Section,
    parse_entry,
    parse_mappings,
    write_entry,
    write_mappings,
)
from hostpci.pve.schema import parse_property_string
from hostpci.pve.vmconfig import VmConfig, parse_vm_config, write_vm_config

HEX = "0123456789abcdef"
hexes = st.builds("{:02x}".format, st.integers(0, 255))
addresses = st.builds(
    "{}{}:{}{}".format,
    st.sampled_from(["", "0000:", "10000:"]), hexes, hexes,
    st.one_of(st.just(""), st.builds(".{}".format, st.sampled_from(HEX))),
)  # fmt: skip
switches = st.none() | st.booleans()
identities = st.just("") | st.text(HEX, min_size=4, max_size=4).map("0x{}".format)
words = st.text(st.characters(exclude_characters=",;\n", exclude_categories=["Cs"]), min_size=1)
devices = st.builds(
    Hostpci,
    host=st.just("") | st.lists(addresses, min_size=1, max_size=3).map(";".join),
    mapping=st.just("") | st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{1,20}", fullmatch=True),
    pcie=switches, x_vga=switches, rombar=switches, legacy_igd=switches,
    romfile=st.just("") | words,
    mdev=st.just("") | st.from_regex(r"[a-zA-Z0-9_-]{1,20}", fullmatch=True),
    vendor_id=identities, device_id=identities, sub_vendor_id=identities,
    sub_device_id=identities,
    driver=st.sampled_from(["", "vfio", "keep"]),
)  # fmt: skip


@given(devices)
def test_a_written_device_is_read_again(device: Hostpci) -> None:
    assert parse_hostpci(write_hostpci(device)) == device


@given(st.text("hostpcie=01:;.,x-vga \n\tromfile"), st.sampled_from([PVE8, PVE9]))
def test_any_text_is_a_device_or_refused_in_words(text: str, pve: int) -> None:
    try:
        device = parse_hostpci(text, pve=pve)
    except FormatError as error:
        refusal = str(error)
    else:
        refusal = ""
        assert parse_hostpci(write_hostpci(device), pve=pve) == device
    assert not refusal or refusal.endswith("\n")


@given(devices, st.permutations(range(13)))
def test_the_order_of_the_keys_means_nothing(device: Hostpci, order: list[int]) -> None:
    parts = write_hostpci(device).split(",")
    shuffled = [parts[index] for index in order if index < len(parts)]
    assert parse_hostpci(",".join(shuffled)) == device


@given(st.dictionaries(st.sampled_from("abcd"), st.from_regex(r"[a-z0-9]+", fullmatch=True)))
def test_what_a_schema_does_not_know_is_refused(values: dict[str, str]) -> None:
    text = ",".join(f"{key}={value}" for key, value in values.items())
    refused: set[str] = set()
    try:
        assert parse_property_string({"a": {"optional": 1}}, text) == values
    except FormatError as error:
        refused = set(error.errors)
    assert refused == set(values) - {"a"}


names = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{1,12}", fullmatch=True)
printable = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x24F), max_size=20)
options = st.fixed_dictionaries(
    {},
    optional={
        "hostpci0": devices.map(write_hostpci).filter(
            lambda text: text == text.strip() != "" and "\r" not in text
        ),
        "hostpci15": addresses,
        "memory": st.integers(16, 1 << 20).map(str),
        "balloon": st.integers(0, 1 << 20),
        "onboot": st.sampled_from([0, 1]),
        "cpulimit": st.integers(0, 128).map(str),
        "name": st.from_regex(r"[a-z0-9]{1,9}(\.[a-z0-9]{1,9})?", fullmatch=True),
        "vga": st.sampled_from(["none", "std,memory=32", "type=virtio"]),
        "net31": st.sampled_from(["virtio=BC:24:11:00:00:01,bridge=vmbr0", "model=e1000"]),
        "args": printable.map(str.strip).filter(bool),
        # PVE writes a percent sign as it is and reads it as the begin of a code, takes white space
        # off the end when it reads, and to Perl a lone 0 is no description
        "description": printable.map(lambda text: text.replace("%", "").rstrip()).filter(
            lambda text: text not in ("", "0")
        ),
    },
)
snapshot_names = names.filter(lambda name: name.lower() != "pending")
configs = st.builds(
    VmConfig, main=options, pending=options,
    snapshots=st.dictionaries(snapshot_names, options, max_size=2),
)  # fmt: skip


@given(configs, st.sampled_from([PVE9]))
def test_a_written_configuration_is_read_again(config: VmConfig, pve: int) -> None:
    text = write_vm_config(config, pve=pve)
    assert parse_vm_config(text, pve=pve) == config
    assert write_vm_config(parse_vm_config(text, pve=pve), pve=pve) == text


@given(st.text("[]#:%abhostpci0 123=,.\t\r\nPENDINGdelete", max_size=80))
def test_any_file_is_read_and_what_was_kept_can_be_written(text: str) -> None:
    config = parse_vm_config(text)
    once = write_vm_config(config)
    assert parse_vm_config(once).warnings == ()


entries = st.builds(
    MapEntry, node=names.map(lambda name: f"n{name.replace('_', '')}x"),
    path=st.lists(
        st.builds("0000:{}:{}{}".format, hexes, hexes, st.sampled_from(["", ".0", ".7"])),
        min_size=1, max_size=2,
    ).map(";".join),
    id=st.just("10de:2d04"), subsystem_id=st.sampled_from(["", "10b0:205e"]),
    iommugroup=st.none() | st.integers(-1, 99).map(str),
)  # fmt: skip
sections = st.builds(
    Section, maps=st.lists(entries.map(write_entry), min_size=1, max_size=3).map(tuple),
    mdev=st.sampled_from([None, 0, 1]), live_migration_capable=st.sampled_from([None, 0, 1]),
    description=st.none() | printable.map(str.strip).filter(bool),
)  # fmt: skip


@given(entries)
def test_a_written_entry_of_a_mapping_is_read_again(entry: MapEntry) -> None:
    assert parse_entry(write_entry(entry)) == entry


@given(st.dictionaries(names, sections, max_size=4))
def test_written_mappings_are_read_again(found: dict[str, Section]) -> None:
    again = parse_mappings(write_mappings(Mappings(sections=found)))
    assert again.warnings == ()
    assert again.sections == found
    assert list(again.sections) == list(found)


@given(st.text("gpumap id=:.#\t\r\n0", max_size=60))
def test_any_mapping_file_is_read(text: str) -> None:
    assert all(each.endswith("\n") for each in parse_mappings(text).warnings)
