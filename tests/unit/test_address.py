"""Addresses as people write them."""

from __future__ import annotations

import pytest

from hostpci.errors import Exit, UsageError
from hostpci.model.address import is_function, last_function_in, parse_slot, slot_of


@pytest.mark.parametrize(
    ("text", "slot"),
    [
        ("01:00", "0000:01:00"),
        ("01:00.0", "0000:01:00"),
        ("01:00.7", "0000:01:00"),
        ("0000:01:00", "0000:01:00"),
        ("0000:01:00.1", "0000:01:00"),
        ("  01:00\n", "0000:01:00"),
        ("0A:1F.3", "0000:0a:1f"),
        ("ABCD:EF:1f", "abcd:ef:1f"),
        ("0001:01:00", "0001:01:00"),
        ("10000:e1:00.0", "10000:e1:00"),
        ("ffffffff:ff:1f.7", "ffffffff:ff:1f"),
    ],
)
def test_an_address_names_its_slot(text: str, slot: str) -> None:
    assert parse_slot(text) == slot


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "01",
        "1:0",
        "01:0",
        "1:00",
        "01:20",
        "01:ff",
        "01:00.8",
        "01:00.a",
        "01:00.",
        "01:00.00",
        "01:00.0.0",
        "000:01:00",
        "123456789:01:00",
        "0000:0000:01:00",
        "0g:00",
        "01-00",
        "01 :00",
        "01:00 02:00",
        "01:00\n02:00",
        "01:00,02:00",
        "pci-0000:01:00.0",
        "/sys/bus/pci/devices/0000:01:00.0",
        "01:00/../../etc",
        "-1:00",
        "+1:00",
        "0x:00",
        "١١:٠٠",  # Arabic digits: int() would take them
        "０１:００",
        "01:0²",
    ],
)
def test_anything_else_is_refused_before_the_host_is_looked_at(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_slot(text)
    assert caught.value.code == "bad-address"
    assert caught.value.exit is Exit.USAGE
    assert caught.value.params == {"address": text}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("0000:01:00.0", True),
        ("10000:e1:00.7", True),
        ("0000:01:00", False),
        ("01:00.0", False),
        ("0000:01:00.8", False),
        ("0000:0A:00.0", False),
        ("0000:01:00.0 ", False),
        ("0000:01:00.0\n", False),
        ("x0000:01:00.0", False),
        ("0000:01:00.0x", False),
        ("000000000:01:00.0", False),
    ],
)
def test_a_function_is_recognised_only_in_the_form_of_sysfs(name: str, *, expected: bool) -> None:
    assert is_function(name) is expected


def test_the_slot_of_a_function_keeps_its_domain() -> None:
    assert slot_of("10000:e1:1f.7") == "10000:e1:1f"


@pytest.mark.parametrize(
    ("path", "function"),
    [
        ("../../devices/pci0000:00/0000:00:03.0/virtio0/block/vda", "0000:00:03.0"),
        ("pci0000:00/0000:00:01.1/0000:01:00.0/nvme/nvme0/nvme0n1", "0000:01:00.0"),
        ("pci0000:00/0000:00:08.0/0000:02:00.0/usb1/1-1/1-1:1.0/block/sda", "0000:02:00.0"),
        ("pci10000:e0/10000:e0:06.0/10000:e1:00.0/nvme/nvme0", "10000:e1:00.0"),
        ("pci0000:00/0000:00:14.0/usb1/1-1/0003:046D:C52B.0001/input/input5", "0000:00:14.0"),
        ("pci0000:00", None),
        ("../../devices/virtual/block/loop0", None),
        ("", None),
    ],
)
def test_the_function_that_provides_a_node_is_the_last_one_on_its_path(
    path: str, function: str | None
) -> None:
    assert last_function_in(path) == function
