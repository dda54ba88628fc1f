"""The command line as a table: words in, exit code and first words out; nothing else changes."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from hostpci.cli.main import main
from hostpci.cli.options import VERBS
from hostpci.demo.scratch import fingerprint
from hostpci.host.files import HostFiles
from hostpci.i18n import Catalog
from hostpci.planner.edits.grub import drop_in

from ..hosts import AUDIO, GUIDE_HOST, VGA, RecordedHost

OURS = ("/var/lib/hostpci",)
RULE = "/etc/udev/rules.d/10-hostpci-0000-01-00.rules"
HOST = f"--host={GUIDE_HOST}"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    RecordedHost().tree(tmp_path / "root")
    return tmp_path / "root"


def call(*words: str) -> int:
    return main([*words, "--lang=en"])


# words, exit code, what stdout begins with, what stderr contains
TABLE = [
    (["scan", HOST], 0, "IOMMU group 0", ""),
    (["scan", HOST, "--full"], 0, "IOMMU group 0", ""),
    (["check", "01:00", HOST], 0, "= CHECKING 0000:01:00 =", ""),
    (["check", "0000:01:00.1", HOST], 0, "= CHECKING 0000:01:00 =", ""),
    (["check", "00:03", HOST], 3, "= CHECKING 0000:00:03 =", ""),
    (["plan", HOST], 0, "Nothing to change.", ""),
    (["history", HOST], 0, "No runs yet.", ""),
    (["verify", HOST], 2, "", "nothing is claimed"),
    (["check", "01:00.9", HOST], 2, "", "is no PCI address"),
    (["check", "bogus", HOST], 2, "", "is no PCI address"),
    (["check", "05:00", HOST], 2, "", "there is no device at 0000:05:00"),
    (["check", "00:08", HOST], 2, "", "is a bridge"),
    (["check", HOST], 2, "", "check needs an address"),
    (["check", "01:00", "--drift", HOST], 2, "", "takes no address"),
    (["check", "01:00", "--timer=on", HOST], 2, "", "belongs to check --drift"),
    (["check", "--drift", "--timer=on", HOST], 2, "", "on this host only"),
    (["check", "--drift", HOST], 3, "WARN: ", ""),
    (["scan", "--host=/nowhere"], 2, "", "cannot read /nowhere"),
    (["scan", "--root=/nowhere"], 2, "", "/nowhere is no directory"),
    (["scan", HOST, "--root=/"], 2, "", "exclude each other"),
    (["scan", "--hos", str(GUIDE_HOST)], 2, "", "unrecognized arguments"),
    (["options", HOST], 0, "= OPTIONS OF THE HOST =", ""),
    (["options", "01:00", HOST], 0, "= OPTIONS OF THE HOST =", ""),
    (["options", "bogus", HOST], 2, "", "is no PCI address"),
    (["set", "--dry-run"], 2, "", "required: NAME[=VALUE]"),
    (["set", "warp-drive", "--yes", "--root=/nowhere"], 2, "", "/nowhere is no directory"),
    (["conquer"], 2, "", "there is no verb 'conquer'"),
]


@pytest.mark.parametrize(("words", "code", "out", "err"), TABLE, ids=lambda value: str(value)[:40])
def test_the_table(
    words: list[str], code: int, out: str, err: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*words) == code
    captured = capsys.readouterr()
    assert captured.out.startswith(out)
    assert bool(captured.out) == bool(out)
    assert err in captured.err


JSON_TABLE = [
    (["scan", HOST], "hostpci.inventory/1"),
    (["check", "01:00", HOST], "hostpci.findings/1"),
    (["check", "--drift", HOST], "hostpci.drift/1"),
    (["options", HOST], "hostpci.options/1"),
    (["plan", HOST], "hostpci.plan/1"),
    (["history", HOST], "hostpci.history/1"),
    (["demo"], "hostpci.demo/1"),
    (["check", "bogus", HOST], "hostpci.error/1"),
    (["verify", HOST], "hostpci.error/1"),
]


@pytest.mark.parametrize(("words", "schema"), JSON_TABLE, ids=lambda value: str(value)[:40])
def test_json_is_the_only_thing_on_stdout(
    words: list[str], schema: str, capsys: pytest.CaptureFixture[str]
) -> None:
    call(*words, "--json")
    assert json.loads(capsys.readouterr().out)["schema"] == schema


def test_help_lists_every_verb_and_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all((f"  {verb.name} " in out) is not verb.internal for verb in VERBS)
    assert "  10  " in out


def test_no_words_at_all_is_a_usage_error_with_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage: hostpci VERB" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_every_verb_explains_itself(
    verb: str, language: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--help", "--lang", language]) == 0
    assert Catalog(language).text(f"verb.{verb}")[:20] in " ".join(capsys.readouterr().out.split())


def test_the_main_job_from_claim_to_undo(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = fingerprint(str(tree), OURS)
    root = f"--root={tree}"
    assert call("claim", "01:00", "--yes", root) == 0
    assert call("plan", root) == 4
    assert call("apply", "--yes", root) == 5
    assert call("plan", root) == 5
    assert "Nothing to change." in capsys.readouterr().out
    assert call("check", "01:00", root) == 0
    assert call("history", root) == 0
    assert call("undo", "--yes", root) == 0
    assert fingerprint(str(tree), OURS) == before
    assert call("undo", "--yes", root) == 0
    assert "Nothing to undo." in capsys.readouterr().err


def test_release_then_apply_removes_the_rule(tree: Path) -> None:
    root = f"--root={tree}"
    call("claim", "01:00", "--yes", root)
    call("apply", "--yes", root)
    before = fingerprint(str(tree), OURS)
    assert RULE in before
    assert call("release", "01:00", "--yes", root) == 0
    assert call("plan", root) == 4
    assert call("apply", "--yes", root) == 0
    assert not Path(f"{tree}{RULE}").exists()
    assert call("undo", "--last", "--yes", root) == 0
    assert call("undo", "--last", "--yes", root) == 0
    assert fingerprint(str(tree), OURS) == before


def boot_onto_vfio(tree: Path) -> None:
    """What the boot after an apply leaves in sysfs."""
    for address in (VGA, AUDIO):
        device = tree / f"sys/bus/pci/devices/{address}"
        (device / "driver").unlink(missing_ok=True)
        (device / "driver").symlink_to("../../../../bus/pci/drivers/vfio-pci")
        (device / "driver_override").write_text("vfio-pci\n")


@pytest.mark.parametrize("way_back", [["undo"], ["release", "01:00"]])
def test_what_vfio_still_holds_is_said_until_the_next_boot(
    way_back: list[str], tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = f"--root={tree}"
    call("claim", "01:00", "--yes", root)
    call("apply", "--yes", root)
    boot_onto_vfio(tree)
    assert call("plan", root) == 0
    code = call(*way_back, "--yes", root)
    if way_back[0] == "release":
        assert code == 0
        assert call("plan", root) == 4
        code = call("apply", "--yes", root)
    assert code == 5
    capsys.readouterr()
    assert call("plan", root) == 5
    assert f"One reboot is needed: {VGA}, {AUDIO}" in capsys.readouterr().out


def test_claiming_twice_changes_nothing(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = f"--root={tree}"
    call("claim", "01:00", "--yes", root)
    before = fingerprint(str(tree))
    assert call("claim", "01:00", "--yes", root) == 0
    assert fingerprint(str(tree)) == before
    assert "Nothing to change." in capsys.readouterr().out


def test_a_saved_plan_is_exactly_what_is_applied(tree: Path, tmp_path: Path) -> None:
    root, plan = f"--root={tree}", str(tmp_path / "plan.json")
    call("claim", "01:00", "--yes", root)
    assert call("plan", "-o", plan, root) == 4
    wanted = json.loads(Path(plan).read_text())["steps"][0]["after"]
    assert call("apply", plan, "--yes", root) == 5
    assert Path(f"{tree}{RULE}").read_text() == wanted


def test_a_stale_plan_is_refused_with_the_difference(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, plan = f"--root={tree}", str(tmp_path / "plan.json")
    call("claim", "01:00", "--yes", root)
    call("plan", "-o", plan, root)
    Path(f"{tree}{RULE}").write_text("# somebody was faster\n")
    before = fingerprint(str(tree), OURS)
    assert call("apply", plan, "--yes", root) == 7
    assert "somebody was faster" in capsys.readouterr().err
    assert fingerprint(str(tree), OURS) == before


@pytest.mark.parametrize("verb", ["apply", "claim 01:00", "release 01:00", "undo"])
def test_without_a_terminal_yes_must_be_said(
    verb: str, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = f"--root={tree}"
    call("claim", "01:00", "--yes", root)
    if verb == "claim 01:00":
        call("undo", "--yes", root)
    before = fingerprint(str(tree), OURS)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert call(*verb.split(), root) == 2
    assert fingerprint(str(tree), OURS) == before


@pytest.mark.parametrize("answer", ["", "n\n", "nein\n"])
def test_anything_but_yes_is_no(answer: str, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Person:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return answer

    monkeypatch.setattr("sys.stdin", Person())
    before = fingerprint(str(tree), OURS)
    assert call("claim", "01:00", f"--root={tree}") == 1
    assert fingerprint(str(tree), OURS) == before


def test_forget_removes_the_journal_only_when_everything_is_undone(tree: Path) -> None:
    root = f"--root={tree}"
    before = fingerprint(str(tree))
    call("claim", "01:00", "--yes", root)
    call("apply", "--yes", root)
    assert call("undo", "--last", "--forget", "--yes", root) == 2
    assert call("undo", "--forget", "--yes", root) == 0
    assert fingerprint(str(tree)) == before
    assert not Path(f"{tree}/var/lib/hostpci").exists()


def test_a_second_run_is_told_to_wait(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = f"--root={tree}"
    call("claim", "01:00", "--yes", root)
    with HostFiles(str(tree)).locked("/var/lib/hostpci") as got_it:
        assert got_it
        assert call("apply", "--yes", root) == 9
    assert "another hostpci is at work" in capsys.readouterr().err
    assert call("apply", "--yes", root) == 5


def test_binding_now_is_refused_off_the_running_host(tree: Path) -> None:
    root = f"--root={tree}"
    call("claim", "01:00", "--yes", root)
    assert call("apply", "--now", "--yes", root) == 6
    assert call("undo", "--yes", root) == 0


def _without_what_is_replaced(text: str) -> str:
    """Hashes of files and the identity of a boot are others in a capture."""
    return re.sub(
        r"[0-9a-f]{64}|(?<=hostpci-)[0-9a-f]{16}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        "#",
        text,
    )


def test_a_capture_answers_like_the_host_it_was_made_of(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, capture = f"--root={tree}", str(tmp_path / "host.json")
    call("claim", "01:00", "--yes", root)
    call("apply", "--yes", root)
    assert call("capture", "-o", capture, root) == 0
    capsys.readouterr()
    for words in (["scan"], ["check", "01:00"], ["plan"], ["history"], ["verify"]):
        codes, texts = [], []
        for where in (root, f"--host={capture}"):
            codes.append(call(*words, where, "--json"))
            texts.append(_without_what_is_replaced(capsys.readouterr().out))
        assert codes[0] == codes[1], words
        assert texts[0] == texts[1], words


def test_a_plan_that_binds_now_is_applied_only_when_now_is_said(tree: Path, tmp_path: Path) -> None:
    root, plan = f"--root={tree}", str(tmp_path / "plan.json")
    call("claim", "01:00", "--yes", root)
    call("plan", "--now", "-o", plan, root)
    before = fingerprint(str(tree), OURS)
    assert call("apply", plan, "--yes", root) == 2
    assert fingerprint(str(tree), OURS) == before


def test_an_interrupted_run_is_told_of_and_finished_only_when_asked(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, plan = f"--root={tree}", str(tmp_path / "plan.json")
    call("claim", "01:00", "--yes", root)
    call("plan", "-o", plan, root)
    call("apply", "--yes", root)
    journal = tree / "var/lib/hostpci/runs/0002.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]))
    Path(f"{tree}{RULE}").unlink()
    before = fingerprint(str(tree))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    for words, code in ((["plan"], 4), (["apply", "--dry-run"], 4), (["apply"], 2)):
        capsys.readouterr()
        assert call(*words, root) == code
        assert "Run 2" in capsys.readouterr().err
    assert call("apply", plan, "--yes", root) == 6
    assert call("claim", "01:00", "--yes", root) == 6
    assert fingerprint(str(tree)) == before


def test_undo_needs_no_claims_file_that_can_be_read(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = f"--root={tree}"
    call("claim", "01:00", "--yes", root)
    call("apply", "--yes", root)
    (tree / "etc/hostpci.toml").write_text("oops [")
    assert call("undo", "--yes", root) == 7
    assert call("undo", "--skip-changed", "--yes", root) == 0
    assert (
        "left as it is, changed since or needed by somebody: /etc/hostpci.toml"
        in capsys.readouterr().err
    )
    assert not Path(f"{tree}{RULE}").exists()


def test_a_refused_claim_leaves_nothing_behind(tree: Path) -> None:
    assert call("claim", "05:00", "--yes", f"--root={tree}") == 2
    assert not (tree / "var/lib/hostpci").exists()


def test_releasing_the_last_claim_takes_back_the_word_that_only_claims_needed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = tmp_path / "intel"
    host = RecordedHost().as_intel_default_off()
    host.with_file("/etc/default/grub.d/90-hostpci.cfg", drop_in(["intel_iommu=on"])).tree(tree)
    assert call("plan", f"--root={tree}") == 4
    out = capsys.readouterr().out
    assert "remove our kernel words again" in out
    assert "grub-mkconfig" in out


def test_a_knob_from_set_to_undo(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = fingerprint(str(tree), OURS)
    root = f"--root={tree}"
    assert call("set", "kvm-ignore-msrs", "--dry-run", root) == 0
    assert fingerprint(str(tree), OURS) == before
    assert call("set", "kvm-ignore-msrs", "--yes", root) == 0
    assert call("set", "kvm-ignore-msrs", "--yes", root) == 0
    assert "Nothing to change." in capsys.readouterr().out
    assert call("plan", root) == 4
    assert "+options kvm ignore_msrs=1" in capsys.readouterr().out
    assert call("apply", "--yes", root) == 5  # kvm is loaded without it
    changed = fingerprint(str(tree), OURS)
    new = {path for path in changed if path not in before}
    assert {path for path in new if path.startswith("/etc/")} >= {
        "/etc/hostpci.toml",
        "/etc/modprobe.d/hostpci.conf",
    }
    assert call("unset", "kvm-ignore-msrs", "--yes", root) == 0
    assert call("apply", "--yes", root) == 0
    assert fingerprint(str(tree), OURS) == before
    assert call("set", "kvm-ignore-msrs", "--yes", root) == 0
    assert call("undo", "--yes", root) == 0
    assert fingerprint(str(tree), OURS) == before


@pytest.mark.parametrize(
    ("words", "code", "err"),
    [
        (["set", "warp-drive"], 2, "there is no option 'warp-drive'"),
        (["set", "iommu-pt=1"], 2, "cannot have the value '1'"),
        (["set", "softdep"], 2, "is an option of a claim"),
        (["set", "softdep", "01:00"], 2, "0000:01:00 is not claimed"),
        (["set", "iommu-pt", "01:00"], 2, "acts on the whole host"),
        (["set", "unsafe-interrupts"], 3, "speak against unsafe-interrupts (knob-remapping-on)"),
        (["unset", "iommu-pt"], 2, "iommu-pt is not set in [host]"),
        (["set", "iommu-pt"], 2, "say --yes"),
    ],
)
def test_a_knob_that_cannot_be_turned_changes_nothing(
    tree: Path, words: list[str], code: int, err: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = fingerprint(str(tree), OURS)
    yes = [] if code == 2 and "yes" in err else ["--yes"]
    assert call(*words, *yes, f"--root={tree}") == code
    assert err in capsys.readouterr().err.replace("\n    ", " ")
    assert fingerprint(str(tree), OURS) == before


def test_what_a_guide_left_from_adopt_to_undo(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = tree / "etc/modprobe.d/kvm.conf"
    conf.write_text("options kvm ignore_msrs=1 report_ignored_msrs=0\n")
    before = fingerprint(str(tree), OURS)
    root = f"--root={tree}"
    assert call("adopt", "--remove", "--dry-run", root) == 0
    assert "-options kvm ignore_msrs=1 report_ignored_msrs=0" in capsys.readouterr().out
    assert fingerprint(str(tree), OURS) == before
    assert call("adopt", "kvm-ignore-msrs", "--yes", root) == 0
    assert conf.read_text() == "options kvm report_ignored_msrs=0\n"
    assert call("apply", "--yes", root) == 5  # kvm is loaded without it
    assert "ignore_msrs=1" in (tree / "etc/modprobe.d/hostpci.conf").read_text()
    assert call("adopt", "--remove", "--yes", root) == 0
    assert not conf.exists()
    assert call("history", root) == 0
    assert call("undo", "--yes", root) == 0
    assert fingerprint(str(tree), OURS) == before


@pytest.mark.parametrize(
    ("words", "code", "err"),
    [
        (["adopt", "--remove", "--yes"], 0, ""),
        (["adopt", "warp-drive", "--yes"], 2, "no setting 'warp-drive' was found"),
    ],
)
def test_adopting_what_is_not_there_changes_nothing(
    tree: Path, words: list[str], code: int, err: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = fingerprint(str(tree), OURS)
    assert call(*words, f"--root={tree}") == code
    assert err in capsys.readouterr().err
    assert fingerprint(str(tree), OURS) == before
