"""``/etc/hostpci.toml``: read strictly, edited without touching what others wrote."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hostpci.errors import CorruptError, Exit
from hostpci.facts.claims import (
    PATH,
    parse_claims,
    parse_claims_file,
    read_claims,
    with_claim,
    with_claim_changed,
    with_host_options,
    without_claim,
)
from hostpci.host.capture import CaptureRoot
from hostpci.model.claim import Claim, ClaimedFunction

from ..hosts import SLOT, VGA, RecordedHost
from .support import identity

OTHER_SLOT = "0000:02:00"
FUNCTION = '{ address = "0000:01:00.0", id = "10de:2d04", subsystem = "10b0:205e" }'
BLOCK = f'[[claim]]\nslot = "0000:01:00"\nfunctions = [{FUNCTION}]\n'


def claim(slot: str = SLOT, *functions: str) -> Claim:
    return Claim(
        slot=slot,
        functions=tuple(
            ClaimedFunction(address=f"{slot}.{number}", identity=identity("10de:2d04:10b0:205e"))
            for number in functions or ("0", "1")
        ),
    )


def test_no_file_means_no_claims(guide: RecordedHost) -> None:
    found = read_claims(CaptureRoot(guide.data))
    assert (found.text, found.claims) == (None, ())


def test_what_is_written_is_what_is_read(guide: RecordedHost) -> None:
    text = with_claim(with_claim(None, claim()), claim(OTHER_SLOT, "0"))
    found = read_claims(CaptureRoot(guide.with_file(PATH, text).data))
    assert found.text == text
    assert found.claims == (claim(), claim(OTHER_SLOT, "0"))
    assert found.of_slot(OTHER_SLOT) == claim(OTHER_SLOT, "0")
    assert found.of_slot("0000:03:00") is None


def test_a_claim_in_another_domain_is_kept_apart() -> None:
    text = with_claim(with_claim(None, claim()), claim("10000:01:00"))
    assert parse_claims(text) == (claim(), claim("10000:01:00"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment\n",
        'claim = [{ slot = "0000:01:00", functions = [' + FUNCTION + "] }]\n",
        BLOCK.replace("[[claim]]", "[[ claim ]]  # with spaces"),
        BLOCK.replace("\n", "\r\n"),
        BLOCK.replace("= [", "= [\n  # the display\n  "),
    ],
)
def test_every_way_to_write_toml_is_read(text: str) -> None:
    assert len(parse_claims(text)) == ("slot" in text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[[claim", "Expected"),
        ("claim = 5", "claim must be a list"),
        ("claim = [1]", "exactly the keys"),
        ("[claim]\nslot = 1", "claim must be a list"),
        ("[[claim]]\n", "exactly the keys"),
        (f"colour = 1\n{BLOCK}", "unknown key 'colour'"),
        (f"{BLOCK}vm = 100\n", "exactly the keys"),
        (BLOCK.replace('"0000:01:00"', "100"), "slot must be written"),
        (BLOCK.replace('"0000:01:00"', '"01:00"'), "slot must be written"),
        (BLOCK.replace('"0000:01:00"', '"0000:01:00.0"'), "slot must be written"),
        (BLOCK.replace('"0000:01:00"', '"0000:01:20"'), "bad-address"),
        (BLOCK.replace('"0000:01:00"', '"../../etc"'), "bad-address"),
        (BLOCK.replace(f"[{FUNCTION}]", "[]"), "one or more functions"),
        (BLOCK.replace(f"[{FUNCTION}]", '"all"'), "functions must be a list"),
        (BLOCK.replace(f"[{FUNCTION}]", "[1]"), "exactly the keys"),
        (BLOCK.replace("0000:01:00.0", "0000:02:00.0"), "functions of that slot"),
        (BLOCK.replace("0000:01:00.0", "10000:01:00.0"), "functions of that slot"),
        (BLOCK.replace("0000:01:00.0", "0000:01:00"), "cannot understand"),
        (BLOCK.replace("0000:01:00.0", "0000:01:00.8"), "cannot understand"),
        (BLOCK.replace('"0000:01:00.0"', "1"), "cannot understand"),
        (BLOCK.replace('"10de:2d04"', '"10DE:2D04"'), "cannot understand"),
        (BLOCK.replace('"10de:2d04"', '"10de:*"'), "cannot understand"),
        (BLOCK.replace('"10de:2d04"', '"10de:2d04\\n"'), "cannot understand"),
        (BLOCK.replace('"10de:2d04"', "[]"), "cannot understand"),
        (BLOCK.replace('"10b0:205e"', '"205e"'), "cannot understand"),
        (BLOCK.replace(", subsystem", ", x = 1, subsystem"), "exactly the keys"),
        (BLOCK.replace('id = "10de:2d04", ', ""), "exactly the keys"),
        (BLOCK + BLOCK, "claimed twice"),
        (f"﻿{BLOCK}", ""),
        (f"{BLOCK}accept = 'group-shares-usb'\n", "accept must be a list"),
        (f"{BLOCK}accept = [1]\n", "cannot understand accept 1"),
        (f'{BLOCK}accept = ["Group"]\n', "cannot understand accept"),
        (f'{BLOCK}accept = ["a=b"]\n', "cannot understand accept"),
        (f'{BLOCK}options = ["disable-vga", "disable-vga"]\n', "names something twice"),
        (f'{BLOCK}options = ["softdep=a b"]\n', "cannot understand options"),
        (f'{BLOCK}options = ["softdep=a\\nb"]\n', "cannot understand options"),
        ("host = 1\n", "host is a table"),
        ("[[host]]\n", "host is a table"),
        ("[host]\noption = []\n", "host is a table"),
        ('[host]\noptions = ["iommu-pt", "iommu-pt=1"]\n', "names something twice"),
        ('[host]\noptions = ["iommu_pt"]\n', "cannot understand options"),
        pytest.param(
            BLOCK.replace(f"[{FUNCTION}]", f"[{FUNCTION}, {FUNCTION.replace('2d04', '2d05')}]"),
            "twice",
        ),
        pytest.param("claim = " + "[" * 5000, ""),
    ],
)
def test_a_file_that_is_not_exactly_right_is_refused(text: str, reason: str) -> None:
    with pytest.raises(CorruptError) as caught:
        parse_claims(text)
    assert caught.value.code == "claims-unparseable"
    assert caught.value.exit is Exit.CORRUPT
    assert caught.value.params["path"] == PATH
    assert reason in str(caught.value.params["reason"])


def test_a_file_that_is_not_utf8_is_refused(guide: RecordedHost) -> None:
    guide.data["binary"][PATH] = "/w=="
    with pytest.raises(CorruptError) as caught:
        read_claims(CaptureRoot(guide.data))
    assert caught.value.code == "claims-unparseable"


def test_a_file_that_cannot_be_read_is_not_an_absent_one(guide: RecordedHost) -> None:
    with pytest.raises(CorruptError) as caught:
        read_claims(CaptureRoot(guide.unreadable(PATH).data))
    assert caught.value.code == "claims-unreadable"


def test_removing_the_only_claim_of_a_file_of_ours_removes_the_file() -> None:
    assert without_claim(with_claim(None, claim()), SLOT) is None


@pytest.mark.parametrize("slots", [(SLOT, OTHER_SLOT), (OTHER_SLOT, SLOT)])
def test_claims_can_be_taken_out_in_any_order(slots: tuple[str, str]) -> None:
    text: str | None = with_claim(with_claim(None, claim()), claim(OTHER_SLOT))
    for slot in slots:
        assert text is not None
        text = without_claim(text, slot)
    assert text is None


@pytest.mark.parametrize(
    "foreign",
    [
        "# my notes\n",
        "\n\n# notes after blank lines\n",
        "# notes\n\n",
        "# CRLF\r\n# notes\r\n",
        "# 显卡给虚拟机用\n",
        f"{BLOCK.replace('0000:01:00', OTHER_SLOT)}# the end\n",
        f"# above\n{BLOCK.replace('0000:01:00', OTHER_SLOT)}",
    ],
)
def test_a_claim_added_and_taken_out_leaves_every_byte_of_others(foreign: str) -> None:
    added = with_claim(foreign, claim())
    assert added.startswith(foreign)
    assert claim() in parse_claims(added)
    assert without_claim(added, SLOT) == foreign


def test_a_claim_is_added_on_lines_of_its_own_after_a_file_without_a_line_end() -> None:
    added = with_claim("# no line end", claim())
    assert added.startswith("# no line end\n")
    assert parse_claims(added) == (claim(),)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_taking_out_one_claim_keeps_the_others(position: int) -> None:
    slots = ["0000:01:00", "0000:02:00", "10000:01:00"]
    text: str | None = None
    for slot in slots:
        text = with_claim(text, claim(slot))
    assert text is not None
    left = without_claim(text, slots[position])
    assert left is not None
    kept = [slot for slot in slots if slot != slots[position]]
    assert [each.slot for each in parse_claims(left)] == kept


def test_a_claim_that_is_not_there_is_not_taken_out() -> None:
    with pytest.raises(CorruptError):
        without_claim(with_claim(None, claim()), OTHER_SLOT)


def test_a_claim_written_inline_is_refused_and_not_guessed_at() -> None:
    inline = 'claim = [{ slot = "0000:01:00", functions = [' + FUNCTION + "] }]\n"
    assert [each.slot for each in parse_claims(inline)] == [SLOT]
    with pytest.raises(CorruptError):
        without_claim(inline, SLOT)


def test_the_rendered_claim_names_every_function_and_both_pairs_of_ids() -> None:
    text = with_claim("", claim(SLOT, "0"))
    assert f'address = "{VGA}", id = "10de:2d04", subsystem = "10b0:205e"' in text


def test_an_indented_claim_is_not_taken_out_with_its_neighbour() -> None:
    text = f"{BLOCK}  {BLOCK.replace('0000:01:00', OTHER_SLOT)}"
    assert [each.slot for each in parse_claims(text)] == [SLOT, OTHER_SLOT]
    try:
        left = without_claim(text, SLOT)
    except CorruptError:
        return
    assert left is not None
    assert [each.slot for each in parse_claims(left)] == [OTHER_SLOT]


def test_a_comment_above_the_next_claim_stays_with_it() -> None:
    note = "# the second card is for the render farm\n"
    text = f"{BLOCK}\n{note}{BLOCK.replace('0000:01:00', OTHER_SLOT)}"
    left = without_claim(text, SLOT)
    assert left is not None
    assert note in left


def test_a_comment_below_the_last_claim_is_kept() -> None:
    text = f"# head\n{BLOCK}\n# ask Ann before changing anything here\n"
    left = without_claim(text, SLOT)
    assert left is not None
    assert "ask Ann" in left


@pytest.mark.parametrize("text", ["claim = []\n", "claim = [\n]\n# mine\n"])
def test_a_claim_is_never_added_to_what_it_would_break(text: str) -> None:
    assert parse_claims(text) == ()
    with pytest.raises(CorruptError, match=r"\[\[claim\]\] blocks") as caught:
        with_claim(text, claim())
    assert caught.value.code == "claims-unparseable"


def test_a_slot_is_not_claimed_twice_by_an_edit() -> None:
    with pytest.raises(CorruptError):
        with_claim(BLOCK, claim())


CRLF_BLOCK = BLOCK.replace("\n", "\r\n")


@pytest.mark.parametrize("head", ["[[claim]]", "[[claim]] # the display", "  [[ claim ]]\t"])
def test_a_claim_can_be_taken_out_of_a_file_of_another_system(head: str) -> None:
    foreign = "# mine\r\n"
    text = f"{foreign}\r\n{CRLF_BLOCK.replace('[[claim]]', head)}"
    assert [each.slot for each in parse_claims(text)] == [SLOT]
    assert without_claim(text, SLOT) == foreign


@pytest.mark.parametrize("foreign", ["# mine\r\n", CRLF_BLOCK, "\r\n", "# no end\r\n# of line"])
def test_a_new_claim_ends_its_lines_as_the_file_does(foreign: str) -> None:
    added = with_claim(foreign, claim(OTHER_SLOT))
    assert added.startswith(foreign)
    assert added.count("\n") == added.count("\r\n")
    assert claim(OTHER_SLOT) in parse_claims(added)
    left = without_claim(added, OTHER_SLOT)
    assert left is not None
    assert left.rstrip("\r\n") == foreign.rstrip("\r\n")


def test_a_comment_with_an_odd_line_end_stays() -> None:
    """Only a line feed ends a line of TOML."""
    text = f"{BLOCK}# see\u2028below\n"
    assert without_claim(text, SLOT) == "# see\u2028below\n"


def with_lists(slot: str = SLOT) -> Claim:
    return replace(claim(slot), accept=("group-shares-usb",), options=("disable-vga", "softdep=a"))


def test_risks_and_knobs_are_read_as_they_are_written() -> None:
    text = with_claim(None, with_lists())
    assert 'accept = ["group-shares-usb"]\noptions = ["disable-vga", "softdep=a"]\n' in text
    text = with_host_options(text, ("iommu-pt", "acs-override=id:8086:a33c,downstream")) or ""
    found = parse_claims_file(text)
    assert found.claims == (with_lists(),)
    assert found.host_options == ("iommu-pt", "acs-override=id:8086:a33c,downstream")


def test_without_lists_nothing_is_accepted_and_no_knob_is_set() -> None:
    (found,) = parse_claims(BLOCK)
    assert (found.accept, found.options) == ((), ())
    assert parse_claims_file("[host]\n").host_options == ()


@pytest.mark.parametrize(
    "foreign",
    [
        "# mine\n",
        BLOCK,
        f"{BLOCK}\n# below\n",
        BLOCK.replace("\n", "\r\n"),
        f"# above\n{BLOCK}# below\n\n\n",
    ],
)
def test_knobs_of_the_host_set_and_taken_out_leave_every_byte_of_others(foreign: str) -> None:
    longer = with_host_options(foreign, ("iommu-pt",))
    assert longer is not None
    assert longer.startswith(foreign)
    assert parse_claims_file(longer).host_options == ("iommu-pt",)
    assert parse_claims_file(longer).claims == parse_claims(foreign)
    assert with_host_options(longer, ()) == foreign


def test_a_file_that_only_held_our_knobs_goes_with_them() -> None:
    text = with_host_options(None, ("iommu-pt",))
    assert text is not None
    assert with_host_options(text, ()) is None
    assert with_host_options(None, ()) is None


def test_claims_after_the_knobs_of_the_host_stay_claims() -> None:
    text = with_claim(with_host_options(None, ("iommu-pt",)), claim())
    text = with_host_options(text, ("kvm-ignore-msrs",)) or ""
    assert parse_claims_file(text).host_options == ("kvm-ignore-msrs",)
    assert without_claim(text, SLOT) == with_host_options(None, ("kvm-ignore-msrs",))
    assert with_host_options(text, ()) == with_claim(None, claim())


def test_a_comment_beside_a_list_is_kept() -> None:
    host = "[host]\n# for the render farm\noptions = [ 'a' ]  # asked for by Ann\n"
    added = with_host_options(host, ("a", "b"))
    assert added == host.replace("[ 'a' ]", '["a", "b"]')
    emptied = with_host_options(host, ())
    assert emptied == host.replace("[ 'a' ]", "[]")


def test_a_comment_inside_a_list_is_not_lost_but_refused() -> None:
    text = f'{BLOCK}options = [\n  "disable-vga", # why\n]\n'
    with pytest.raises(CorruptError, match="comments inside"):
        with_claim_changed(text, replace(claim(SLOT, "0"), options=("disable-idle-d3",)))


def test_changing_a_claim_changes_nothing_else() -> None:
    other = BLOCK.replace("0000:01:00", OTHER_SLOT)
    text = f"# a\n{BLOCK}# b\n\n{other}# c\n"
    changed = with_claim_changed(text, replace(claim(SLOT, "0"), options=("disable-vga",)))
    assert changed == f'# a\n{BLOCK}options = ["disable-vga"]\n# b\n\n{other}# c\n'
    assert with_claim_changed(changed, claim(SLOT, "0")) == text


def test_a_claim_at_the_end_of_a_file_without_a_line_end_can_be_changed() -> None:
    changed = with_claim_changed(BLOCK.rstrip("\n"), replace(claim(SLOT, "0"), accept=("a",)))
    assert parse_claims(changed) == (replace(claim(SLOT, "0"), accept=("a",)),)


@pytest.mark.parametrize(
    "text", ['host = { options = ["a"] }\n', 'host.options = ["a"]\n', f"host = {{}}\n{BLOCK}"]
)
def test_knobs_written_inline_are_read_but_refused_for_editing(text: str) -> None:
    assert parse_claims_file(text).host_options in (("a",), ())
    with pytest.raises(CorruptError):
        with_host_options(text, ("b",))


def test_a_text_that_looks_like_a_block_is_not_one() -> None:
    text = f"{BLOCK}# [[claim]]\n#[host]\n"
    assert with_host_options(with_host_options(text, ("a",)), ()) == text
