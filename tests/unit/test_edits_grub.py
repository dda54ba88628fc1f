"""GRUB's files in every shape that a host can have them in."""

from __future__ import annotations

import pytest

from hostpci.errors import EditError
from hostpci.model.facts import ConfigFile
from hostpci.planner.edits.grub import (
    DEFAULT,
    add_word,
    drop_in,
    drop_in_words,
    effective,
    effective_words,
    take_word,
    words_in,
)

WORD = "iommu=pt"


def file(text: str) -> ConfigFile:
    return ConfigFile(path="/etc/default/grub", text=text)


@pytest.mark.parametrize(
    ("value", "after"),
    [
        ('"quiet"', '"quiet iommu=pt"'),
        ("'quiet'", "'quiet iommu=pt'"),
        ("quiet", 'quiet" iommu=pt"'),
        ('""', '"iommu=pt"'),
        ("''", "'iommu=pt'"),
        ("", "iommu=pt"),
        ('"quiet" # iommu=pt', '"quiet iommu=pt" # iommu=pt'),
        ('"quiet "', '"quiet iommu=pt "'),
        ('"quiet"\r', '"quiet iommu=pt"\r'),
        ('"quiet \\\n  splash"', '"quiet \\\n  splash iommu=pt"'),
        ('"$GRUB_CMDLINE_LINUX_DEFAULT quiet"', '"$GRUB_CMDLINE_LINUX_DEFAULT quiet iommu=pt"'),
        ('"quiet iommu=pt,x"', '"quiet iommu=pt,x iommu=pt"'),
        ('"quiet intel_iommu=on,sm_on"', '"quiet intel_iommu=on,sm_on iommu=pt"'),
        ('"quiet"; GRUB_TIMEOUT=5', '"quiet iommu=pt"; GRUB_TIMEOUT=5'),
    ],
)
def test_a_word_is_put_into_a_value_however_it_is_quoted_and_taken_out_again(
    value: str, after: str
) -> None:
    text = f'# {DEFAULT}="iommu=pt"\nexport {DEFAULT}={value}\n#{DEFAULT}=iommu=pt\n'
    longer = add_word(file(text), WORD)
    assert longer == text.replace(f"export {DEFAULT}={value}", f"export {DEFAULT}={after}")
    assert take_word(file(longer), WORD) == text
    assert add_word(file(longer), WORD) == longer


@pytest.mark.parametrize(
    ("value", "after"),
    [
        ('"iommu=pt"', '""'),
        ("iommu=pt", ""),
        ('"iommu=pt quiet"', '"quiet"'),
        ('"quiet iommu=pt"', '"quiet"'),
        ('"quiet  iommu=pt splash"', '"quiet splash"'),
        ('"quiet iommu=pt iommu=pt"', '"quiet"'),
        ('"iommu=pt,soft xiommu=pt iommu=ptx"', '"iommu=pt,soft xiommu=pt iommu=ptx"'),
        ('"quiet "iommu=pt', '"quiet"'),
        ('"a "\'iommu=pt\'" b"', '"a"\'\'" b"'),
        ('"quiet \\\niommu=pt"', '"quiet\\\n"'),
        ("quiet\\ iommu=pt", "quiet"),
        ('"$OTHER iommu=pt"', '"$OTHER"'),
        ('"${OTHER}iommu=pt"', '"${OTHER}iommu=pt"'),
        ("'quiet $X iommu=pt'", "'quiet $X'"),
        ('"iommu=pt"\r', '""\r'),
    ],
)
def test_exactly_the_word_is_taken_out(value: str, after: str) -> None:
    text = f"A=1\n{DEFAULT}={value}\nB=2"
    assert take_word(file(text), WORD) == f"A=1\n{DEFAULT}={after}\nB=2"


def test_a_prefix_of_another_word_and_an_appended_assignment_are_heeded() -> None:
    text = f'{DEFAULT}="pcie_acs_override=downstream,multifunction"\n{DEFAULT}+=" iommu=pt"\n'
    assert take_word(file(text), "pcie_acs_override=downstream") == text
    assert take_word(file(text), WORD) == text.replace("iommu=pt", "")


