"""Rows for a terminal: none is too long, and nothing is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hostpci.render.fold import columns, fold

_CAUSE = "      vfio-pci lets an idle device sleep, and it does not come back: no power"
_WORDS = st.lists(st.text("abc，。宿主机", min_size=1, max_size=9), min_size=1, max_size=40)


def test_the_rest_stands_below_the_text() -> None:
    assert fold("      1. Keep it awake: options vfio-pci disable_idle_d3=1.", 40) == [
        "      1. Keep it awake: options vfio-pci",
        "         disable_idle_d3=1.",
    ]
    assert fold("FAIL: power-stuck-d3: The device does not wake", 30)[1].startswith("      ")
    assert [row[:6] for row in fold(_CAUSE, 60)] == ["      "] * 2


def test_what_fits_stays_as_it_is() -> None:
    assert fold("short", 80) == ["short"]
    assert fold(_CAUSE, len(_CAUSE)) == [_CAUSE]


def test_a_line_of_a_log_has_four_rows_at_most() -> None:
    rows = fold(f"      | 9: {'error ' * 60}", 80)
    assert len(rows) == 4
    assert rows[3].endswith(" …")


def test_chinese_is_broken_between_characters_and_not_before_a_full_stop() -> None:
    rows = fold("      vfio-pci 会让空闲的设备睡眠，而这个设备没有醒来：其电源由主板切断。", 40)
    assert all(columns(row) <= 42 for row in rows)
    assert not any(row.strip()[0] in "，。：" for row in rows)
    for width in range(30, 60):
        assert not any(
            row.endswith("（")
            for row in fold("      电源由主板切断（D3cold），或位于雷电接口、笔记本中。", width)
        )


def test_a_word_that_is_too_long_stays_whole() -> None:
    path = "/sys/bus/pci/devices/0000:01:00.0/reset_method/and/more/of/it"
    assert any(path in row for row in fold(f"      look at {path} now", 40))


@given(words=_WORDS, width=st.integers(30, 100))
def test_nothing_is_lost_and_no_row_is_too_long(words: list[str], width: int) -> None:
    line = "      " + " ".join(words)
    rows = fold(line, width)
    assert "".join(rows).replace(" ", "") == line.replace(" ", "")
    longest = max(columns(each) for each in words)
    assert all(columns(row) <= max(width, 6 + longest) for row in rows)
