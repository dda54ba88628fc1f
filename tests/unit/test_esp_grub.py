"""The known good entry under GRUB on boot partitions: its text, what is noted, how it goes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostpci.errors import ConflictError
from hostpci.executor.apply import Executor
from hostpci.executor.journal import Journal
from hostpci.executor.trial import Trials
from hostpci.host.runner import Completed
from hostpci.model.grubcfg import parse_grub
from hostpci.model.journal import GivenUp
from hostpci.model.plan import CommandStep, EspEntryStep, FileStep, Plan, RefreshStep
from hostpci.model.trial import By, Reason
from hostpci.model.words import split_words
from hostpci.planner.edits.grubmenu import ENTRY_ID, ESCAPE, grub_word
from hostpci.planner.plan import rebuild_step

from ..esp_world import CUSTOM, CUSTOM_SCRIPT, EspHost, EspRunner
from ..hosts import RecordedHost
from ..loaders import grub_on_esp
from .test_esp_entry import ONE, REFRESH, TWO, arm, codes, notes, planned, undo

SCRIPT = "/etc/grub.d/41_custom"
Change = RefreshStep | CommandStep
CUSTOM_CFG, NOTE = "grub/custom.cfg", "grub/hostpci.env"
THEIRS = "menuentry 'memtest' {\n\tlinux16 /memtest.bin\n}\n"


def recorded() -> RecordedHost:
    host = grub_on_esp(
        RecordedHost().with_only("0000:01:00"), efi=True, AAAA_1111="grub", BBBB_2222="grub"
    )
    return host.with_file(SCRIPT, CUSTOM_SCRIPT).with_file("/etc/systemd/system/keep", "")


@pytest.fixture
def host(tmp_path: Path) -> EspHost:
    return EspHost(tmp_path, recorded(), ONE, TWO)


def entries(host: EspHost, *change: Change) -> list[EspEntryStep]:
    return [each for each in planned(host, *change).plan.steps if isinstance(each, EspEntryStep)]


def file(host: EspHost, uuid: str, path: str) -> Path:
    return host.esps / uuid / path


# the plan


def test_each_partition_gets_an_entry_that_names_it(host: EspHost) -> None:
    plan = planned(host)
    assert codes(plan)[2:] == ["known-good-grub-esp"] * 2
    assert plan.trial.one_shot == "grub-env-esp"
    assert notes(plan)[0] == ("trial-one-shot", "grub-on-esp")
    one, two = entries(host)
    assert (one.uuids, two.uuids) == ((ONE,), (TWO,))
    assert f"search --no-floppy --fs-uuid --set=root {ONE}\n" in one.text
    assert one.text.replace(ONE, TWO) == two.text
    assert (one.path, one.note, len(one.note_text)) == (CUSTOM_CFG, NOTE, 1024)


def test_the_entry_boots_todays_words_with_the_escape_word(host: EspHost) -> None:
    (entry,) = parse_grub(entries(host)[0].text.splitlines())
    running = split_words(host.file("/proc/cmdline").read_text())
    assert entry.words == (*running[1:], ESCAPE)
    assert entry.names[-1][0] == ENTRY_ID


@pytest.mark.parametrize("change", [(REFRESH,), (rebuild_step(RecordedHost().release),)])
def test_what_the_change_writes_over_is_copied(host: EspHost, change: tuple[Change, ...]) -> None:
    release = RecordedHost().release
    copied, plain = entries(host, *change)[0], entries(host)[0]
    assert copied.copies == (f"hostpci/vmlinuz-{release}", f"hostpci/initrd.img-{release}")
    assert all(f" /{each}" in copied.text for each in copied.copies)
    assert plain.copies == ()
    assert all(f" /{each}" in plain.text for each in plain.images)


def test_a_partition_that_is_not_there_is_named(tmp_path: Path) -> None:
    there = recorded()
    there.with_file("/etc/kernel/proxmox-boot-uuids", f"{ONE}\n{TWO}\nCCCC-3333\n")
    plan = planned(EspHost(tmp_path, there, ONE, TWO))
    assert ("trial-esp-without", "CCCC-3333") in notes(plan)


@pytest.mark.parametrize("what", ["script", "word"])
def test_where_it_cannot_be_done_it_is_said(host: EspHost, what: str) -> None:
    if what == "script":
        host.file(SCRIPT).unlink()
    else:
        line = host.file("/proc/cmdline").read_text().strip()
        host.file("/proc/cmdline").write_text(f"{line} who=it\\'s\n")
    plan = planned(host)
    assert codes(plan) == ["trial-unit", "trial-start"]
    assert notes(plan)[0][0] == "trial-no-entry"
    assert plan.trial.one_shot == ""


@pytest.mark.parametrize("flag", ["", " --unrestricted"])
def test_a_menu_with_passwords_stays_as_open_or_closed_as_it_is(tmp_path: Path, flag: str) -> None:
    there = recorded().with_file("/etc/grub.d/10_linux", f'CLASS="--class gnu-linux{flag}"\n')
    text = entries(EspHost(tmp_path, there, ONE))[0].text
    assert ("--unrestricted" in text) is bool(flag)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("root=ZFS=rpool/ROOT/pve-1", "root=ZFS=rpool/ROOT/pve-1"),
        ("a=$b;c", "'a=$b;c'"),
        ('"dyndbg=file x +p"', "'dyndbg=file x +p'"),
        ("who=it\\'s", None),
        ('a="b', None),
        ("\u00e4", None),
        ('""', None),
    ],
)
def test_a_word_reaches_the_kernel_as_it_is_or_not_at_all(word: str, said: str | None) -> None:
    assert grub_word(word) == said


@given(word=st.text(st.characters(codec="ascii"), max_size=12))
def test_grubs_shell_never_acts_on_a_word(word: str) -> None:
    said = grub_word(word)
    if said is not None and said.startswith("'"):
        assert said[1:-1] in (word, word[1:-1])
        assert "'" not in said[1:-1]
    elif said is not None:
        assert said in (word, word[1:-1])
        assert not set(said) & set(" \t\n{}|&$;<>\"'\\#*?()[]~!`^")


# on the partitions


def test_the_trial_boots_once_and_the_known_good_entry_after_it(host: EspHost) -> None:
    arm(host, REFRESH)
    for uuid in (ONE, TWO):
        assert host.boot_entry(uuid) != ENTRY_ID
        assert host.boot_entry(uuid) == ENTRY_ID
        assert host.boots(uuid, ENTRY_ID)["linux"].startswith("/hostpci/vmlinuz-")
    assert not list(host.file("/run").glob(".hostpci-*"))


def test_a_refresh_in_between_leaves_what_is_ours(host: EspHost) -> None:
    arm(host, REFRESH)
    host.boot_entry(ONE)
    before = host.esp_print()
    Executor(host.machine).apply(Plan(steps=(REFRESH,)), "apply")
    assert host.esp_print() == before
    assert host.boot_entry(ONE) == ENTRY_ID


@pytest.mark.parametrize("has_booted", [False, True])
def test_undo_gives_back_every_byte(host: EspHost, has_booted: bool) -> None:  # noqa: FBT001
    root, esps = host.root_print(), host.esp_print()
    arm(host, REFRESH)
    assert len(host.esp_print()) == len(esps) + 8
    if has_booted:
        host.boot_entry(ONE)
    undo(host)
    assert host.root_print() == root
    assert host.esp_print() == esps
    assert not list(host.esps.rglob("hostpci"))


def test_confirm_gives_back_every_byte(host: EspHost) -> None:
    esps = host.esp_print()
    arm(host, REFRESH)
    host.boot_entry(ONE)
    Trials(host.machine).confirm(Journal(host.machine.files).history().runs[0], By.PERSON)
    assert host.esp_print() == esps


def test_what_is_given_up_boots_as_before_at_once(host: EspHost) -> None:
    arm(host, REFRESH)
    for uuid in (ONE, TWO):
        host.boot_entry(uuid)
    trial = Journal(host.machine.files).history().runs[0]
    watched = Executor(host.machine).apply(Plan(steps=(REFRESH,)), "apply")
    Trials(host.machine).give_up(trial, watched, Reason.KNOWN_GOOD, ())
    for uuid in (ONE, TWO):
        assert host.boot_entry(uuid) != ENTRY_ID
        assert ENTRY_ID in file(host, uuid, CUSTOM_CFG).read_text()
    trial = Journal(host.machine.files).history().runs[0]
    assert any(isinstance(each, GivenUp) for each in trial.entries)
    assert trial.state == "applied"


def test_a_partition_that_cannot_be_reached_keeps_no_other_from_its_end(host: EspHost) -> None:
    arm(host)
    trial = Journal(host.machine.files).history().runs[0]
    watched = Executor(host.machine).apply(Plan(steps=()), "apply")
    (host.esps / ONE).rename(host.esps / "lost")
    Trials(host.machine).give_up(trial, watched, Reason.KNOWN_GOOD, ())
    assert not file(host, TWO, NOTE).exists()


def test_somebody_elses_menu_is_refused_and_keeps_every_byte(host: EspHost) -> None:
    file(host, TWO, CUSTOM_CFG).write_text(THEIRS)
    esps = host.esp_print()
    with pytest.raises(ConflictError, match="esp-custom-taken"):
        arm(host, REFRESH)
    assert file(host, TWO, CUSTOM_CFG).read_text() == THEIRS
    assert not file(host, TWO, NOTE).exists()
    undo(host)
    assert host.esp_print() == esps
    assert Journal(host.machine.files).history().runs[0].kept == ()


@pytest.mark.parametrize("form", ["{ours}{theirs}", "{theirs}{ours}", "{ours}{theirs}{ours}"])
def test_what_was_written_into_our_file_since_stays(host: EspHost, form: str) -> None:
    arm(host, REFRESH)
    path = file(host, ONE, CUSTOM_CFG)
    text = form.format(ours=path.read_text(), theirs=THEIRS)
    path.write_text(text)
    undo(host)
    assert path.read_text() == text
    assert Journal(host.machine.files).history().runs[0].kept == (f"{ONE}:/{CUSTOM_CFG}",)
    assert not file(host, ONE, NOTE).exists()
    assert not file(host, TWO, CUSTOM_CFG).exists()


def test_an_entry_of_an_earlier_trial_is_written_over(host: EspHost) -> None:
    old = entries(host)[0].text.replace("run 3", "run 1")
    file(host, ONE, CUSTOM_CFG).write_text(old)
    arm(host)
    assert file(host, ONE, CUSTOM_CFG).read_text() == entries(host)[0].text
    undo(host)
    assert not file(host, ONE, CUSTOM_CFG).exists()


@pytest.mark.parametrize(
    ("path", "code"), [("grub/grub.cfg", "esp-no-custom"), ("initrd", "esp-no-image")]
)
def test_what_the_entry_rests_on_is_looked_at_first(host: EspHost, path: str, code: str) -> None:
    plan = planned(host)
    if path == "initrd":
        next(file(host, ONE, "").glob("initrd.img-*")).unlink()
    else:
        text = file(host, ONE, path).read_text()
        file(host, ONE, path).write_text(text.replace(CUSTOM, ""))
    with pytest.raises(ConflictError, match=code):
        Executor(host.machine).apply(plan.plan, "trial", plan.trial)
    assert not list(host.esps.rglob("custom.cfg"))


@pytest.mark.parametrize("path", [CUSTOM_CFG, NOTE, "hostpci/initrd.img-"])
def test_a_partition_that_forgets_is_found_out(
    host: EspHost, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Between writing and reading back lies an umount: there it loses a byte."""
    plan, run = planned(host, REFRESH), EspRunner.run

    def lossy(self: EspRunner, argv: list[str], **more: object) -> Completed:
        done = run(self, argv, **more)  # type: ignore[arg-type]
        if argv[0] == "umount":
            for each in self.esps.rglob("*"):
                if path in str(each) and each.is_file():
                    each.write_bytes(each.read_bytes()[1:])
        return done

    monkeypatch.setattr(EspRunner, "run", lossy)
    with pytest.raises(ConflictError, match="esp-not-kept"):
        Executor(host.machine).apply(plan.plan, "trial", plan.trial)


def test_the_known_good_boot_is_known_for_what_it_is() -> None:
    host = recorded()
    line = host.data["files"]["/proc/cmdline"].replace("=/vmlinuz", "=/hostpci/vmlinuz")
    facts = host.with_file("/proc/cmdline", f"{line.strip()} {ESCAPE}\n").facts()
    assert facts.loader.loader == "grub-on-esp"
    assert facts.loader.doubt == ""


def test_nothing_of_a_trial_lies_outside_of_its_files(host: EspHost) -> None:
    paths = {step.path for step in planned(host).plan.steps if isinstance(step, FileStep)}
    assert all(path.startswith("/etc/systemd/system/") for path in paths)
