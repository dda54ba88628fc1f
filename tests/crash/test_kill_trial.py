"""SIGKILL at every moment of a trial: the next boots, or the next command, end it whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from hostpci.demo.scratch import fingerprint
from hostpci.planner.edits.grubmenu import ESCAPE
from hostpci.planner.trial import GRUB_ENV, UNIT

from ..trials import SECOND_BOOT, WORDS, Boot, boot, trial_host
from .dying import call_and_die, run_and_die
from .test_kill import copy, cuts, cuts_of, no_leftovers, whole

OURS = ("/var/lib/hostpci", "/run", "/proc")
TRIAL = ("apply", "--confirm-within", "10m")
CUSTOM = "/boot/grub/custom.cfg"
_NEVER = 10**9
_MANY_BOOTS = 5


@pytest.fixture(scope="module")
def claimed(disk: Path) -> Path:
    directory = disk / "trial-claimed"
    trial_host().tree(directory)
    whole(directory, "claim", "01:00")
    return directory


@pytest.fixture(scope="module")
def armed(claimed: Path, disk: Path) -> Path:
    directory = copy(claimed, disk / "trial-armed")
    whole(directory, *TRIAL)
    return directory


@pytest.fixture(scope="module")
def trying(armed: Path, disk: Path) -> Path:
    """In the trial boot: GRUB has noted it, and the watcher has begun."""
    directory = copy(armed, disk / "trial-trying")
    words = by_grub(directory)
    assert words == WORDS
    Boot(directory, SECOND_BOOT, words=words, until_s=10).watch()
    return directory


@pytest.fixture(scope="module")
def applied(claimed: Path, disk: Path) -> Path:
    directory = copy(claimed, disk / "trial-applied")
    whole(directory, "apply")
    return directory


def confirm(moment: int, tree: Path) -> int:
    return run_and_die(moment, ["confirm", "--root", str(tree)])


def by_grub(tree: Path) -> tuple[str, ...]:
    """What custom.cfg makes GRUB do: which words the next boot gets, and what is noted."""
    env, custom = Path(f"{tree}{GRUB_ENV}"), Path(f"{tree}{CUSTOM}")
    if not custom.exists() or not env.exists():
        return WORDS
    text = env.read_text()
    if "hostpci_trial=started" in text:
        return (*WORDS, ESCAPE)
    env.unlink()  # never written into: it may be shared with other trees
    env.write_text(text.replace("pending", "started"))
    return WORDS


def boot_until_quiet(tree: Path, first: int) -> None:
    """Boot again and again, as a host does that reboots itself, until one boot stays."""
    for number in range(first, first + _MANY_BOOTS):
        each = Boot(tree, f"boot-{number}", words=by_grub(tree))
        each.watch()
        if not each.rebooted:
            return
    pytest.fail("the host never comes to rest")


def end(tree: Path) -> dict[str, str]:
    """The tree without what a boot changes, after seeing that nothing half-done lies in it."""
    assert no_leftovers(tree) == []
    return fingerprint(str(tree), OURS)


def test_an_apply_on_trial_that_was_cut_is_taken_back_by_the_next_boots(
    claimed: Path, bench: Path
) -> None:
    wanted = fingerprint(str(claimed), OURS)
    for moment, tree in cuts(claimed, bench, *TRIAL):
        boot_until_quiet(tree, 2)
        left = fingerprint(str(tree), OURS)
        # A cut before the first entry may leave a temporary name in our own store, and no more
        assert {path for path in left if not path.endswith(".tmp")} == set(wanted), moment
        whole(tree, "undo", "--last")


def test_an_apply_on_trial_that_was_cut_is_finished_by_the_same_command(
    claimed: Path, armed: Path, bench: Path
) -> None:
    wanted, before = fingerprint(str(armed), OURS), fingerprint(str(claimed), OURS)
    for moment, tree in cuts(claimed, bench, *TRIAL):
        whole(tree, *TRIAL)
        assert titles_apart(end(tree)) == titles_apart(wanted), moment
        whole(tree, "undo", "--last")
        assert end(tree) == before, moment


def titles_apart(found: dict[str, str]) -> dict[str, str]:
    """The menu entry names its run, and a run that was cut has taken a number."""
    return {path: what for path, what in found.items() if path != CUSTOM}


def test_a_confirmation_that_was_cut_is_finished_by_saying_it_again(
    trying: Path, applied: Path, bench: Path
) -> None:
    wanted = fingerprint(str(applied), OURS)
    for moment, tree in cuts_of(trying, bench, confirm):
        assert confirm(_NEVER, tree) in (0, 2), moment
        assert end(tree) == wanted, moment


def test_a_confirmation_that_was_cut_stands_or_never_was(
    trying: Path, claimed: Path, applied: Path, bench: Path
) -> None:
    before, after = fingerprint(str(claimed), OURS), fingerprint(str(applied), OURS)
    outcomes = []
    for moment, tree in cuts_of(trying, bench, confirm):
        boot_until_quiet(tree, 3)
        outcomes.append(fingerprint(str(tree), OURS))
        assert outcomes[-1] in (before, after), moment
    # Once it is on disk it stands: from there on every cut has the same end
    assert outcomes[0] == before
    assert outcomes[outcomes.index(after) :] == [after] * (len(outcomes) - outcomes.index(after))


def test_a_trial_that_was_cut_while_it_was_taken_back_is_taken_back_by_the_next_boots(
    trying: Path, claimed: Path, bench: Path
) -> None:
    wanted = fingerprint(str(claimed), OURS)

    def revert(moment: int, tree: Path) -> int:
        return call_and_die(moment, Boot(tree, SECOND_BOOT, at_s=1000.0).go_on)

    for moment, tree in cuts_of(trying, bench, revert):
        boot_until_quiet(tree, 3)
        assert end(tree) == wanted, moment


def test_the_last_boot_of_a_trial_can_be_cut_too(
    trying: Path, claimed: Path, bench: Path, disk: Path
) -> None:
    wanted = fingerprint(str(claimed), OURS)
    reverted = copy(trying, disk / "trial-reverted")
    assert Boot(reverted, SECOND_BOOT, at_s=1000.0).watch() == 0
    assert Path(f"{reverted}{UNIT}").exists()

    def last(moment: int, tree: Path) -> int:
        boot(tree, "boot-3")
        return call_and_die(moment, Boot(tree, "boot-3").go_on)

    for moment, tree in cuts_of(reverted, bench, last):
        boot_until_quiet(tree, 4)
        assert end(tree) == wanted, moment


def test_undo_ends_a_trial_that_was_cut_anywhere(claimed: Path, bench: Path) -> None:
    for moment, tree in cuts(claimed, bench, *TRIAL):
        boot(tree, SECOND_BOOT)
        whole(tree, "undo")
        left = end(tree)
        assert "/etc/hostpci.toml" not in left, moment
        assert not any("hostpci" in path for path in left), moment
