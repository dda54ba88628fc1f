"""Laws of PVE's grammar: what is written is read again, and nothing makes a reader fall over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hostpci.pve.hostpci import PVE8, PVE9, FormatError, Hostpci, parse_hostpci, write_hostpci
from hostpci.pve.schema import parse_property_string

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
