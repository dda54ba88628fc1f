"""A trial from apply to its end, on a tree, with the boots played by a clock that is turned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hostpci.cli.main import main
from hostpci.demo.scratch import fingerprint
from hostpci.executor.journal import read_history
from hostpci.executor.tool import TOOL
from hostpci.executor.trial import LOGIN_MESSAGE
from hostpci.host.files import HostFiles
from hostpci.host.root import TreeRoot
from hostpci.model.journal import GivenUp
from hostpci.model.proof import Proofs
from hostpci.model.trial import Reason
from hostpci.planner.edits.grubmenu import ESCAPE
from hostpci.planner.trial import GRUB_ENV, UNIT, UNIT_START

from ..trials import FIRST_BOOT, FOURTH_BOOT, SECOND_BOOT, THIRD_BOOT, WORDS, Boot, boot, trial_host

RULE = "/etc/udev/rules.d/10-hostpci-0000-01-00.rules"
CUSTOM = "/boot/grub/custom.cfg"
# our journal, what a boot clears, and what a boot changes
OURS = ("/var/lib/hostpci", "/run", "/proc")
TRIAL = ("apply", "--confirm-within", "10m", "--yes")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    trial_host().tree(tmp_path / "root")
    call(tmp_path / "root", "claim", "01:00", "--yes")
    return tmp_path / "root"


def call(tree: Path, *words: str) -> int:
    return main([*words, f"--root={tree}", "--lang=en"])


def is_there(tree: Path, path: str) -> bool:
    return Path(f"{tree}{path}").exists()


def message(tree: Path) -> str:
    return Path(f"{tree}{LOGIN_MESSAGE}").read_text()


def reasons(tree: Path) -> list[Reason]:
    runs = read_history(TreeRoot(str(tree))).runs
    return [each.reason for run in runs for each in run.entries if isinstance(each, GivenUp)]


def test_a_trial_puts_its_own_parts_there_before_the_change(tree: Path) -> None:
    assert call(tree, *TRIAL) == 5
    assert all(is_there(tree, path) for path in (UNIT, UNIT_START, CUSTOM, GRUB_ENV, RULE, TOOL))
    runs = read_history(TreeRoot(str(tree))).runs
    assert [run.begin.verb for run in runs] == ["claim", "trial", "apply"]
    assert f"{TOOL} trial-watch" in Path(f"{tree}{UNIT}").read_text()


def test_confirm_keeps_the_change_and_removes_what_watched(tree: Path) -> None:
    before = fingerprint(str(tree), OURS)
    call(tree, *TRIAL)
    boot(tree, SECOND_BOOT)
    assert call(tree, "confirm") == 0
    after = fingerprint(str(tree), OURS)
    assert set(after) - set(before) == {RULE}
    assert not is_there(tree, TOOL)
    assert Boot(tree, SECOND_BOOT).watch() == 0
    assert call(tree, "undo", "--last", "--yes") == 0
    assert fingerprint(str(tree), OURS) == before


def test_without_a_word_everything_is_taken_back(tree: Path) -> None:
    before = fingerprint(str(tree), OURS)
    call(tree, *TRIAL)
    trial = Boot(tree, SECOND_BOOT)
    assert trial.watch() == 0
    assert trial.rebooted
    assert 600 <= trial.at_s < 620
    assert reasons(tree) == [Reason.NOT_CONFIRMED]
    assert not is_there(tree, RULE)
    assert not is_there(tree, GRUB_ENV), "GRUB must boot its own default again"
    assert is_there(tree, UNIT), "until the host has come up again somebody has to watch"
    last = Boot(tree, THIRD_BOOT)
    assert last.watch() == 0
    assert not last.rebooted
    assert "Run 3 was taken back: nobody confirmed it in time." in message(tree)
    assert fingerprint(str(tree), OURS) == before
    assert not is_there(tree, TOOL)


@pytest.mark.parametrize("failing", [(), ("default-route: no default route",)])
def test_health_is_asked_once_the_time_is_over(tree: Path, failing: tuple[str, ...]) -> None:
    call(tree, *TRIAL)
    trial = Boot(tree, SECOND_BOOT, failing=failing)
    assert trial.watch() == 0
    assert trial.rebooted, "no checks were asked for, so nobody has confirmed"
    assert trial.asked == []


def healthy(tree: Path) -> None:
    """sshd listens, as /proc/net/tcp tells it."""
    net = Path(f"{tree}/proc/net")
    net.mkdir(parents=True, exist_ok=True)
    (net / "tcp").write_text("  sl\n   0: 00000000:0016 00000000:0000 0A 0 0 0\n")


@pytest.mark.parametrize("failing", [(), ("ssh: port 22",)], ids=["holds", "fails"])
def test_the_checks_that_were_chosen_confirm_or_take_back(
    tree: Path, failing: tuple[str, ...]
) -> None:
    rebooted = bool(failing)
    healthy(tree)
    assert call(tree, *TRIAL, "--healthy", "ssh") == 5
    trial = Boot(tree, SECOND_BOOT, failing=failing)
    assert trial.watch() == 0
    assert trial.rebooted is rebooted
    assert trial.asked
    assert is_there(tree, RULE) is not rebooted
    assert is_there(tree, UNIT) is rebooted
    assert reasons(tree) == ([Reason.UNHEALTHY] if rebooted else [])


def test_a_check_that_does_not_hold_today_is_refused(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = fingerprint(str(tree), ("/proc",))
    assert call(tree, *TRIAL, "--healthy", "ssh") == 3
    assert "could not be measured today" in capsys.readouterr().err
    healthy(tree)
    assert call(tree, *TRIAL, "--healthy", "pveproxy") == 3
    assert "does not hold today (port 8006)" in capsys.readouterr().err
    assert fingerprint(str(tree), ("/proc",)) == before


def test_a_second_boot_without_a_word_takes_back_at_once(tree: Path) -> None:
    call(tree, *TRIAL)
    hung = Boot(tree, SECOND_BOOT, until_s=20)
    hung.watch()
    assert not hung.rebooted
    again = Boot(tree, THIRD_BOOT)
    again.watch()
    assert again.rebooted
    assert again.at_s == 5.0, "it did not wait"
    assert reasons(tree) == [Reason.SECOND_BOOT]
    assert not is_there(tree, RULE)


def test_the_known_good_entry_takes_back_at_once(tree: Path) -> None:
    before = fingerprint(str(tree), OURS)
    call(tree, *TRIAL)
    fallback = Boot(tree, SECOND_BOOT, words=(*WORDS, ESCAPE))
    fallback.watch()
    assert fallback.rebooted
    assert reasons(tree) == [Reason.KNOWN_GOOD]
    Boot(tree, THIRD_BOOT).watch()
    assert fingerprint(str(tree), OURS) == before


def test_a_cut_after_the_undo_but_before_the_menu_is_told_does_not_loop(tree: Path) -> None:
    call(tree, *TRIAL)
    env = Path(f"{tree}{GRUB_ENV}").read_bytes()
    Boot(tree, SECOND_BOOT, words=(*WORDS, ESCAPE)).watch()
    Path(f"{tree}{GRUB_ENV}").write_bytes(env.replace(b"pending", b"started"))
    fallback = Boot(tree, THIRD_BOOT, words=(*WORDS, ESCAPE))
    fallback.watch()
    assert fallback.rebooted
    assert not is_there(tree, CUSTOM)
    last = Boot(tree, FOURTH_BOOT)
    last.watch()
    assert not last.rebooted


def test_what_grub_notes_in_its_file_is_not_in_the_way_of_an_undo(tree: Path) -> None:
    before = fingerprint(str(tree), OURS)
    call(tree, *TRIAL)
    env = Path(f"{tree}{GRUB_ENV}")
    text = env.read_text()
    assert len(text) == 1024
    env.write_text(text.replace("pending", "started"))
    boot(tree, SECOND_BOOT)
    assert call(tree, "undo", "--last", "--yes") == 0
    assert fingerprint(str(tree), OURS) == before
    assert Boot(tree, SECOND_BOOT).watch() == 0
    assert not is_there(tree, TOOL)


def test_undo_before_the_reboot_disarms(tree: Path) -> None:
    call(tree, *TRIAL)
    assert call(tree, "undo", "--yes") == 0
    assert not is_there(tree, UNIT)
    next_boot = Boot(tree, SECOND_BOOT)
    assert next_boot.watch() == 0
    assert not next_boot.rebooted


def test_undo_during_the_trial_is_not_undone_again(tree: Path) -> None:
    call(tree, *TRIAL)
    trial = Boot(tree, SECOND_BOOT)
    trial.before_wait = lambda: call(tree, "undo", "--yes")
    assert trial.watch() == 0
    assert not trial.rebooted


def test_confirm_during_the_watch_ends_it(tree: Path) -> None:
    call(tree, *TRIAL)
    trial = Boot(tree, SECOND_BOOT)
    trial.before_wait = lambda: call(tree, "confirm")
    assert trial.watch() == 0
    assert not trial.rebooted
    assert is_there(tree, RULE)


def test_one_trial_at_a_time(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(tree, *TRIAL)
    call(tree, "release", "01:00", "--yes")
    capsys.readouterr()
    assert call(tree, "apply", "--yes") == 7
    assert "run 3 is still on trial" in capsys.readouterr().err
    boot(tree, SECOND_BOOT)
    assert call(tree, "confirm") == 0
    assert call(tree, "apply", "--yes") == 0


CONFIRM_ERRORS = [
    ([], FIRST_BOOT, 2, "nothing is on trial"),
    ([TRIAL], FIRST_BOOT, 7, "has not come yet"),
    ([("apply", "--yes")], SECOND_BOOT, 2, "nothing is on trial"),
    ([("apply", "--yes", "--resume")], SECOND_BOOT, 2, "nothing is on trial"),
]


@pytest.mark.parametrize(("first", "boot_id", "code", "text"), CONFIRM_ERRORS)
def test_confirm_says_when_there_is_nothing_to_confirm(
    tree: Path,
    capsys: pytest.CaptureFixture[str],
    first: list[tuple[str, ...]],
    boot_id: str,
    code: int,
    text: str,
) -> None:
    for words in first:
        call(tree, *words)
    boot(tree, boot_id)
    before = fingerprint(str(tree))
    assert call(tree, "confirm") == code
    assert text in capsys.readouterr().err
    assert fingerprint(str(tree)) == before


def test_confirm_comes_too_late_once_it_is_being_taken_back(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(tree, *TRIAL)
    Boot(tree, SECOND_BOOT).watch()
    assert call(tree, "confirm") == 7
    assert "being taken back already" in capsys.readouterr().err


WRONG_WORDS = [
    (["--confirm-within", "10"], "is no time between"),
    (["--confirm-within", "5s"], "is no time between"),
    (["--confirm-within", "25h"], "is no time between"),
    (["--confirm-within", "-5m"], "expected one argument"),
    (["--confirm-within", "10m", "--healthy", "ssh,dns"], "no health check 'dns'"),
    (["--healthy", "ssh"], "--healthy needs --confirm-within"),
]


@pytest.mark.parametrize(("words", "text"), WRONG_WORDS)
def test_wrong_words_change_nothing(
    tree: Path, words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = fingerprint(str(tree))
    assert call(tree, "apply", "--yes", *words) == 2
    assert text in capsys.readouterr().err
    assert fingerprint(str(tree)) == before


def test_a_host_without_systemd_is_refused(tmp_path: Path) -> None:
    tree = tmp_path / "root"
    trial_host().without("/usr/lib/systemd/systemd").tree(tree)
    call(tree, "claim", "01:00", "--yes")
    before = fingerprint(str(tree))
    assert call(tree, *TRIAL) == 3
    assert fingerprint(str(tree)) == before


def test_a_dry_run_shows_the_trial_and_writes_nothing(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = fingerprint(str(tree))
    assert call(tree, "apply", "--confirm-within", "10m", "--dry-run") == 4
    out = capsys.readouterr().out
    assert UNIT in out
    assert "comes up in the known good entry" in out
    assert "needs its reset button" in out
    assert fingerprint(str(tree)) == before


def test_resume_looks_tells_and_goes(tree: Path) -> None:
    before = fingerprint(str(tree), OURS)
    assert call(tree, "apply", "--resume", "--yes") == 5
    assert not is_there(tree, CUSTOM)
    after = Boot(tree, SECOND_BOOT, proofs=Proofs(proofs=()))
    assert after.watch() == 0
    assert not after.rebooted
    assert set(fingerprint(str(tree), OURS)) - set(before) == {RULE}
    assert "Not every claim is proven" in message(tree)


def test_a_plain_apply_adds_one_file_and_no_watcher(tree: Path) -> None:
    before = fingerprint(str(tree), OURS)
    call(tree, "apply", "--yes")
    assert set(fingerprint(str(tree), OURS)) - set(before) == {RULE}
    assert not is_there(tree, TOOL)


def test_the_administrators_custom_cfg_is_kept_byte_for_byte(tmp_path: Path) -> None:
    tree = tmp_path / "root"
    theirs = "menuentry 'memtest' {\n}"
    trial_host().with_file(CUSTOM, theirs).tree(tree)
    call(tree, "claim", "01:00", "--yes")
    call(tree, *TRIAL)
    assert Path(f"{tree}{CUSTOM}").read_text().startswith(f"{theirs}\n### BEGIN hostpci")
    boot(tree, SECOND_BOOT)
    call(tree, "confirm")
    assert Path(f"{tree}{CUSTOM}").read_text() == theirs


def test_history_tells_the_course(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(tree, *TRIAL)
    Boot(tree, SECOND_BOOT).watch()
    Boot(tree, THIRD_BOOT).watch()
    capsys.readouterr()
    assert call(tree, "history") == 0
    out = capsys.readouterr().out
    assert out.count("a boot began") == 2
    assert "taken back: nobody confirmed it in time" in out


def test_confirm_prints_one_json_document(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(tree, *TRIAL)
    boot(tree, SECOND_BOOT)
    capsys.readouterr()
    assert call(tree, "confirm", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "hostpci.run/1"
    assert document["entries"][-1]["kind"] == "undone"


def test_a_lock_that_nobody_lets_go_of_is_left_to_the_next_boot(tree: Path) -> None:
    call(tree, *TRIAL)
    Boot(tree, SECOND_BOOT, until_s=10).watch()
    with HostFiles(str(tree)).locked("/var/lib/hostpci"):
        trial = Boot(tree, SECOND_BOOT)
        assert trial.watch() == 9
    assert trial.rebooted
    assert is_there(tree, RULE)
    assert trial.at_s > 700
    after = Boot(tree, THIRD_BOOT)
    after.watch()
    assert reasons(tree) == [Reason.SECOND_BOOT]


def test_the_watcher_watches_only_the_running_host(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(tree, "trial-watch") == 2
    assert "only be watched on the running host" in capsys.readouterr().err
