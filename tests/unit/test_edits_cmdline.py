"""/etc/kernel/cmdline: the first line, exact words, and root= never lost."""

from __future__ import annotations

import pytest

from hostpci.errors import EditError
from hostpci.planner.edits.cmdline import add, take, words_in

ROOT = "root=ZFS=rpool/ROOT/pve-1 boot=zfs"
RUNNING = (r"initrd=\EFI\proxmox\6.8\initrd.img-6.8", *ROOT.split(), "quiet")


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (f"{ROOT}\n", f"{ROOT} iommu=pt\n"),
        (ROOT, f"{ROOT} iommu=pt"),
        (f"{ROOT}  \n", f"{ROOT} iommu=pt  \n"),
        (f"{ROOT}\r\n", f"{ROOT} iommu=pt\r\n"),
        (f"{ROOT}\nsecond line\n\n", f"{ROOT} iommu=pt\nsecond line\n\n"),
        (f"{ROOT}\niommu=pt\n", f"{ROOT} iommu=pt\niommu=pt\n"),
        (f"iommu=pt {ROOT}\n", f"iommu=pt {ROOT}\n"),
        (f"{ROOT} iommu=pt,x\n", f"{ROOT} iommu=pt,x iommu=pt\n"),
        (f"{ROOT} -- single\n", f"{ROOT} iommu=pt -- single\n"),
        (f"{ROOT} -- iommu=pt\n", f"{ROOT} iommu=pt -- iommu=pt\n"),
        (f'{ROOT} dyndbg="a iommu=pt"\n', f'{ROOT} dyndbg="a iommu=pt" iommu=pt\n'),
        (f"{ROOT} \\\n", f"{ROOT} \\ iommu=pt\n"),
    ],
)
def test_a_word_goes_to_the_end_of_the_first_line(text: str, after: str) -> None:
    assert add(text, ["iommu=pt"]) == after
    assert take(after, ["iommu=pt"]) == (text if text != after else f"{ROOT}\n")


def test_a_word_with_more_values_is_another_word() -> None:
    text = f"{ROOT} intel_iommu=on,sm_on\n"
    assert add(text, ["intel_iommu=on"]) == f"{ROOT} intel_iommu=on,sm_on intel_iommu=on\n"
    assert take(text, ["intel_iommu=on"]) == text


def test_a_word_that_says_the_opposite_is_another_word() -> None:
    assert add(f"{ROOT} iommu=off\n", ["iommu=pt"]) == f"{ROOT} iommu=off iommu=pt\n"


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (f"x {ROOT}\n", f"{ROOT}\n"),
        (f"{ROOT} x\n", f"{ROOT}\n"),
        ("root=a x boot=zfs\n", "root=a boot=zfs\n"),
        ("root=a \t x  boot=zfs\n", "root=a  boot=zfs\n"),
        (f"{ROOT} xx x=1 ax\n", f"{ROOT} xx x=1 ax\n"),
        (f"x {ROOT} x\n", f"x {ROOT}\n"),
        (f"{ROOT} -- x\n", f"{ROOT} -- x\n"),
    ],
)
def test_a_word_is_taken_out_first_last_and_between_and_never_a_part_of_another(
    text: str, after: str
) -> None:
    assert take(text, ["x"]) == after


def test_parameters_whose_order_matters_keep_it() -> None:
    line = f"{ROOT} hugepagesz=1G hugepages=8 hugepagesz=2M hugepages=512 console=tty0 console=x"
    assert add(f"{line}\n", ["iommu=pt"]) == f"{line} iommu=pt\n"
    assert take(f"{line} iommu=pt\n", ["iommu=pt"]) == f"{line}\n"


def test_a_file_that_is_not_there_is_made_of_the_running_words_without_the_loaders() -> None:
    assert add(None, ["iommu=pt"], RUNNING) == f"{ROOT} quiet iommu=pt\n"
    with_grub = ("BOOT_IMAGE=/vmlinuz-6.8", *ROOT.split())
    assert add(None, ["iommu=pt"], with_grub) == f"{ROOT} iommu=pt\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "edit-cmdline-root"),
        ("\nroot=/dev/sda1\n", "edit-cmdline-root"),
        ("quiet boot=zfs\n", "edit-cmdline-root"),
        ("xroot=/dev/sda1\n", "edit-cmdline-root"),
        ("# my cmdline root=fake\n", "edit-cmdline-comment"),
    ],
)
def test_a_line_that_would_not_boot_is_an_error_and_not_mended(text: str, code: str) -> None:
    with pytest.raises(EditError) as caught:
        add(text, ["x"])
    assert caught.value.code == code
    with pytest.raises(EditError):
        take(text, ["x"])


def test_the_root_file_system_is_never_taken_out() -> None:
    with pytest.raises(EditError):
        take(f"{ROOT}\n", ["root=ZFS=rpool/ROOT/pve-1"])


def test_running_words_without_a_root_make_no_file() -> None:
    with pytest.raises(EditError):
        add(None, ["iommu=pt"], ("quiet",))


def test_only_the_first_line_has_words() -> None:
    assert words_in(f"{ROOT}\nquiet\n") == tuple(ROOT.split())
    assert words_in(None) == ()
