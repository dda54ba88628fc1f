"""What a trial decides, whatever it sees: the table, and laws that hold for every sight."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostpci.facts.trial import read_trial_facts
from hostpci.host.capture import CaptureRoot
from hostpci.model.facts import Loader
from hostpci.model.grubcfg import sources_custom
from hostpci.model.journal import (
    Applied,
    Begin,
    Booted,
    Confirmed,
    Entry,
    GivenUp,
    History,
    Proved,
    Run,
    UndoIntent,
    Undone,
)
from hostpci.model.plan import CommandStep, CopyStep, FileStep, Plan
from hostpci.model.proof import Proofs
from hostpci.model.trial import By, Health, Reason, Trial, WatchdogFacts
from hostpci.planner.edits.grubmenu import (
    ENTRY_ID,
    ESCAPE,
    has_our_part,
    known_good,
    pending_block,
    with_entry,
)
from hostpci.planner.plan import rebuild_step
from hostpci.planner.trial import (
    GRUB_ENV,
    Action,
    Do,
    OpenTrial,
    Seen,
    TrialPlan,
    Wish,
    decide,
    open_trial,
    plan_trial,
    usable_watchdog,
)

from ..trials import GRUB_CONFIG, RELEASE, WORDS, trial_host

NOTHING = Plan(steps=())
BEFORE, NOW, EARLIER = "boot-0", "boot-1", "boot-x"


def begin(trial: Trial | None = None) -> Begin:
    verb = "trial" if trial else "apply"
    return Begin(verb=verb, version="0", started="", boot_id=BEFORE, plan=NOTHING, trial=trial)


def run_of(number: int, *entries: Entry, trial: Trial | None = None) -> Run:
    return Run(number=number, entries=(begin(trial), *entries))


def confirmed(by: By = By.PERSON) -> Confirmed:
    return Confirmed(at="", by=by)


def booted(boot_id: str) -> Booted:
    return Booted(boot_id=boot_id, at="")


WATCHED = run_of(3, Applied(finished=""))
CUT = run_of(3)
UNDONE = run_of(3, Applied(finished=""), UndoIntent(step=0), Undone(finished=""))
UNDOING = run_of(3, Applied(finished=""), UndoIntent(step=0))
PLAIN = Trial(within_s=600)
CHECKED = Trial(within_s=600, healthy=(Health.SSH,))
LOOK = Trial(within_s=None)
PROVED = Proved(boot_id=NOW, at="", proofs=Proofs(proofs=()))
GIVEN_UP = GivenUp(at="", reason=Reason.UNHEALTHY)


def trial_of(asked: Trial, watched: Run | None, *entries: Entry) -> OpenTrial:
    run = run_of(2, Applied(finished=""), *entries, trial=asked)
    return OpenTrial(run=run, watched=watched)


def seen(at_s: float = 10, boot_id: str = NOW, *words: str) -> Seen:
    return Seen(boot_id=boot_id, since_boot_s=at_s, words=words)


def back(reason: Reason, *details: str) -> Action:
    return Action(do=Do.TAKE_BACK, reason=reason, details=details, reboot=True)


LEAVE, CLEAR, WATCH = Action(do=Do.LEAVE), Action(do=Do.CLEAR), Action(do=Do.WATCH)

TABLE = [
    ("no trial", None, seen(), (), LEAVE),
    ("cut before what it is for", trial_of(PLAIN, None), seen(), (), CLEAR),
    ("the same, in the fallback", trial_of(PLAIN, None), seen(10, NOW, ESCAPE), (), CLEAR),
    ("undone by a person", trial_of(PLAIN, UNDONE), seen(), (), CLEAR),
    ("undone, menu not told", trial_of(PLAIN, UNDONE), seen(10, NOW, ESCAPE), (),
     Action(do=Do.CLEAR, reboot=True)),
    ("the boot of apply itself", trial_of(PLAIN, WATCHED), seen(9999, BEFORE), (), LEAVE),
    ("in time", trial_of(PLAIN, WATCHED), seen(599), (), WATCH),
    ("counted already", trial_of(PLAIN, WATCHED, booted(NOW)), seen(599), (), WATCH),
    ("over, no checks", trial_of(PLAIN, WATCHED), seen(600), (), back(Reason.NOT_CONFIRMED)),
    ("over, checks hold", trial_of(CHECKED, WATCHED), seen(600), (),
     Action(do=Do.CONFIRM, by=By.HEALTH)),
    ("over, checks fail", trial_of(CHECKED, WATCHED), seen(600), ("ssh: no",),
     back(Reason.UNHEALTHY, "ssh: no")),
    ("confirmed, not tidied", trial_of(PLAIN, WATCHED, confirmed()), seen(9999), (), CLEAR),
    ("confirmed, next boot", trial_of(PLAIN, WATCHED, booted(EARLIER), confirmed()), seen(), (),
     CLEAR),
    ("confirmed, fallback", trial_of(PLAIN, WATCHED, confirmed()), seen(10, NOW, ESCAPE), (),
     CLEAR),
    ("second boot", trial_of(PLAIN, WATCHED, booted(EARLIER)), seen(), (),
     back(Reason.SECOND_BOOT)),
    ("fallback", trial_of(PLAIN, WATCHED), seen(10, NOW, ESCAPE), (), back(Reason.KNOWN_GOOD)),
    ("apply was cut", trial_of(PLAIN, CUT), seen(), (), back(Reason.CUT_OFF)),
    ("undo was cut", trial_of(PLAIN, UNDOING), seen(), (), back(Reason.CUT_OFF)),
    ("its own undo was cut", trial_of(PLAIN, UNDOING, booted(EARLIER), GIVEN_UP), seen(), (),
     back(Reason.UNHEALTHY)),
    ("only a look", trial_of(LOOK, WATCHED), seen(9), (), WATCH),
    ("a look, second boot", trial_of(LOOK, WATCHED, booted(EARLIER)), seen(9), (), WATCH),
    ("a look, fallback", trial_of(LOOK, WATCHED), seen(9, NOW, ESCAPE), (), WATCH),
    ("a look that is done", trial_of(LOOK, WATCHED, PROVED), seen(9), (),
     Action(do=Do.CONFIRM, by=By.PROOF)),
    ("a look that never comes", trial_of(LOOK, WATCHED), seen(1800), (),
     Action(do=Do.CONFIRM, by=By.PROOF)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("trial", "sight", "failing", "expected"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_the_table(
    trial: OpenTrial | None, sight: Seen, failing: tuple[str, ...], expected: Action
) -> None:
    assert decide(trial, sight, lambda _: failing) == expected


ENTRIES = st.lists(
    st.sampled_from([booted(NOW), booted(EARLIER), confirmed(), GIVEN_UP, PROVED]), max_size=4
)
TRIALS = st.builds(
    lambda asked, watched, entries: trial_of(asked, watched, *entries),
    st.sampled_from([PLAIN, CHECKED, LOOK]),
    st.sampled_from([WATCHED, CUT, UNDOING, UNDONE, None]),
    ENTRIES,
)
SIGHTS = st.builds(
    lambda at_s, boot_id, words: seen(at_s, boot_id, *words),
    st.integers(0, 5000),
    st.sampled_from([BEFORE, NOW]),
    st.sampled_from([(), (ESCAPE,)]),
)
FAILING = st.sampled_from([(), ("ssh: no",)])


@given(trial=TRIALS, sight=SIGHTS, failing=FAILING)
def test_what_was_confirmed_is_never_taken_back(
    trial: OpenTrial, sight: Seen, failing: tuple[str, ...]
) -> None:
    if trial.confirmed or trial.asked.within_s is None:
        assert decide(trial, sight, lambda _: failing).do is not Do.TAKE_BACK


@given(trial=TRIALS, sight=SIGHTS, failing=FAILING)
def test_once_given_up_it_is_never_confirmed_by_itself(
    trial: OpenTrial, sight: Seen, failing: tuple[str, ...]
) -> None:
    if trial.given_up and trial.asked.within_s is not None:
        assert decide(trial, sight, lambda _: failing).do is not Do.CONFIRM


@given(trial=TRIALS, sight=SIGHTS, failing=FAILING)
def test_no_trial_is_watched_past_its_time(
    trial: OpenTrial, sight: Seen, failing: tuple[str, ...]
) -> None:
    if sight.since_boot_s >= (trial.asked.within_s or 1800):
        assert decide(trial, sight, lambda _: failing).do is not Do.WATCH


@given(trial=TRIALS, sight=SIGHTS, failing=FAILING)
def test_nothing_is_done_in_the_boot_that_applied(
    trial: OpenTrial, sight: Seen, failing: tuple[str, ...]
) -> None:
    action = decide(trial, dataclasses.replace(sight, boot_id=BEFORE), lambda _: failing)
    assert action.do in (Do.LEAVE, Do.CLEAR)


@given(trial=TRIALS, sight=SIGHTS)
def test_health_is_asked_only_when_it_decides(trial: OpenTrial, sight: Seen) -> None:
    asked: list[tuple[Health, ...]] = []

    def ask(wanted: tuple[Health, ...]) -> tuple[str, ...]:
        asked.append(wanted)
        return ()

    action = decide(trial, sight, ask)
    assert len(asked) <= 1
    assert bool(asked) == (action == Action(do=Do.CONFIRM, by=By.HEALTH))


def test_the_open_trial_is_the_newest_that_is_not_undone() -> None:
    first = run_of(1, Applied(finished=""), Undone(finished=""), trial=PLAIN)
    trial = run_of(2, Applied(finished=""), trial=PLAIN)
    assert open_trial(History(runs=(first,))) is None
    assert open_trial(History(runs=(first, trial))) == OpenTrial(run=trial, watched=None)
    later = run_of(4, Applied(finished=""))
    found = open_trial(History(runs=(first, trial, WATCHED, later)))
    assert found == OpenTrial(run=trial, watched=WATCHED)


# the menu entry


def test_the_known_good_entry_is_todays_entry_with_the_escape_word() -> None:
    entry = known_good(GRUB_CONFIG, WORDS, RELEASE, title="Known good", initrds={})
    assert entry is not None
    lines = [line.strip() for line in entry.splitlines()]
    head = f"menuentry 'Known good' --class gnu-linux --class os --id {ENTRY_ID} {{"
    assert lines[0] == head
    assert lines[-1] == "}"
    assert f"linux\t/boot/vmlinuz-{RELEASE} {' '.join(WORDS)} {ESCAPE}" in lines
    assert f"initrd /boot/initrd.img-{RELEASE}" in lines
    assert "search --no-floppy --fs-uuid --set=root 00000000-0000-0000-0000-000000000001" in lines


def test_the_entry_that_runs_now_goes_before_others_of_its_kernel() -> None:
    other = GRUB_CONFIG.replace("console=ttyS0 quiet", "console=ttyS0 intel_iommu=on", 1)
    both = other.replace("submenu 'Advanced", f"{entry_text(GRUB_CONFIG)}\nsubmenu 'Advanced", 1)
    entry = known_good(both, WORDS, RELEASE, title="x", initrds={})
    assert entry is not None
    assert "intel_iommu=on" not in entry
    alone = known_good(other, WORDS, RELEASE, title="x", initrds={})
    assert alone is not None
    assert "intel_iommu=on" in alone


def entry_text(config: str) -> str:
    start = config.index("menuentry 'Debian GNU/Linux'")
    return config[start : config.index("}\n", start) + 2]


def test_without_an_entry_of_this_kernel_there_is_none() -> None:
    assert known_good(GRUB_CONFIG, WORDS, "6.8.12-9-pve", title="x", initrds={}) is None
    only_recovery = GRUB_CONFIG.replace(entry_text(GRUB_CONFIG), "")
    assert known_good(only_recovery, WORDS, RELEASE, title="x", initrds={}) is None


@pytest.mark.parametrize("directory", ["/boot", "", "/@/boot"])
def test_a_copied_image_lies_below_a_directory_beside_the_old_one(directory: str) -> None:
    name = f"initrd.img-{RELEASE}"
    config = GRUB_CONFIG.replace(f"initrd\t/boot/{name}", f"initrd\t/ucode.img {directory}/{name}")
    entry = known_good(config, WORDS, RELEASE, title="x", initrds={name: name})
    assert entry is not None
    assert f"initrd /ucode.img {directory}/hostpci/{name}" in entry.replace("\t", " ")


@pytest.mark.parametrize("has_word", [True, False])
def test_a_menu_with_passwords_stays_as_open_or_closed_as_it_is(*, has_word: bool) -> None:
    flag = " --unrestricted" if has_word else ""
    config = GRUB_CONFIG.replace("--class gnu-linux", f"--class gnu-linux{flag}")
    entry = known_good(config, WORDS, RELEASE, title="x", initrds={})
    assert entry is not None
    assert ("--unrestricted" in entry) is has_word


def test_custom_cfg_is_only_believed_in_where_grub_cfg_reads_it() -> None:
    assert sources_custom(GRUB_CONFIG)
    assert not sources_custom(GRUB_CONFIG.replace("custom.cfg", "other.cfg"))
    assert not sources_custom("# source $prefix/custom.cfg\n")


@given(theirs=st.one_of(st.none(), st.text("abc \n{}'\"", max_size=30)), one_shot=st.booleans())
def test_what_stands_in_custom_cfg_keeps_every_byte(theirs: str | None, *, one_shot: bool) -> None:
    text = with_entry(theirs, "menuentry 'x' {\n}\n", one_shot=one_shot)
    assert text.startswith(theirs or "")
    assert has_our_part(text)
    assert ("save_env" in text) is one_shot


def test_the_environment_block_has_grubs_own_size() -> None:
    block = pending_block()
    assert len(block.encode()) == 1024
    assert block.startswith("# GRUB Environment Block\nhostpci_trial=pending\n#")
    assert len(block.replace("pending", "started")) == 1024


# the plan of a trial


def planned(change: Plan = NOTHING, trial: Trial = PLAIN, **ground: str | None) -> TrialPlan:
    host = trial_host()
    facts = host.facts()
    found = read_trial_facts(CaptureRoot(host.data), Loader.GRUB)
    found = dataclasses.replace(found, **ground)  # type: ignore[arg-type]
    wish = Wish(trial=trial, command=("/usr/bin/tool",), language="en", run=3)
    return plan_trial(facts, found, change, wish)


def codes(plan: TrialPlan) -> list[str]:
    return [step.code for step in plan.plan.steps]


def notes(plan: TrialPlan) -> list[tuple[str, str]]:
    return [(note.code, note.outcome) for note in plan.plan.notes]


def test_a_trial_on_plain_grub_is_one_shot() -> None:
    plan = planned()
    assert codes(plan) == ["trial-unit", "trial-start", "trial-pending", "known-good-entry"]
    assert plan.trial.one_shot == "grub-env"
    assert notes(plan) == [("trial-one-shot", "holds"), ("trial-watchdog", "does-not-hold")]


def test_an_image_that_the_change_rebuilds_is_kept_first() -> None:
    plan = planned(Plan(steps=(rebuild_step(RELEASE),)))
    copy = next(step for step in plan.plan.steps if isinstance(step, CopyStep))
    assert copy.source == f"/boot/initrd.img-{RELEASE}"
    assert copy.path == f"/boot/hostpci/initrd.img-{RELEASE}"
    entry = plan.plan.steps[-1]
    assert isinstance(entry, FileStep)
    assert f"/boot/hostpci/initrd.img-{RELEASE}" in (entry.after or "")
    assert codes(plan).index("known-good-image") < codes(plan).index("known-good-entry")


def test_the_rebuild_of_another_kernel_needs_no_copy() -> None:
    assert "known-good-image" not in codes(planned(Plan(steps=(rebuild_step("6.8.12-9-pve"),))))
    assert "known-good-image" not in codes(
        planned(Plan(steps=(CommandStep(code="x", argv=("x",), touches=()),)))
    )


def test_where_grub_cannot_write_the_entry_is_there_and_the_one_shot_is_not() -> None:
    host = trial_host().with_file("/proc/self/mounts", "/dev/mapper/pve-root / ext4 rw 0 0\n")
    wish = Wish(trial=PLAIN, command=("x",), language="en", run=3)
    ground = read_trial_facts(CaptureRoot(host.data), Loader.GRUB)
    plan = plan_trial(host.facts(), ground, NOTHING, wish)
    assert codes(plan) == ["trial-unit", "trial-start", "known-good-entry"]
    assert plan.trial.one_shot == ""
    assert notes(plan)[0] == ("trial-not-one-shot", "does-not-hold")
    entry = plan.plan.steps[-1]
    assert isinstance(entry, FileStep)
    assert "save_env" not in (entry.after or "")


@pytest.mark.parametrize(
    "ground", [{"grub_config": None}, {"grub_config": "set default=0\n"}], ids=["other", "bare"]
)
def test_without_a_menu_of_ours_it_is_said_what_a_person_must_do(
    ground: dict[str, str | None],
) -> None:
    plan = planned(NOTHING, PLAIN, **ground)
    assert codes(plan) == ["trial-unit", "trial-start"]
    assert notes(plan)[0] == ("trial-no-entry", "does-not-hold")


def test_a_look_puts_nothing_into_the_menu() -> None:
    assert codes(planned(trial=LOOK)) == ["trial-unit", "trial-start"]


def test_the_file_that_grub_writes_is_the_only_one_not_held_against_us() -> None:
    rewritten = [
        step.path
        for step in planned().plan.steps
        if isinstance(step, FileStep) and step.host_rewrites
    ]
    assert rewritten == [GRUB_ENV]


DOG = WatchdogFacts(name="watchdog0", identity="i6300ESB", is_active=False, cannot_stop=False)


@pytest.mark.parametrize(
    ("dogs", "mux", "expected"),
    [
        ((), False, None),
        ((DOG,), False, DOG),
        ((DOG,), True, None),
        ((dataclasses.replace(DOG, is_active=True),), False, None),
        ((dataclasses.replace(DOG, cannot_stop=True),), False, None),
        ((dataclasses.replace(DOG, is_active=True), DOG), False, DOG),
    ],
)
def test_only_a_watchdog_that_is_free_and_can_be_let_go_of_is_taken(
    dogs: tuple[WatchdogFacts, ...],
    mux: bool,  # noqa: FBT001
    expected: WatchdogFacts | None,
) -> None:
    assert usable_watchdog(dogs, has_mux=mux) == expected


def test_a_watchdog_is_read_from_sysfs() -> None:
    host = trial_host()
    base = "/sys/class/watchdog/watchdog0"
    for name, text in {"identity": "i6300ESB timer", "state": "inactive", "nowayout": "0"}.items():
        host.with_file(f"{base}/{name}", f"{text}\n")
    host.data["directories"]["/sys/class/watchdog"] = ["watchdog0"]
    found = read_trial_facts(CaptureRoot(host.data), Loader.GRUB).watchdogs
    assert found == (dataclasses.replace(DOG, identity="i6300ESB timer"),)
