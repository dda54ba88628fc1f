"""Absent, unreadable and not looked at are three different answers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hostpci.facts.look import Look
from hostpci.host.capture import CaptureRoot
from hostpci.host.root import TreeRoot

from ..hosts import RecordedHost

FILE = "/etc/default/grub"
DIRECTORY = "/etc/modprobe.d"
LINK = "/sys/bus/pci/devices/0000:01:00.1/driver"


def look_at(host: RecordedHost) -> Look:
    return Look(CaptureRoot(host.data))


def answers(look: Look, path: str) -> list[object]:
    """Every kind of question about one path."""
    return [
        look.text(path),
        look.raw(path),
        look.number(path),
        look.lines(path, iter),
        look.names(path),
        look.names_or_none(path),
        look.link(path),
        look.link_name(path),
        look.exists(path),
        look.modified_ns(path),
    ]


NOTHING: list[object] = [None, None, None, None, (), None, None, None, False, 0]


@pytest.mark.parametrize("path", [FILE, DIRECTORY, LINK])
@pytest.mark.parametrize("error", ["ENOENT", "ENOTDIR"])
def test_what_is_absent_is_an_answer_and_no_gap(guide: RecordedHost, path: str, error: str) -> None:
    guide.without(path).data["errors"][path] = error
    look = look_at(guide)
    assert answers(look, path) == NOTHING
    assert look.gaps == ()


@pytest.mark.parametrize("path", [FILE, DIRECTORY, LINK])
def test_what_is_unreadable_is_remembered_with_its_reason(guide: RecordedHost, path: str) -> None:
    look = look_at(guide.unreadable(path))
    assert look.text(path) is None
    assert look.names(path) == ()
    assert look.link(path) is None
    assert [(gap.what, gap.why) for gap in look.gaps] == [(path, "EACCES")]


def test_what_was_not_captured_is_not_the_same_as_absent(guide: RecordedHost) -> None:
    look = look_at(guide)
    assert answers(look, "/etc/nobody-asked") == NOTHING
    assert [(gap.what, gap.why) for gap in look.gaps] == [("/etc/nobody-asked", "ENODATA")]


def test_a_file_is_no_directory_and_no_link_but_it_exists(
    guide: RecordedHost, tmp_path: Path
) -> None:
    look = Look(guide.tree(tmp_path))
    assert look.exists(FILE)
    assert look.names(FILE) == ()
    assert look.link(FILE) is None
    assert look.gaps == ()


def test_a_directory_read_as_a_file_is_remembered(guide: RecordedHost, tmp_path: Path) -> None:
    look = Look(guide.tree(tmp_path))
    assert look.text("/etc") is None
    assert [(gap.what, gap.why) for gap in look.gaps] == [("/etc", "EISDIR")]


def test_a_link_that_leads_out_of_a_tree_is_unreadable_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("outside")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "link").symlink_to("../secret")
    look = Look(TreeRoot(str(tree)))
    assert look.text("/link") is None
    assert [gap.why for gap in look.gaps] == ["EACCES"]


def test_gaps_are_sorted_and_named_once(guide: RecordedHost) -> None:
    look = look_at(guide.unreadable("/z").unreadable("/a"))
    for path in ("/z", "/a", "/z"):
        look.text(path)
    assert [gap.what for gap in look.gaps] == ["/a", "/z"]


def test_a_number_is_read_in_its_base(guide: RecordedHost) -> None:
    look = look_at(guide.with_file("/n", " 0x10\n"))
    assert look.number("/n", 16) == 16
    assert look.gaps == ()


def test_what_is_no_number_is_a_gap_and_not_zero(guide: RecordedHost) -> None:
    look = look_at(guide.with_file("/n", "many\n"))
    assert look.number("/n") is None
    assert [(gap.what, gap.why) for gap in look.gaps] == [("/n", "not a number: 'many'")]


def test_raw_keeps_white_space_that_text_takes_off(guide: RecordedHost) -> None:
    look = look_at(guide.with_file("/t", "\n a \n\n"))
    assert (look.raw("/t"), look.text("/t")) == ("\n a \n\n", "a")


def test_bytes_that_are_no_text_are_read_and_replaced(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"a\xffb")
    assert Look(TreeRoot(str(tmp_path))).text("/f") == "a�b"


def test_a_recorded_file_and_the_same_file_in_a_tree_give_the_same_answers(
    guide: RecordedHost, tmp_path: Path
) -> None:
    recorded, tree = look_at(guide), Look(guide.tree(tmp_path))
    for path in (FILE, "/proc/cmdline", "/etc/os-release"):
        assert recorded.raw(path) == tree.raw(path)
    assert recorded.names(DIRECTORY) == tree.names(DIRECTORY)
    assert recorded.link_name(LINK) == tree.link_name(LINK) == "snd_hda_intel"


def test_the_time_of_a_file_is_in_nanoseconds(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    os.utime(tmp_path / "f", ns=(5, 1_700_000_000_000_000_007))
    assert Look(TreeRoot(str(tmp_path))).modified_ns("/f") == 1_700_000_000_000_000_007


def test_an_unreadable_path_keeps_its_reason_when_asked_whether_it_exists(
    guide: RecordedHost,
) -> None:
    look = look_at(guide.unreadable("/etc/nobody-asked"))
    assert look.exists("/etc/nobody-asked") is False
    assert [(gap.what, gap.why) for gap in look.gaps] == [("/etc/nobody-asked", "EACCES")]


@pytest.mark.parametrize("text", ["9" * 21, "0x" + "f" * 5000, "", "zebra"])
@pytest.mark.parametrize("base", [10, 16])
def test_what_is_no_number_is_remembered_in_short(
    guide: RecordedHost, text: str, base: int
) -> None:
    look = look_at(guide.with_file("/etc/number", text))
    assert look.number("/etc/number", base) is None
    (gap,) = look.gaps
    assert gap.what == "/etc/number"
    assert len(gap.why) < 50


def test_what_is_no_file_is_an_error_and_no_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for root, path in ((TreeRoot(str(tmp_path)), "/fifo"), (TreeRoot("/"), "/dev/zero")):
        look = Look(root)
        assert look.raw(path) is None
        assert [gap.why for gap in look.gaps] == ["EINVAL"]


def test_what_the_kernel_makes_up_is_a_file() -> None:
    look = Look(TreeRoot("/"))
    assert look.raw("/proc/self/mounts")
    assert look.raw("/proc/cmdline") is not None
    assert look.gaps == ()


@pytest.mark.parametrize("name", ["99-default.link", "deep/80-net-setup-link.rules"])
def test_a_file_that_is_masked_is_empty_and_no_gap(tmp_path: Path, name: str) -> None:
    """How systemd and udev are told to leave a shipped file alone (systemd.unit(5), udev(7))."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).symlink_to("/dev/null")
    for root, path in (
        (TreeRoot("/"), f"{tmp_path}/{name}"),
        (TreeRoot(str(tmp_path)), f"/{name}"),
    ):
        look = Look(root)
        assert (look.raw(path), look.binary(path)) == ("", b"")
        assert look.digest(path) is not None
        assert look.gaps == ()


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/tty"])
def test_other_devices_in_the_place_of_a_file_are_not_read(tmp_path: Path, target: str) -> None:
    (tmp_path / "x").symlink_to(target)
    look = Look(TreeRoot("/"))
    assert look.raw(f"{tmp_path}/x") is None
    assert [gap.what for gap in look.gaps] == [f"{tmp_path}/x"]
