"""What a person gets to read: the dialect of pve8to9, diffs, and no control characters."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator

import pytest

from hostpci.checks.registry import run_checks
from hostpci.cli.context import Context, printable
from hostpci.errors import ConflictError, CorruptError
from hostpci.i18n import Catalog
from hostpci.model.finding import Finding, Findings, Level, Outcome
from hostpci.model.plan import BindStep, CommandStep, FileStep, Plan, Reboot
from hostpci.model.proof import Proof, ProofStep
from hostpci.planner.plan import make_plan
from hostpci.render.findings import render_finding, render_findings
from hostpci.render.plan import diff, render_plan, step_target
from hostpci.render.proof import render_proof
from hostpci.render.scan import render_inventory, size

from ..hosts import AUDIO, DEVICES, SLOT, VGA, RecordedHost
from .support import claimed, identity, with_class_device

EN, ZH = Catalog("en"), Catalog("zh_CN")
Lines = Iterator[tuple[str, str]]


def text(lines: Lines) -> str:
    return "\n".join(line for line, _ in lines)


def finding(outcome: Outcome, level: Level = Level.FAIL, *evidence: str) -> Finding:
    return Finding(code="reset", outcome=outcome, level=level, subject=VGA, evidence=evidence)


def scan_of(host: RecordedHost, *, full: bool = True) -> str:
    return text(render_inventory(host.facts().inventory, EN, full=full))


def check_of(host: RecordedHost, catalog: Catalog = EN) -> str:
    return text(render_findings(run_checks(host.facts(), SLOT), catalog))


def plan_of(host: RecordedHost) -> str:
    return text(render_plan(make_plan(host.facts()), EN))


# findings


@pytest.mark.parametrize("level", list(Level))
def test_a_finding_is_a_line_in_the_dialect_of_pve8to9(level: Level) -> None:
    first, *_ = render_finding(finding(Outcome.HOLDS, level, "flr", "", "bus"), EN)
    assert first == (f"{level.value}: {VGA}: can be reset  [flr; bus]", level)


def test_a_finding_without_subject_and_evidence_has_neither() -> None:
    about = Finding(code="escape-active", outcome=Outcome.DOES_NOT_HOLD, level=Level.NOTICE)
    first, remedy = (line for line, _ in render_finding(about, EN))
    assert first.startswith("NOTICE: hostpci=off is on the command line")
    assert not first.endswith("]")
    assert remedy == "      -> boot without the word to bind them again"


def test_only_what_does_not_hold_has_a_remedy() -> None:
    counts = {
        outcome: len(list(render_finding(Finding(
            code="cpu-virtualization", outcome=outcome, level=Level.WARN,
            params={"model": "m", "switch": "SVM"},
        ), EN)))
        for outcome in Outcome
    }  # fmt: skip
    assert counts == {Outcome.HOLDS: 1, Outcome.DOES_NOT_HOLD: 3, Outcome.NOT_MEASURED: 1}


def test_what_could_not_be_measured_says_so_and_not_that_it_failed(guide: RecordedHost) -> None:
    shown = check_of(guide.unreadable("/proc/cpuinfo"))
    (line,) = (each for each in shown.splitlines() if "processor" in each)
    assert line == "WARN: processor flags could not be read  [/proc/cpuinfo]"
    assert "SVM" not in shown


def test_the_summary_counts_every_finding_by_level(guide: RecordedHost) -> None:
    found = run_checks(guide.facts(), SLOT)
    lines = [line for line, _ in render_findings(found, EN)]
    start = lines.index("= SUMMARY =")
    counts = dict(line.split(":") for line in lines[start:] if ":" in line)
    assert {key: int(value) for key, value in counts.items()} == {
        "TOTAL": len(found.findings),
        **{level.value: sum(each.level is level for each in found.findings) for level in Level},
    }
    findings_shown = [line for line in lines[:start] if line.partition(":")[0] in set(Level)]
    assert len(findings_shown) == len(found.findings) + 1  # "PASS: none found" of the leftovers


def test_settings_of_guides_have_a_section_of_their_own(guide: RecordedHost) -> None:
    guide.with_file("/etc/modprobe.d/vfio.conf", "options vfio-pci ids=10de:2d04\n")
    before, _, after = check_of(guide).partition("= SETTINGS THAT GUIDES TELL PEOPLE TO MAKE =")
    assert "vfio.conf" not in before
    assert "NOTICE: /etc/modprobe.d/vfio.conf:1: ids=10de:2d04 binds by identity" in after
    assert "none found" not in after


def test_a_slot_without_findings_is_shown_without_any() -> None:
    shown = text(render_findings(Findings(slot=SLOT, findings=()), EN))
    assert "TOTAL:    0" in shown
    assert "FAIL:     0" in shown


def test_ids_on_the_command_line_are_named_once(guide: RecordedHost) -> None:
    shown = check_of(guide.with_command_line("vfio-pci.ids=10de:2d04"))
    assert "ids=vfio-pci.ids=" not in shown


@pytest.mark.parametrize("catalog", [EN, ZH], ids=["en", "zh_CN"])
def test_everything_can_be_shown_in_both_languages(guide: RecordedHost, catalog: Catalog) -> None:
    claimed(guide.with_twin()).with_command_line("hostpci=off", "amd_iommu=on")
    guide.with_identity(AUDIO, device="ffff").with_group("0000:00:04.0", 8)
    shown = check_of(guide, catalog)
    assert "0000:00:04.0" in shown
    assert "10de:ffff" in shown
    assert ("耗" in shown or "。" in shown or "，" in shown) == (catalog is ZH)
    assert text(render_inventory(guide.facts().inventory, catalog, full=True))
    assert text(render_plan(make_plan(guide.facts()), catalog))


# scan


def test_a_scan_shows_groups_drivers_uses_and_what_can_be_given_away(guide: RecordedHost) -> None:
    lines = scan_of(guide, full=False).splitlines()
    start = lines.index("IOMMU group 8")
    assert lines[start + 1].startswith("  0000:01:00.0  VGA compatible controller [0300]  NVIDIA")
    assert lines[start + 2] == "      driver none · could be nouveau · reset flr bus · D0"
    assert "IOMMU group 2  (the host needs something in here)" in lines
    assert "IOMMU group 7  (several slots" not in "\n".join(lines)
    assert "      disk vda (/)" in lines
    assert lines[-1] == f"{SLOT} can be given away: hostpci check {SLOT}"


def test_a_scan_without_iommu_shows_every_function(guide: RecordedHost) -> None:
    before = {line.split()[0] for line in scan_of(guide).splitlines() if line.startswith("  0000:")}
    shown = scan_of(guide.without_iommu())
    after = {line.split()[0] for line in shown.splitlines() if line.startswith("  0000:")}
    assert before == after
    assert f"{SLOT} has no IOMMU group" in shown


@pytest.mark.parametrize(
    ("address", "verdict"),
    [
        ("0000:00:1f.2", "shares its IOMMU group"),
        ("0000:00:04.0", "cannot be given away"),
        ("0000:00:08.0", "can be given away"),
    ],
)
def test_a_scan_says_what_stands_in_the_way_of_a_display(
    guide: RecordedHost, address: str, verdict: str
) -> None:
    assert f"{SLOT} {verdict}" in scan_of(guide.with_group(address, 8))


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0"),
        (128, "128"),
        (1024, "1K"),
        (16 << 20, "16M"),
        (256 << 20, "256M"),
        (32 << 30, "32G"),
        (1 << 50, "1024T"),
        (1536, "1536"),
        ((1 << 20) + 1024, "1025K"),
    ],
)
def test_a_size_is_shown_in_the_largest_unit_that_is_exact(count: int, shown: str) -> None:
    assert size(count) == shown


# plan


WRITE = FileStep(code="claim-write", path="/etc/x", before="a\nb\n", after="a\nc\n")
CREATE = FileStep(code="rule-write", path="/etc/x", before=None, after="a\n")
REMOVE = FileStep(code="rule-remove", path="/etc/x", before="a\n", after=None)
REBUILD = CommandStep(
    code="initramfs-rebuild", argv=("update-initramfs", "-u"), touches=("/a", "/b")
)
BIND = BindStep(
    code="bind-now", address=AUDIO, identity=identity("1:2:3:4"), from_driver="snd_hda_intel"
)


@pytest.mark.parametrize(
    ("step", "target", "shown"),
    [
        (WRITE, "/etc/x", ["--- /etc/x", "+++ /etc/x", "@@ -1,2 +1,2 @@", " a", "-b", "+c"]),
        (CREATE, "/etc/x", ["--- /dev/null", "+++ /etc/x", "@@ -0,0 +1 @@", "+a"]),
        (REMOVE, "/etc/x", ["--- /etc/x", "+++ /dev/null", "@@ -1 +0,0 @@", "-a"]),
        (REBUILD, "update-initramfs -u", ["~ /a", "~ /b"]),
        (BIND, AUDIO, ["~ snd_hda_intel -> vfio-pci"]),
    ],
    ids=["write", "create", "remove", "command", "bind"],
)
def test_a_step_shows_exactly_what_it_changes(
    step: FileStep | CommandStep | BindStep, target: str, shown: list[str]
) -> None:
    assert step_target(step) == target
    assert [line.rstrip() for line in diff(step)] == shown


def test_a_plan_numbers_its_steps_and_gives_reason_risk_and_undo() -> None:
    lines = [line for line, _ in render_plan(Plan(steps=(CREATE, REBUILD)), EN)]
    assert lines[0] == "1. write the udev rule of the claim: /etc/x"
    assert [line[:8] for line in lines[1:4]] == ["   why: ", "   risk:", "   undo:"]
    assert "   +a" in lines
    assert "2. rebuild one initramfs: update-initramfs -u" in lines
    assert lines[-1] == "No reboot is needed."


def test_a_plan_for_the_guides_host_shows_the_whole_file(guide: RecordedHost) -> None:
    plan = make_plan(claimed(guide).facts())
    (step,) = plan.steps
    assert isinstance(step, FileStep)
    shown = text(render_plan(plan, EN))
    for line in (step.after or "").splitlines():
        assert f"   +{line}" in shown
    assert f"One reboot is needed: {VGA}, {AUDIO}" in shown
    assert f"{SLOT} can also be bound now" in shown


def test_an_empty_plan_says_so() -> None:
    assert text(render_plan(Plan(steps=()), EN)) == "Nothing to change.\nNo reboot is needed."


def test_a_plan_that_waits_only_for_the_iommu_says_that() -> None:
    shown = text(render_plan(Plan(steps=(), reboot=Reboot.ONE), EN))
    assert "One reboot is needed: IOMMU" in shown


def test_a_refused_plan_shows_reasons_and_no_steps() -> None:
    plan = Plan(steps=(CREATE,), refusals=(finding(Outcome.DOES_NOT_HOLD),))
    lines = list(render_plan(plan, EN))
    assert lines[0] == ("Nothing can be planned, because:", "FAIL")
    assert lines[1][0].startswith(f"FAIL: {VGA}: offers no way to reset it")
    assert "/etc/x" not in text(iter(lines))


@pytest.mark.parametrize(("before", "after"), [("a\r\n", "a\n"), ("a", "a\n")])
def test_a_change_of_line_ends_only_is_shown_too(before: str, after: str) -> None:
    step = FileStep(code="claim-write", path="/etc/x", before=before, after=after)
    assert list(diff(step)) != []


# proof


def proof(outcome: Outcome, answer: str = "") -> Proof:
    step = ProofStep(code="vfio-group-open", subject="group 8", outcome=outcome, answer=answer)
    return Proof(slot=SLOT, steps=(step,))


@pytest.mark.parametrize(
    ("outcome", "answer", "line", "remedies", "proven"),
    [
        (Outcome.HOLDS, "ok", "PASS: group 8: the group can be opened  [ok]", 0, True),
        (
            Outcome.DOES_NOT_HOLD,
            "EBUSY",
            "FAIL: group 8: does not hold: the group can be opened  [EBUSY]",
            3,  # what mends it, the fault that it is, where the kernel's log is read
            False,
        ),
        (
            Outcome.NOT_MEASURED,
            "",
            "WARN: group 8: could not be measured: the group can be opened",
            0,
            False,
        ),
    ],
)
def test_a_proof_shows_question_answer_and_verdict(
    outcome: Outcome, answer: str, line: str, remedies: int, *, proven: bool
) -> None:
    lines = [each for each, _ in render_proof(proof(outcome, answer), EN)]
    assert line in lines
    assert sum(each.startswith("      -> ") for each in lines) == remedies
    assert ("is proven up to the IOMMU" in lines[-1]) is proven


def test_only_a_device_that_was_opened_is_proven_for_a_virtual_machine() -> None:
    steps = tuple(
        ProofStep(code=code, subject=VGA, outcome=Outcome.HOLDS)
        for code in ("vfio-set-iommu", "vfio-device-open")
    )
    lines = [each for each, _ in render_proof(Proof(slot=SLOT, steps=steps), EN)]
    assert "is proven: a virtual machine can have it" in lines[-1]


def test_a_proof_without_steps_proves_nothing() -> None:
    assert not Proof(slot=SLOT, steps=()).proven
    assert "is not proven" in text(render_proof(Proof(slot=SLOT, steps=()), EN))


# a capture that wants to drive the terminal

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\x00\x08\r\u202e\u2066\x7f\x85"


def evil_host(host: RecordedHost) -> RecordedHost:
    """Control characters wherever a capture can hold text."""
    data = host.data
    host.with_link(f"{DEVICES}/{VGA}/driver", f"../x{EVIL}")
    host.with_link(f"{DEVICES}/{AUDIO}/driver", "../snd_hda_intel")
    for name in ("power_state", "reset_method", "driver_override", "vendor", "current_link_speed"):
        data["files"][f"{DEVICES}/{VGA}/{name}"] = f"{EVIL}x\n"
    with_class_device(host, "drm", "card1", f"pci0000:00/0000:00:08.0/{VGA}/drm/card1")
    data["holders"] = {"/dev/dri/card1": [f"X{EVIL}[1]"], "/dev/snd/controlC1": [f"p{EVIL}[2]"]}
    data["files"]["/usr/share/misc/pci.ids"] = f"10de  N{EVIL}\n\t22eb  A{EVIL}\nC 03  D{EVIL}\n"
    data["files"]["/etc/os-release"] = f'PRETTY_NAME="Debian{EVIL}"\n'
    data["files"]["/proc/cpuinfo"] = f"vendor_id : AMD\nmodel name : C{EVIL}\nflags : fpu\n"
    host.with_command_line(f"pcie_acs_override=x{EVIL}", f"BOOT{EVIL}=1")
    host.with_file(f"/etc/modprobe.d/e{EVIL}.conf", f"options vfio-pci ids={EVIL}\n")
    host.with_file(f"/etc/driverctl.d/{EVIL}", f"{EVIL}\n")
    return host


def driving(shown: str) -> set[str]:
    """Characters that a terminal acts on."""
    return {char for char in shown if not char.isprintable() and char not in "\n\t"}


def test_control_characters_of_a_capture_never_reach_the_output(
    guide: RecordedHost, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = evil_host(guide).facts()
    context = Context(Namespace(json=False, host="x", root=None), EN)
    lines = [
        *render_inventory(facts.inventory, EN, full=True),
        *render_findings(run_checks(facts, SLOT), EN),
        *render_plan(make_plan(facts), EN),
    ]
    assert driving("".join(line for line, _ in lines)) >= {"\x1b", "\x9b", "\x00", "\x07"}
    for line, level in lines:
        context.out(line, level)
        context.say(line)
    captured = capsys.readouterr()
    assert driving(captured.out + captured.err) == set()
    assert "owned" in captured.out
    assert sys.stdout is not None


@pytest.mark.parametrize(
    ("given", "clean"),
    [
        ("plain text 中文 · ->", "plain text 中文 · ->"),
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b[31mred", "�[31mred"),
        ("\r\x08\x00\x7f", "����"),
        ("\x9b\x85", "��"),
        ("\u202ertl\u2069", "�rtl�"),
        ("\ud800", "�"),
        ("\u2028\u2029", "��"),
    ],
)
def test_only_what_is_printable_is_printed(given: str, clean: str) -> None:
    assert printable(given) == clean


def test_a_name_with_a_line_end_cannot_forge_a_line(
    guide: RecordedHost, capsys: pytest.CaptureFixture[str]
) -> None:
    guide.data["holders"] = {"/dev/snd/controlC1": ["x\nPASS: everything is fine\n[1]"]}
    context = Context(Namespace(json=False, host="x", root=None), EN)
    for line, level in render_findings(run_checks(guide.facts(), SLOT), EN):
        context.out(line, level)
    assert "PASS: everything is fine" not in capsys.readouterr().out.splitlines()


def test_no_line_can_be_forged_in_talk_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    context = Context(Namespace(json=False, host="x", root=None), EN)
    forged = "x\nhostpci: everything is fine"
    context.tell("scan.unmeasured", what=forged, why=forged)
    context.show_error(CorruptError("capture-corrupt", path=forged, reason=forged))
    shown = capsys.readouterr().err.splitlines()
    assert [line for line in shown if line.startswith("hostpci: everything")] == []
    assert "everything is fine" in "".join(shown)


def test_a_difference_in_an_error_keeps_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    context = Context(Namespace(json=False, host="x", root=None), EN)
    context.show_error(ConflictError("plan-stale", path="p", diff="--- saved\n+++ today\n-a"))
    shown = [line.strip() for line in capsys.readouterr().err.splitlines()]
    assert shown[1:4] == ["--- saved", "+++ today", "-a"]
