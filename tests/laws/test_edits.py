"""Laws of the edits: what was added can be taken out again, and everything else keeps its bytes.

What a file under /etc/default comes to is not ours to define: real shells are asked.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostpci.errors import EditError
from hostpci.model.facts import ConfigFile
from hostpci.model.words import add_words, split_words, take_words
from hostpci.planner.edits.grub import (
    DEFAULT,
    NAMES,
    add_word,
    drop_in,
    drop_in_words,
    effective,
    take_word,
    words_in,
)
from hostpci.planner.edits.modprobe import add_line, take_id, take_line, take_option
from hostpci.planner.edits.modules import add_module, take_module

OURS = st.sampled_from(
    ["intel_iommu=on", "iommu=pt", "pcie_acs_override=downstream", "console=tty0", "hugepages=8"]
)
# Words of others: ours as a part of them, parameters in an order that matters, quoted ones
THEIRS = st.sampled_from(
    [
        "quiet", "ro", "intel_iommu=on,sm_on", "xintel_iommu=on", "iommu=off", "iommu=pt,soft",
        "console=ttyS0,115200", "console=tty1", "hugepagesz=1G", "hugepages=16", "hugepagesz=2M",
        "root=ZFS=rpool/ROOT/pve-1", "pcie_acs_override=downstream,multifunction", "a=b=c",
        'dyndbg="file x +p"',
    ]
)  # fmt: skip
GAP = st.sampled_from([" ", "  ", "\t"])
FAST = settings(max_examples=150, deadline=None)


@st.composite
def lines(draw: st.DrawFn) -> str:
    """A command line in the shapes that /etc/kernel/cmdline has."""
    words = ["root=ZFS=rpool/ROOT/pve-1", *draw(st.lists(THEIRS, max_size=5))]
    words = draw(st.permutations(words))
    text = draw(st.sampled_from(["", " "])) + words[0]
    for word in words[1:]:
        text += draw(GAP) + word
    if draw(st.booleans()):
        text += " -- single" + draw(st.sampled_from(["", " iommu=pt"]))
    return text + draw(st.sampled_from(["", " ", "\r", "  \r"]))


@st.composite
def cmdline_files(draw: st.DrawFn) -> str:
    rest = draw(st.sampled_from(["", "\n", "\nquiet iommu=pt\n", "\n\n# note", "\r\n"]))
    return draw(lines()) + rest


@FAST
@given(cmdline_files(), st.lists(OURS, unique=True, max_size=3))
def test_words_that_were_added_can_be_taken_out(text: str, words: list[str]) -> None:
    longer = add_words(text, words)
    assert take_words(longer, words) == text
    assert add_words(longer, words) == longer
    assert longer.partition("\n")[2] == text.partition("\n")[2]


@FAST
@given(cmdline_files(), st.lists(OURS, unique=True, max_size=3))
def test_every_other_word_keeps_its_place_and_its_order(text: str, words: list[str]) -> None:
    def kernels(line: str) -> list[str]:
        found = list(split_words(line.partition("\n")[0]))
        return found[: found.index("--")] if "--" in found else found

    before, after = kernels(text), kernels(add_words(text, words))
    assert after == before + [word for word in words if word not in before]
    assert kernels(take_words(text, words)) == [word for word in before if word not in words]


# GRUB


@st.composite
def quoted_values(draw: st.DrawFn) -> str:
    """A value in any of the quotings that stand in files, some with the shell's own variables."""
    words = draw(st.lists(THEIRS.filter(lambda word: '"' not in word), max_size=4))
    inner = draw(GAP).join(words)
    edges = draw(st.sampled_from(["", " "]))
    forms = [
        words[0] if words else "",
        f"'{edges}{inner}{edges}'",
        f'"${DEFAULT} {inner}"',
        f'"{inner} ${{{DEFAULT}}}"',
        f"'{inner}'\" {inner}\"{edges and 'x'}",
        '"' + " \\\n ".join(words) + '"',
        f'"{edges}{inner}{edges}"',
    ]
    return draw(st.sampled_from(forms))


@st.composite
def grub_texts(draw: st.DrawFn) -> str:
    """A file under /etc/default: assignments among comments, other settings and odd ends."""
    out = []
    for _ in range(draw(st.integers(1, 4))):
        name = draw(st.sampled_from([*NAMES, "GRUB_TIMEOUT", DEFAULT]))
        head = draw(st.sampled_from(["", "  ", "export ", "GRUB_A=1 ", "GRUB_B='#';"]))
        tail = draw(st.sampled_from(["", "  # quiet iommu=pt", " ", ";", "; GRUB_Z=2", " #\"'"]))
        out.append(f"{head}{name}={draw(quoted_values())}{tail}")
        out.append(draw(st.sampled_from([
            "", f'# {DEFAULT}="iommu=pt"', "#it's", "GRUB_DISTRIBUTOR=`echo Debian`",
            'GRUB_X=$(echo ")")', "GRUB_GFXMODE=640x480",
        ])))  # fmt: skip
    return "\n".join(out) + draw(st.sampled_from(["", "\n"]))


SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]


