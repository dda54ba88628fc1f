"""What decides whether a scenario passed: kernel log, root comparison, artefacts, processes."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import cache, kernel_log, kvm, process, rootdiff
from lab.errors import EnvironmentUnfitError
from lab.kernel_log import Allowed
from lab.rootdiff import BootChange, Entry, Manifest

KNOWN = (Allowed(pattern="^clock", reason="slow"),)


def entry(content: str = "x", *, mode: int = 0o644) -> Entry:
    return Entry(
        kind="-", mode=mode, owner=0, group=0, size_bytes=len(content), content=content, xattrs=()
    )


def test_warnings_count_and_notices_do_not() -> None:
    log = "<4>[    1.5] bad\n<6>[    1.6] fine\n<28>[ 2.0] a daemon warns\n<4>[ 2.1] clock slow\n"
    assert kernel_log.unexpected(log, KNOWN) == ["bad"]


def test_an_alarm_counts_at_any_level() -> None:
    assert kernel_log.unexpected("<6>[ 1.0] Call Trace:\n", KNOWN) == ["Call Trace:"]
    assert kernel_log.alarms("fine\n[ 1.0] BUG: unable\n") == ["[ 1.0] BUG: unable"]


def test_everything_that_differs_is_found_and_only_that() -> None:
    factory = Manifest(entries={"/a": entry(), "/b": entry(), "/c": entry()})
    now = Manifest(entries={"/a": entry(), "/b": entry(mode=0o600), "/d": entry()})
    found = rootdiff.compare(factory, now)
    assert [str(each) for each in found] == [
        "/b: changed mode 420 -> 384", "/c: removed", "/d: added",
    ]  # fmt: skip
    explained = (BootChange(pattern="/d", reason="a boot makes it"),)
    assert [each.path for each in rootdiff.unexplained(found, explained)] == ["/b", "/c"]


def test_a_manifest_survives_its_file_form(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("file")
    manifest = rootdiff.manifest_of_tree(tmp_path)
    assert set(manifest.entries) == {"/file", "/link"}
    read = json.loads(json.dumps(manifest.to_json()))
    assert not rootdiff.compare(manifest, Manifest.from_json(read))


def test_an_interrupted_build_is_never_taken_for_a_whole_one(lab_cache: Path) -> None:
    artefact = cache.Artefact(name="thing", recipe="one", needs_bytes=1)

    def interrupted(folder: Path) -> None:
        (folder / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.ensure(artefact, interrupted)
    assert not artefact.is_built
    path = cache.ensure(artefact, lambda folder: (folder / "whole").touch())
    assert [each.name for each in path.iterdir()] == ["whole"]
    assert path.parent == lab_cache


def test_another_recipe_is_another_artefact(lab_cache: Path) -> None:
    one = cache.Artefact(name="thing", recipe="one", needs_bytes=1)
    two = cache.Artefact(name="thing", recipe="two", needs_bytes=1)
    assert one.path != two.path
    assert one.path.is_relative_to(lab_cache)


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_different_texts_have_different_digests(one: list[str], two: list[str]) -> None:
    separated = not any("\0" in text for text in one + two)
    if separated and one != two and (one or [""]) != (two or [""]):
        assert cache.digest(*one) != cache.digest(*two)


def test_a_command_that_hangs_is_ended_with_its_children() -> None:
    started_s = time.monotonic()
    with pytest.raises(process.CommandFailedError, match="no end within"):
        process.run(["sh", "-c", "sleep 60 & wait"], timeout_s=0.3)
    assert time.monotonic() - started_s < 10


def test_a_missing_program_names_its_package() -> None:
    with pytest.raises(EnvironmentUnfitError) as caught:
        process.find_tool("no-such-program", package="some-package")
    assert "some-package" in caught.value.hint


def test_cpio_pieces_are_padded_to_four_bytes() -> None:
    packed = kvm.cpio_file("init", b"12345", mode=0o100755)
    assert len(packed) % 4 == 0
    assert packed.startswith(b"070701")
    assert b"init\0" in packed
