"""A capture laid out on disk stays inside its directory, whatever it says."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from hostpci.demo.scratch import fingerprint, unpack
from hostpci.errors import CorruptError

from ..hosts import RecordedHost


def capture(**sections: dict[str, Any]) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "files": {}, "binary": {}, "links": {}, "directories": {}, "times": {}, "errors": {},
        "holders": {}, "exists": {},
    }  # fmt: skip
    return {**empty, **sections}


def everything_below(directory: Path) -> set[str]:
    return {
        os.path.join(folder, name)
        for folder, names, files in os.walk(directory)
        for name in (*names, *files)
    }


def test_a_capture_is_laid_out_as_it_was(tmp_path: Path) -> None:
    unpack(
        capture(
            files={"/etc/a": "text\r\n", "/top": "t"},
            binary={"/etc/b": "AP8="},
            links={"/etc/l": "d"},
            directories={"/etc": ["a", "b", "l", "d"], "/sys/empty": []},
            times={"/etc/a": 1_700_000_000_000_000_007, "/boot/initrd": 5},
        ),
        str(tmp_path),
    )
    assert (tmp_path / "etc/a").read_bytes() == b"text\r\n"
    assert (tmp_path / "top").read_text() == "t"
    assert (tmp_path / "etc/b").read_bytes() == b"\0\xff"
    assert os.readlink(tmp_path / "etc/l") == "d"
    assert (tmp_path / "etc/d").is_dir()
    assert (tmp_path / "sys/empty").is_dir()
    assert (tmp_path / "etc/a").stat().st_mtime_ns == 1_700_000_000_000_000_007
    assert (tmp_path / "boot/initrd").read_bytes() == b""


def test_a_recorded_host_lies_below_its_directory(guide: RecordedHost, tmp_path: Path) -> None:
    guide.tree(tmp_path / "host")
    assert os.listdir(tmp_path) == ["host"]
    link = tmp_path / "host/sys/bus/pci/devices/0000:01:00.1/driver"
    assert link.resolve().is_relative_to(tmp_path / "host")


HOSTILE = [
    pytest.param(capture(links={"/etc/l": "/etc"}), id="absolute link"),
    pytest.param(capture(links={"/etc/l": "../../out"}), id="link upwards"),
    pytest.param(capture(links={"/etc/l": "../.."}), id="link to the parent"),
    pytest.param(capture(links={"/etc/l": ".."}), id="link to the top itself"),
    pytest.param(capture(links={"/etc/l": "a/../../../out"}), id="link up and down"),
    pytest.param(capture(directories={"/etc": ["../../out"]}), id="name with a path upwards"),
    pytest.param(capture(directories={"/../out": []}), id="directory upwards"),
    pytest.param(capture(files={"/../out/f": "x"}), id="file upwards"),
    pytest.param(capture(times={"/../out/f": 0}), id="time upwards"),
    pytest.param(
        capture(
            links={"/t/evil": "d/deep/../../../out", "/t/d/deep": "../p"},
            files={"/t/evil/pwned": "x"},
        ),
        id="file through two links that are harmless each",
    ),
    pytest.param(
        capture(
            links={"/t/evil": "d/deep/../../../out", "/t/d/deep": "../p"},
            directories={"/t/evil": ["pwned"]},
        ),
        id="directory through two links that are harmless each",
    ),
    pytest.param(
        capture(
            links={"/t/evil": "d/deep/../../../out", "/t/d/deep": "../p"},
            times={"/t/evil/kept": 0},
        ),
        id="time through two links that are harmless each",
    ),
    pytest.param(
        capture(
            links={
                "/t/evil": "d/deep/../../../out",
                "/t/d/deep": "../p",
                "/t/d/e/f": "../../evil/pwned",
            }
        ),
        id="target of a third link through two that are harmless each",
    ),
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_outside_the_directory_is_written(tmp_path: Path, hostile: dict[str, Any]) -> None:
    outside = tmp_path / "out"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    os.utime(outside / "kept", ns=(1, 1))
    inside = tmp_path / "in"
    inside.mkdir()
    with pytest.raises(CorruptError) as caught:
        unpack(hostile, str(inside))
    assert caught.value.code == "capture-corrupt"
    assert everything_below(outside) == {str(outside / "kept")}
    assert (outside / "kept").stat().st_mtime_ns == 1
    assert sorted(os.listdir(tmp_path)) == ["in", "out"]


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(
            capture(files={"/a": "x", "/a/b": "y"}),
            id="a file that is a directory too",
        ),
        pytest.param(
            capture(files={"/a": "\ud800"}),
            id="half a character",
        ),
        pytest.param(
            capture(directories={"/a": ["x\0y"]}),
            id="a name with a zero byte",
        ),
        pytest.param(capture(links={"/a": "b\0c"}), id="a target with a zero byte"),
        pytest.param(capture(links={"/a": "b", "/b": "a"}), id="links in a circle"),
        pytest.param(capture(links={"/a": "a"}), id="a link to itself"),
        pytest.param(capture(links={"/a": ""}), id="a link to nothing"),
        pytest.param(capture(files={"/a": ""}, links={"/l": "a/b"}), id="a link below a file"),
        pytest.param(capture(files={"/a": ""}, directories={"/a": []}), id="file and directory"),
        pytest.param(capture(files={"/": ""}), id="the top as a file"),
        pytest.param(capture(files={f"/{'a' * 300}": ""}), id="a name too long"),
        pytest.param(capture(times={"/a": 10**30}), id="a time out of range"),
    ],
)
def test_a_capture_that_cannot_be_laid_out_is_called_corrupt(
    tmp_path: Path, hostile: dict[str, Any]
) -> None:
    with pytest.raises(CorruptError) as caught:
        unpack(hostile, str(tmp_path))
    assert caught.value.code == "capture-corrupt"
    assert caught.value.params["path"] in {p for each in hostile.values() for p in each}
    assert caught.value.params["reason"]


def test_a_disk_that_is_full_is_not_the_captures_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "makedirs", full)
    with pytest.raises(OSError, match="No space"):
        unpack(capture(files={"/a/b": ""}), str(tmp_path))


def test_a_link_at_the_top_is_laid_out(tmp_path: Path) -> None:
    unpack(capture(links={"/lib": "usr/lib"}), str(tmp_path))
    assert os.readlink(tmp_path / "lib") == "usr/lib"


def test_a_link_to_a_file_is_laid_out(tmp_path: Path) -> None:
    unpack(capture(files={"/etc/a": "a"}, links={"/etc/l": "a"}), str(tmp_path))
    assert (tmp_path / "etc/l").read_text() == "a"


def test_a_link_to_what_has_only_a_time_or_content_elsewhere_is_laid_out(tmp_path: Path) -> None:
    links = {"/initrd.img": "boot/initrd", "/boot": "real", "/l": "boot/../etc/b"}
    data = capture(links=links, times={"/boot/initrd": 5}, binary={"/etc/b": "AP8="})
    unpack(data, str(tmp_path))
    assert (tmp_path / "initrd.img").is_file()
    assert (tmp_path / "real/initrd").stat().st_mtime_ns == 5
    assert (tmp_path / "l").read_bytes() == b"\0\xff"


def test_the_top_may_be_listed(tmp_path: Path) -> None:
    unpack(capture(directories={"/": ["etc", "f"]}, files={"/f": "x"}), str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == ["etc", "f"]
    assert (tmp_path / "f").read_text() == "x"


def test_a_fingerprint_sees_content_mode_and_links(tmp_path: Path) -> None:
    def change(name: str) -> dict[str, str]:
        directory = tmp_path / name
        directory.mkdir()
        unpack(capture(files={"/etc/a": "a"}, links={"/etc/l": "d"}), str(directory))
        return fingerprint(str(directory))

    first, second = change("one"), change("two")
    assert first == second
    assert set(first) == {"/etc/a", "/etc/l"}
    assert first["/etc/l"] == "-> d"
    (tmp_path / "two/etc/a").write_text("b")
    assert fingerprint(str(tmp_path / "two"))["/etc/a"] != first["/etc/a"]
    (tmp_path / "one/etc/a").chmod(0o600)
    assert fingerprint(str(tmp_path / "one"))["/etc/a"] != first["/etc/a"]
    assert fingerprint(str(tmp_path / "one"), without=("/etc",)) == {}