def asked(shell: str, directory: Path, texts: Sequence[str], name: str) -> str:
    """What a real shell has in ``name`` after sourcing the files in order."""
    paths = []
    for number, text in enumerate(texts):
        path = directory / f"{number}.cfg"
        path.write_bytes(text.encode())
        paths.append(str(path))
    script = 'for file in "$@"; do . "$file"; done; printf %s "$' + name + '"'
    found = subprocess.run(
        [shell, "-c", script, "sh", *paths], check=True, capture_output=True, text=True, env={}
    )
    assert found.stderr == "", texts
    return found.stdout


@pytest.mark.processes
@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=60, deadline=None)
@given(texts=st.lists(grub_texts(), min_size=1, max_size=3))
def test_what_files_come_to_is_what_a_real_shell_says(
    shell: str, tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    files = [ConfigFile(path=f"/{number}", text=text) for number, text in enumerate(texts)]
    directory = tmp_path_factory.mktemp("grub")
    for name in NAMES:
        assert effective(files, name) == asked(shell, directory, texts, name)


@FAST
@given(grub_texts(), OURS)
def test_a_word_that_was_added_to_a_grub_file_can_be_taken_out(text: str, word: str) -> None:
    file = ConfigFile(path="/etc/default/grub", text=text)
    if word in [each.word for each in words_in(file)] or not any(
        each.name == DEFAULT for each in words_in(file)
    ):
        return
    longer = ConfigFile(path=file.path, text=add_word(file, word))
    assert take_word(longer, word) == text
    assert add_word(longer, word) == longer.text
    assert effective([longer], DEFAULT).split()[-1] == word or longer.text == text


@FAST
@given(grub_texts(), OURS)
def test_taking_a_word_out_of_a_grub_file_leaves_every_other_word(text: str, word: str) -> None:
    file = ConfigFile(path="/etc/default/grub", text=text)
    shorter = ConfigFile(path=file.path, text=take_word(file, word))
    for name in NAMES:
        before, after = effective([file], name).split(), effective([shorter], name).split()
        assert after == [each for each in before if each != word]
    assert take_word(shorter, word) == shorter.text


@FAST
@given(st.lists(OURS, min_size=1, max_size=4, unique=True), st.lists(THEIRS, max_size=3))
def test_our_own_file_says_just_our_words(words: list[str], before: list[str]) -> None:
    text = drop_in(words)
    assert drop_in_words(text) == tuple(words)
    base = ConfigFile(path="/etc/default/grub", text=f"{DEFAULT}='{' '.join(before)}'\n")
    both = effective([base, ConfigFile(path="/x.cfg", text=text)], DEFAULT)
    assert split_words(both) == (*split_words(" ".join(before)), *words)


@given(st.text(max_size=8))
def test_nothing_that_a_shell_would_read_gets_into_our_file(word: str) -> None:
    try:
        text = drop_in([word])
    except EditError:
        return
    assert effective([ConfigFile(path="/x", text=text)], DEFAULT).split() == [word]


# modprobe.d and module lists

MODPROBE_LINES = st.sampled_from([
    "options vfio-pci ids=10de:2d04,10de:22eb disable_vga=1", "options vfio_pci disable-vga=1",
    "options kvm ignore_msrs=1 \\\n   report_ignored_msrs=0", "blacklist nouveau", "# blacklist x",
    "softdep nouveau pre: vfio-pci", "", "  \t", "install a /bin/true", "options vfio-pci",
    "# continued \\\nblacklist nouveau", "options kvm \\", "alias x off", "blacklist nouveau\r",
])  # fmt: skip
MODPROBE = st.lists(MODPROBE_LINES, max_size=6).flatmap(
    lambda found: st.sampled_from(["\n".join(found), "\n".join([*found, ""])])
)
NEW_LINES = st.sampled_from(["blacklist nvidia", "options kvm x=1", "softdep xe pre: vfio-pci"])


@FAST
@given(MODPROBE, NEW_LINES)
def test_a_line_of_modprobe_that_was_added_can_be_taken_out(text: str, line: str) -> None:
    if text.endswith(("\\", "\\\n")):  # what follows would be a part of that line
        return
    assert take_line(add_line(text, line), line) == text


@FAST
@given(MODPROBE.filter(lambda text: "\\\n" not in text))
def test_taking_options_out_leaves_every_other_line_its_bytes(text: str) -> None:
    edited = take_id(take_option(text, "vfio-pci", "disable_vga"), "10de:2d04")
    assert take_id(take_option(edited, "vfio-pci", "disable_vga"), "10de:2d04") == edited
    others = [line for line in text.split("\n") if line and "vfio" not in line]
    assert [line for line in edited.split("\n") if line and "vfio" not in line] == others
    assert "disable" not in edited
    assert "2d04" not in edited


@FAST
@given(st.lists(st.sampled_from(["vfio", "# vfio_pci", "loop max=8", "", "vfio-pci x"])), st.data())
def test_a_module_that_was_added_to_a_list_can_be_taken_out(
    found: list[str], data: st.DataObject
) -> None:
    text = "\n".join(found) + data.draw(st.sampled_from(["", "\n"]))
    assert take_module(add_module(text, "kvm"), "kvm") == text
    assert take_module(text, "vfio_pci").split("\n") == [
        line for line in text.split("\n") if not line.startswith("vfio-pci")
    ] or text.endswith("vfio-pci x")
