"""What proxmox-boot-tool of 8.1.0 and 9.2.0 was recorded to say and do is what we understand."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from hostpci.errors import EditError
from hostpci.executor.esp import _entry_of
from hostpci.facts.loader import parse_status
from hostpci.planner.edits.cmdline import add, words_in

from ..hosts import shared_data

_CALL = re.compile(r"^\$ (proxmox-boot-tool.*)\n((?:(?!\$ ).*\n)*?)\[rc=(\d+)\]\n", re.MULTILINE)
_SECTION = re.compile(r"^##### (\w)\. (.*)$", re.MULTILINE)
NAMES = [
    f"proxmox-boot-tool-{version}-{part}.log"
    for version in ("8.1.0", "9.2.0")
    for part in ("main", "grub")
]
MAIN = [name for name in NAMES if "main" in name]
ALL = ("6.14.11-1-pve", "6.14.8-2-pve", "6.8.12-9-pve")


@dataclass(frozen=True)
class Call:
    section: str
    argv: tuple[str, ...]
    output: str
    status: int


def transcript(name: str) -> str:
    directory = shared_data()
    path = directory / "data" / name if directory else Path("/nowhere")
    if not path.is_file():
        pytest.skip(f"{name} is not beside this checkout")
    return path.read_text(encoding="utf-8", errors="replace")


def calls(name: str) -> list[Call]:
    text = transcript(name)
    sections = [(match.start(), match[1]) for match in _SECTION.finditer(text)]
    found = []
    for match in _CALL.finditer(text):
        section = [letter for start, letter in sections if start < match.start()][-1]
        found.append(Call(section, tuple(match[1].split()[1:]), match[2], int(match[3])))
    assert len(found) > 10
    return found


def section(name: str, letter: str) -> str:
    parts = _SECTION.split(transcript(name))
    return parts[parts.index(letter) + 2]


@pytest.mark.parametrize("name", NAMES)
def test_every_status_is_understood(name: str) -> None:
    """Each line about a partition is one of ours, and nothing else is taken for one."""
    asked = [each for each in calls(name) if each.argv == ("status",)]
    assert asked
    for each in asked:
        found = parse_status(each.output)
        told = re.findall(r"^(\S{4}-\S{4}) is configured with:", each.output, re.MULTILINE)
        assert list(found) == told
        assert bool(told) is (each.status == 0)
        for uuid, loaders in found.items():
            assert set(loaders) <= {"uefi", "grub"}, uuid
            assert all(re.fullmatch(r"[\d.]+-\d+-pve", v) for v in sum(loaders.values(), ()))


@pytest.mark.parametrize(
    ("part", "letter", "expected"),
    [
        ("main", "B", {"AAAA-1111": {"uefi": ALL}}),
        ("main", "L", {"AAAA-1111": {"uefi": ALL}, "BBBB-2222": {"uefi": ALL}}),
        ("grub", "Q", {"AAAA-1111": {"grub": ALL}}),
        ("grub", "S", {"AAAA-1111": {"grub": ALL}}),
        ("grub", "T", {"AAAA-1111": {"grub": ALL}}),
        ("grub", "V", {"AAAA-1111": {"grub": ALL}, "BBBB-2222": {"uefi": ()}}),
    ],
)
@pytest.mark.parametrize("version", ["8.1.0", "9.2.0"])
def test_what_is_on_each_partition_is_read_from_status(
    version: str, part: str, letter: str, expected: object
) -> None:
    name = f"proxmox-boot-tool-{version}-{part}.log"
    asked = [e for e in calls(name) if e.section == letter and e.argv == ("status",)]
    assert parse_status(asked[0].output) == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_refresh_that_skipped_something_exits_with_success(name: str) -> None:
    """Why every partition is read back: the exit code does not tell."""
    skipping = [e for e in calls(name) if e.argv == ("refresh",) and "skipping" in e.output]
    assert skipping
    assert {each.status for each in skipping} == {0}


@pytest.mark.parametrize("name", MAIN)
def test_an_entry_is_read_as_it_was_written(name: str) -> None:
    text = section(name, "C")
    entries = ["title" + part for part in text.split("title")[1:]]
    found = [_entry_of("loader/entries/x.conf", entry) for entry in entries]
    assert [each.release for each in found] == list(ALL)
    for each in found:
        line = "root=ZFS=rpool/ROOT/pve-1 boot=zfs intel_iommu=on iommu=pt"
        assert each.words == words_in(line)
        assert each.files == (
            f"/EFI/proxmox/{each.release}/vmlinuz-{each.release}",
            f"/EFI/proxmox/{each.release}/initrd.img-{each.release}",
        )


@pytest.mark.parametrize("name", MAIN)
def test_only_the_first_line_counts_and_it_must_name_the_root(name: str) -> None:
    line = "root=ZFS=rpool/ROOT/pve-1 boot=zfs"
    options = re.findall(r"^options  (.*)$", section(name, "D"), re.MULTILINE)
    assert {*map(words_in, options)} == {words_in(f"{line}\nintel_iommu=on\n")}
    for letter, text in (("E", f"\n{line}\n"), ("F", "boot=zfs\n")):
        (refresh,) = [e for e in calls(name) if e.section == letter]
        assert (refresh.status, "No root=" in refresh.output) == (1, True)
        with pytest.raises(EditError):
            add(text, ["iommu=pt"])


@pytest.mark.parametrize("name", MAIN)
def test_the_tool_boots_with_a_comment_and_we_do_not_add_to_one(name: str) -> None:
    (refresh,) = [e for e in calls(name) if e.section == "G"]
    assert refresh.status == 0
    (options,) = {*re.findall(r"^options  (.*)$", section(name, "G"), re.MULTILINE)}
    with pytest.raises(EditError):
        add(f"{options}\n", ["iommu=pt"])


@pytest.mark.parametrize("name", MAIN)
def test_odd_white_space_quotes_and_dollars_get_to_the_entry_as_they_are(name: str) -> None:
    (first, *_) = re.findall(r"^options  (.*)$", section(name, "I"), re.MULTILINE)
    assert words_in(first)[2:] == (
        "vfio-pci.ids=10de:1f08,10de:10f9", '"a b"', "*", "$HOME",
    )  # fmt: skip
    assert add(first, ["iommu=pt"]) == f"{first.rstrip()} iommu=pt{first[len(first.rstrip()) :]}"


@pytest.mark.parametrize("name", MAIN)
def test_the_pin_for_one_boot_goes_before_the_lasting_one(name: str) -> None:
    """As facts.loader has it: loader.conf's default after each refresh of that section."""
    defaults = re.findall(r"^default (proxmox-\S+)$", section(name, "J"), re.MULTILINE)
    assert defaults == [
        "proxmox-*",
        "proxmox-6.8.12-9-pve.conf",
        "proxmox-6.14.8-2-pve.conf",
        "proxmox-6.8.12-9-pve.conf",
        "proxmox-*",
    ]


@pytest.mark.parametrize("name", MAIN)
def test_status_without_a_list_is_no_answer(name: str) -> None:
    statuses = {e.argv: e.status for e in calls(name) if e.section == "A"}
    assert statuses["status",] == statuses["status", "--quiet"] == 2
    assert statuses["refresh",] == 0
