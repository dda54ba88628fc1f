"""The hostpci value: what PVE takes, what it says of the rest, and how it prints one."""

from __future__ import annotations

import pytest

from hostpci.pve.hostpci import (
    PVE8,
    PVE9,
    FormatError,
    Hostpci,
    api_error,
    host_form,
    parse_hostpci,
    parse_values,
    write_hostpci,
)

NOT_DEFINED = (
    "property is not defined in schema and the schema does not allow additional properties"
)
NO_MATCH = "value does not match the regex pattern"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("01:00", Hostpci(host="01:00")),
        ("0000:01:00.0,pcie=1", Hostpci(host="0000:01:00.0", pcie=True)),
        ("pcie=on,host=01:00.0;01:00.1", Hostpci(host="01:00.0;01:00.1", pcie=True)),
        ("mapping=gpu-0,x-vga=No", Hostpci(mapping="gpu-0", x_vga=False)),
        (",,01:00,,", Hostpci(host="01:00")),
        ("01:00.0, ", Hostpci(host="01:00.0")),
        ("", Hostpci()),
        ("01:00,romfile= a=b.rom", Hostpci(host="01:00", romfile=" a=b.rom")),
        ("01:00,vendor-id=0x10DE\n", Hostpci(host="01:00", vendor_id="0x10DE")),
        ("01:00,driver=keep", Hostpci(host="01:00", driver="keep")),
    ],
)
def test_what_pve_takes(text: str, expected: Hostpci) -> None:
    assert parse_hostpci(text) == expected
    assert api_error("hostpci0", text) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("01:00.0, pcie=1", f"format error\n pcie: {NOT_DEFINED}\n"),
        ("0A:00", f"format error\nhost: {NO_MATCH}\n"),
        ("01:00 ", f"format error\nhost: {NO_MATCH}\n"),
        ("pcie=1,pcie=0", "duplicate key in comma-separated list property: pcie\n"),
        ("host=01:00,02:00", "duplicate key in comma-separated list property: host\n"),
        ("01:00,romfile=a,b", "duplicate key in comma-separated list property: host\n"),
        ("01:00,pcie=", "missing key in comma-separated list property\n"),
        ("01:00,pcie=2", "format error\npcie: type check ('boolean') failed - got '2'\n"),
        (
            "mapping=_x",
            "format error\nmapping: invalid format - invalid configuration ID '_x'\n\n",
        ),
        ("0=1", f"format error\n_root: {NOT_DEFINED}\n"),  # a key that Perl calls untrue
        ("01:00,mdev=a.b,xvga=1", f"format error\nmdev: {NO_MATCH}\nxvga: {NOT_DEFINED}\n"),
    ],
)
def test_what_pve_refuses(text: str, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_hostpci(text)
    assert str(caught.value) == message


def test_the_api_names_the_parameter_in_every_line() -> None:
    assert api_error("hostpci3", "01:00,mdev=a.b,xvga=1") == (
        f"invalid format - format error\nhostpci3.mdev: {NO_MATCH}\nhostpci3.xvga: {NOT_DEFINED}\n"
    )


def test_only_pve_9_knows_the_driver() -> None:
    assert parse_values("01:00,driver=vfio", pve=PVE9) == {"host": "01:00", "driver": "vfio"}
    with pytest.raises(FormatError, match=f"driver: {NOT_DEFINED}"):
        parse_values("01:00,driver=vfio", pve=PVE8)
    with pytest.raises(FormatError, match="enumeration 'vfio, keep'"):
        parse_values("01:00,driver=nouveau", pve=PVE9)


@pytest.mark.parametrize(
    ("device", "text"),
    [
        (Hostpci(host="0000:01:00", pcie=True, x_vga=True), "0000:01:00,pcie=1,x-vga=1"),
        (Hostpci(mapping="gpu", pcie=True, rombar=False), "mapping=gpu,pcie=1,rombar=0"),
        (Hostpci(), ""),
    ],
)
def test_a_value_is_printed_as_pve_prints_one(device: Hostpci, text: str) -> None:
    assert write_hostpci(device) == text
    assert parse_hostpci(text) == device


def test_what_cannot_stand_in_a_value_is_not_written() -> None:
    with pytest.raises(FormatError, match="illegal value with commas for romfile"):
        write_hostpci(Hostpci(host="01:00", romfile="a,b"))


def test_addresses() -> None:
    assert parse_hostpci("01:00.0;02:00").addresses == ("01:00.0", "02:00")
    assert host_form("01:00") == "0000:01:00"
    assert host_form("10000:e1:00.0") == "10000:e1:00.0"
