"""Kernel releases as numbers, and who is who."""

from __future__ import annotations

import pytest

from hostpci.model.release import Maker, parse_release


@pytest.mark.parametrize(
    ("text", "maker", "version"),
    [
        ("6.8.12-29-pve", Maker.PVE, (6, 8, 12, 29)),
        ("7.0.14-2-pve", Maker.PVE, (7, 0, 14, 2)),
        ("6.14.8-1-pve", Maker.PVE, (6, 14, 8, 1)),
        ("6.14.8-2-bpo12-pve", Maker.PVE, (6, 14, 8, 2)),
        ("6.12.48+deb13-amd64", Maker.UPSTREAM, (6, 12, 48)),
        ("6.12.57+deb13u1-cloud-amd64", Maker.UPSTREAM, (6, 12, 57)),
        ("6.11.5+bpo-amd64", Maker.UPSTREAM, (6, 11, 5)),
        ("6.16.3-amd64", Maker.UPSTREAM, (6, 16, 3)),
        ("6.11.4", Maker.UPSTREAM, (6, 11, 4)),
    ],
)
def test_a_release_that_says_which_code_it_is(
    text: str, maker: Maker, version: tuple[int, ...]
) -> None:
    parsed = parse_release(text)
    assert parsed is not None
    assert (parsed.maker, parsed.version) == (maker, version)


@pytest.mark.parametrize(
    "text",
    [
        "6.1.0-56-amd64",  # Debian 12: 56 is an ABI, the stable level is not in the name
        "6.8.0-45-generic",
        "6.8.12-pve",
        "6.8.12-29-pve-custom",
        "6.8.12-29-xpve",
        "v6.8.12-29-pve",
        "6.11.0-rc3",
        "6.8.12-29-pve\n",
        "6.8-29-pve",
        "6.8.12-99999999999999999999-pve",
        "",
    ],
)
def test_a_release_that_does_not(text: str) -> None:
    assert parse_release(text) is None


def test_builds_are_numbers_and_not_text() -> None:
    first, second = parse_release("6.8.12-9-pve"), parse_release("6.8.12-10-pve")
    assert first is not None
    assert second is not None
    assert first.version < second.version