def test_every_file_has_its_say_in_the_order_of_sourcing() -> None:
    files = [
        ConfigFile(path="/etc/default/grub", text=f'{DEFAULT}="quiet"\nGRUB_CMDLINE_LINUX=""\n'),
        ConfigFile(path="/a.cfg", text='GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX root=ZFS=x"\n'),
        ConfigFile(path="/b.cfg", text=f'{DEFAULT}="${{{DEFAULT}}} iommu=pt"\n'),
    ]
    assert effective_words(files) == ("root=ZFS=x", "quiet", "iommu=pt")
    overriding = ConfigFile(path="/z.cfg", text=f"{DEFAULT}='splash'\n")
    assert effective_words([*files, overriding]) == ("root=ZFS=x", "splash")


@pytest.mark.parametrize(
    "text",
    [
        f'{DEFAULT}="$(cat /proc/cmdline)"\n',
        f"{DEFAULT}=`cat x`\n",
        f'{DEFAULT}="${{{DEFAULT}:-quiet}}"\n',
        f'{DEFAULT}="$HOME"\n',
        f'{DEFAULT}+=" iommu=pt"\n',
        f"if true; then\n{DEFAULT}=x\nfi\n",
        f"true && {DEFAULT}=x\n",
        f"f() {{\n{DEFAULT}=x\n}}\n",
        f'case "$X" in\na) {DEFAULT}=x;;\nesac\n',
        f"for i in a b; do\n{DEFAULT}=x\ndone\n",
    ],
)
def test_what_only_a_shell_could_tell_is_an_error_with_its_place(text: str) -> None:
    with pytest.raises(EditError) as caught:
        effective([file(f"A=1\n{text}")], DEFAULT)
    assert caught.value.code == "edit-grub-computed"
    assert caught.value.params["path"] == "/etc/default/grub"
    assert int(str(caught.value.params["line"])) > 1


@pytest.mark.parametrize(
    "text",
    [
        f'. /etc/other\n{DEFAULT}="quiet iommu=pt"\n',
        f'{DEFAULT}="quiet iommu=pt"\nunset {DEFAULT}\n',
        f'sed -i s/x/y/ <<E\n{DEFAULT}="iommu=pt"\nE\n',
        f'{DEFAULT}="quiet iommu=pt\n',
        f"{DEFAULT}='quiet iommu=pt\n",
        f'read {DEFAULT} < /x\n{DEFAULT}="iommu=pt"\n',
        f'eval "{DEFAULT}=x"\n',
        f'{DEFAULT}="iommu=pt"\nexit 0\n',
    ],
)
def test_a_file_that_does_more_than_set_is_not_edited(text: str) -> None:
    for edit in (take_word, add_word):
        with pytest.raises(EditError):
            edit(file(text), WORD)


def test_other_settings_may_be_computed() -> None:
    text = (
        "GRUB_DISTRIBUTOR=`lsb_release -i -s 2> /dev/null || echo Debian`\n"
        "GRUB_X=$( . /etc/os-release; echo ${NAME:-Debian} )\n"
        f'{DEFAULT}="quiet"\n'
        'if [ -e /x ]; then\n  GRUB_TIMEOUT="1"\nfi\n'
        'GRUB_INIT_TUNE="480 440 1"\n'
    )
    assert effective([file(text)], DEFAULT) == "quiet"
    assert add_word(file(text), WORD) == text.replace('"quiet"', '"quiet iommu=pt"')


def test_a_value_that_is_not_set_is_not_added_to() -> None:
    with pytest.raises(EditError):
        add_word(file("GRUB_TIMEOUT=5\n"), WORD)


def test_words_are_found_with_variable_and_line() -> None:
    text = f'# x\n{DEFAULT}="quiet \\\n  iommu=pt $X"\nGRUB_CMDLINE_LINUX=a\n'
    found = [(each.name, each.word, each.line) for each in words_in(file(text))]
    assert found == [
        (DEFAULT, "quiet", 2),
        (DEFAULT, "iommu=pt", 2),
        ("GRUB_CMDLINE_LINUX", "a", 4),
    ]


@pytest.mark.parametrize("word", ["a b", "$(x)", '"', "`x`", "a;b", "a\\", "", "a\n", "a'b"])
def test_what_means_something_to_a_shell_is_no_word(word: str) -> None:
    with pytest.raises(EditError):
        drop_in([word])


def test_only_our_own_form_is_our_file() -> None:
    assert drop_in_words(drop_in(["a=b", "c"])) == ("a=b", "c")
    assert drop_in_words(drop_in(["a"]) + "GRUB_TIMEOUT=0\n") is None
    assert drop_in_words(None) is None
