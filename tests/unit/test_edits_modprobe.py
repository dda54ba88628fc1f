"""modprobe.d and module lists: one line, one option, one device out, and all else as it was."""

from __future__ import annotations

import pytest

from hostpci.errors import EditError
from hostpci.planner.edits.modprobe import add_line, take_id, take_line, take_option
from hostpci.planner.edits.modules import add_module, modules_in, take_module


@pytest.mark.parametrize("text", [None, "", "# x\n", "blacklist a", "options a b=1\n\n", "a\r\n"])
def test_a_line_that_was_added_can_be_taken_out(text: str | None) -> None:
    longer = add_line(text, "blacklist nouveau")
    assert add_line(longer, "blacklist nouveau") == longer
    assert take_line(longer, "blacklist nouveau") == (text or "")


def test_a_line_of_the_same_words_is_there_already() -> None:
    text = "  blacklist \tnouveau\n"
    assert add_line(text, "blacklist nouveau") == text
    assert add_line("#blacklist nouveau\n", "blacklist nouveau").count("\n") == 2


@pytest.mark.parametrize("text", ["options a \\\n", "options a \\", "# x\\\n"])
def test_a_line_is_not_added_to_a_command_that_goes_on(text: str) -> None:
    with pytest.raises(EditError):
        add_line(text, "blacklist nouveau")


def test_only_whole_lines_are_taken() -> None:
    text = "#blacklist nouveau\nblacklist nouveau_x\nblacklist nouveau\nblacklist nvidia\n"
    left = "#blacklist nouveau\nblacklist nouveau_x\nblacklist nvidia\n"
    assert take_line(text, "blacklist nouveau") == left


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("options vfio-pci ids=1:2 disable_vga=1\n", "options vfio-pci ids=1:2\n"),
        ("options vfio_pci disable_vga=1 ids=1:2\n", "options vfio_pci ids=1:2\n"),
        ("options vfio-pci disable-vga\n", ""),
        ("# a\noptions vfio-pci disable_vga=1\n# b\n", "# a\n# b\n"),
        ("options kvm disable_vga=1\n", "options kvm disable_vga=1\n"),
        ("options vfio-pci disable_vga_x=1\n", "options vfio-pci disable_vga_x=1\n"),
        ("# options vfio-pci disable_vga=1\n", "# options vfio-pci disable_vga=1\n"),
        (
            "options vfio-pci \\\n  disable_vga=1 \\\n  ids=1:2\n",
            "options vfio-pci \\\n \\\n  ids=1:2\n",
        ),
    ],
)
def test_one_option_of_a_module_is_taken_out(text: str, after: str) -> None:
    assert take_option(text, "vfio-pci", "disable_vga") == after


def test_an_option_with_a_value_is_only_that_value() -> None:
    text = "options vfio_iommu_type1 allow_unsafe_interrupts=0\n"
    assert take_option(text, "vfio_iommu_type1", "allow_unsafe_interrupts=1") == text
    assert take_option(text, "vfio-iommu-type1", "allow_unsafe_interrupts=0") == ""


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("options vfio-pci ids=10de:2d04,10de:22eb\n", "options vfio-pci ids=10de:22eb\n"),
        ("options vfio-pci ids=10de:22eb,10DE:2D04 x=1\n", "options vfio-pci ids=10de:22eb x=1\n"),
        ("options vfio-pci ids=10de:2d04\n", ""),
        ("options vfio-pci ids=10de:2d04 disable_vga=1\n", "options vfio-pci disable_vga=1\n"),
        ('options vfio-pci ids="10de:2d04,1:2"\n', 'options vfio-pci ids="1:2"\n'),
        ("options vfio-pci ids=10de:2d04:10b0\n", "options vfio-pci ids=10de:2d04:10b0\n"),
        ("options vfio-pci ids=1:2,\n", "options vfio-pci ids=1:2,\n"),
        ("options snd ids=10de:2d04\n", "options snd ids=10de:2d04\n"),
    ],
)
def test_one_device_of_ids_is_taken_out_and_the_others_keep_their_order(
    text: str, after: str
) -> None:
    assert take_id(text, "10de:2d04") == after


# lists of modules


@pytest.mark.parametrize("text", [None, "", "# x\n", "loop", "vfio_pci\n# vfio\n", "a\\\nb\n"])
def test_a_module_that_was_added_can_be_taken_out(text: str | None) -> None:
    longer = add_module(text, "vfio")
    assert add_module(longer, "vfio") == longer
    assert take_module(longer, "vfio") == (text or "")


def test_a_module_is_the_same_with_the_other_dash_and_with_options() -> None:
    assert add_module("vfio-pci ids=1:2\n", "vfio_pci") == "vfio-pci ids=1:2\n"
    assert take_module("a\n vfio-pci ids=1:2 # x\nb", "vfio_pci") == "a\nb"
    assert take_module("; vfio_pci\nvfio\nvfio_pci_core\n", "vfio_pci") == (
        "; vfio_pci\nvfio\nvfio_pci_core\n"
    )


def test_modules_are_listed_as_they_are_written() -> None:
    assert modules_in("# c\nvfio-pci ids=1:2\n\n;x\nvfio\n") == ("vfio-pci", "vfio")


@pytest.mark.parametrize("option", ["ids", "disable_vga"])
def test_a_value_with_white_space_is_not_cut_in_half(option: str) -> None:
    line = 'options vfio-pci ids="10de:2d04, 10de:22eb" disable_vga=1\n'
    with pytest.raises(EditError, match="edit-says-more"):
        take_option(line, "vfio_pci", option)
    assert take_option(f'options kvm x="a b"\n{line}', "kvm_amd", "x").endswith(line)
