"""The write door: whole files or nothing, never through a link, owner and attributes kept."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from hostpci.errors import ConflictError, EnvironmentFault
from hostpci.host.files import HostFiles, write_output
from hostpci.model.journal import FileImage

NAME = ".hostpci-0123.tmp"


@pytest.fixture
def files(tmp_path: Path) -> HostFiles:
    (tmp_path / "etc").mkdir()
    return HostFiles(str(tmp_path))


def new(mode: int = 0o644) -> FileImage:
    return FileImage(path="/etc/x", sha256=None, mode=mode, owner=os.geteuid(), group=os.getegid())


def test_replace_keeps_owner_mode_and_attributes_of_what_was_there(
    files: HostFiles, tmp_path: Path
) -> None:
    target = tmp_path / "etc/x"
    target.write_text("old")
    target.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(target, 12, 34)
    try:
        os.setxattr(target, "user.mark", b"\x01\xff")
    except OSError:
        pytest.skip("this file system has no user attributes")
    before = files.image("/etc/x")
    files.replace("/etc/x", [b"ne", b"w"], temporary=NAME, like=before)
    assert target.read_bytes() == b"new"
    after = files.image("/etc/x")
    assert (after.mode, after.owner, after.group, after.xattrs) == (
        before.mode,
        before.owner,
        before.group,
        {"user.mark": "01ff"},
    )


def test_a_new_file_gets_the_mode_that_was_asked_for_whatever_the_umask(
    files: HostFiles, tmp_path: Path
) -> None:
    previous = os.umask(0o077)
    try:
        files.replace("/etc/x", [b"new"], temporary=NAME, like=new(0o644))
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "etc/x").stat().st_mode) == 0o644


@pytest.mark.parametrize("occupant", ["link", "directory", "fifo"])
def test_replace_leaves_alone_what_is_no_regular_file(
    files: HostFiles, tmp_path: Path, occupant: str
) -> None:
    target, victim = tmp_path / "etc/x", tmp_path / "victim"
    victim.write_text("precious")
    if occupant == "link":
        target.symlink_to(victim)
    elif occupant == "directory":
        target.mkdir()
    else:
        os.mkfifo(target)
    with pytest.raises(EnvironmentFault, match="not-a-file"):
        files.replace("/etc/x", [b"new"], temporary=NAME, like=new())
    with pytest.raises(EnvironmentFault):
        files.read("/etc/x")
    assert victim.read_text() == "precious"
    assert sorted(os.listdir(tmp_path / "etc")) == ["x"]


@pytest.mark.parametrize("call", ["replace", "remove", "read", "image", "make", "append"])
def test_a_link_on_the_way_is_a_fault_for_every_call(
    files: HostFiles, tmp_path: Path, call: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/x").write_text("precious")
    (tmp_path / "var").symlink_to(tmp_path / "elsewhere")
    calls: dict[str, Callable[[], object]] = {
        "replace": lambda: files.replace("/var/x", [b"new"], temporary=NAME, like=new()),
        "remove": lambda: files.remove("/var/x"),
        "read": lambda: files.read("/var/x"),
        "image": lambda: files.image("/var/x"),
        "make": lambda: files.make_directories("/var/deep/er"),
        "append": lambda: files.append("/var/x", b"line\n", from_offset=0),
    }
    with pytest.raises(EnvironmentFault, match="link-in-path"):
        calls[call]()
    assert os.listdir(tmp_path / "elsewhere") == ["x"]
    assert (tmp_path / "elsewhere/x").read_text() == "precious"


def test_a_temporary_file_that_is_already_there_is_never_reused(
    files: HostFiles, tmp_path: Path
) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "etc" / NAME).symlink_to(tmp_path / "victim")
    with pytest.raises(EnvironmentFault):
        files.replace("/etc/x", [b"new"], temporary=NAME, like=new())
    assert (tmp_path / "victim").read_text() == "precious"
    assert not (tmp_path / "etc/x").exists()


def test_append_cuts_off_what_a_power_cut_left_of_the_last_line(
    files: HostFiles, tmp_path: Path
) -> None:
    files.append("/etc/log", b"one\n", from_offset=0)
    with (tmp_path / "etc/log").open("ab") as stream:
        stream.write(b"torn")
    files.append("/etc/log", b"two\n", from_offset=4)
    assert (tmp_path / "etc/log").read_bytes() == b"one\ntwo\n"


def test_directories_that_were_made_are_named_and_removed_only_when_empty(
    files: HostFiles, tmp_path: Path
) -> None:
    assert files.make_directories("/etc/a/b") == ("/etc/a", "/etc/a/b")
    assert files.make_directories("/etc/a/b") == ()
    (tmp_path / "etc/a/mine").write_text("kept")
    files.remove_directory_if_empty("/etc/a/b")
    files.remove_directory_if_empty("/etc/a")
    files.remove_directory_if_empty("/etc/never")
    assert os.listdir(tmp_path / "etc/a") == ["mine"]


def test_only_attributes_of_the_pci_bus_can_be_written(files: HostFiles, tmp_path: Path) -> None:
    (tmp_path / "etc/x").write_text("old")
    with pytest.raises(ConflictError, match="not-sysfs"):
        files.write_attribute("/etc/x", "new")
    with pytest.raises(EnvironmentFault):
        files.write_attribute("/sys/bus/pci/drivers_probe", "0000:01:00.0")
    assert not (tmp_path / "sys").exists(), "nothing is ever created in sysfs"


def test_an_output_replaces_a_link_instead_of_writing_through_it(tmp_path: Path) -> None:
    victim, output = tmp_path / "victim", tmp_path / "plan.json"
    victim.write_text("precious")
    output.symlink_to(victim)
    with pytest.raises(EnvironmentFault, match="not-a-file"):
        write_output(str(output), "new")
    output.unlink()
    write_output(str(output), "new")
    assert victim.read_text() == "precious"
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
