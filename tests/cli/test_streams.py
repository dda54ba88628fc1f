"""stdout and stderr as they may be: gone, full, closed; and one document per call."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from hostpci.cli.context import Context
from hostpci.cli.main import main
from hostpci.errors import CorruptError
from hostpci.host.root import TreeRoot
from hostpci.i18n import Catalog
from hostpci.planner import claim as planner_claim

from ..hosts import GUIDE_HOST, SLOT, RecordedHost

PROGRAM = str(Path(__file__).parents[2] / "hostpci")
HOST = f"--host={GUIDE_HOST}"
EN = Catalog("en")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    RecordedHost().with_only(SLOT).tree(tmp_path / "root")
    return tmp_path / "root"


class LostTerminal(io.StringIO):
    """What writing to a terminal says after its ssh session died."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")

    def flush(self) -> None:
        raise OSError(5, "Input/output error")


class GoneReader(io.StringIO):
    """A pipe whose reader went away."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def context_of(**words: object) -> Context:
    given: dict[str, object] = {"json": False, "host": "x", "root": None, **words}
    return Context(Namespace(**given), EN)


def in_shell(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``script``, where "$@" is hostpci with words."""
    argv = ["bash", "-c", script, "bash", "/usr/bin/python3", "-IS", PROGRAM, *words, "--lang=en"]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


# one log for both, as a unit of systemd has it


@pytest.mark.processes
def test_data_and_talk_come_in_the_order_in_which_they_were_said(tree: Path) -> None:
    both = in_shell('"$@" 2>&1', "claim", SLOT, "--root", str(tree), "--yes").stdout.splitlines()
    asked = next(at for at, line in enumerate(both) if line.startswith("1. "))
    carried_out = next(at for at, line in enumerate(both) if line.startswith("[1/1]"))
    assert asked < carried_out, both


# a terminal that is gone


def test_no_talk_and_no_counter_fails_on_a_terminal_that_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stderr", LostTerminal())
    context = context_of()
    context.tick("update-initramfs", 2.0)
    context._counter_shown = True
    context.say("on it goes")
    context.tell("undo.nothing")
    context._counter_shown = True
    context.out("data")
    context.show_error(CorruptError("journal-corrupt", path="p", reason="r"))


def test_closed_streams_are_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(f"sys.{name}", None)
    assert main(["scan", HOST, "--lang=en"]) == 0
    assert main(["scan", "--host=/nowhere", "--lang=en"]) == 2
    assert main(["conquer"]) == 2
    assert main(["check", HOST]) == 2
    assert main(["--help"]) == 0
    assert main(["scan", "--help"]) == 0
    assert main([]) == 2


def test_without_stderr_no_talk_gets_into_the_data(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr", None)
    assert main(["scan", "--host=/nowhere", "--json", "--lang=en"]) == 2
    assert json.loads(capsys.readouterr().out)["code"] == "no-such-file"


def test_without_stdin_nobody_can_be_asked(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert main(["claim", "01:00", f"--root={tree}"]) == 2


# a reader that went away, a disk that is full


@pytest.mark.parametrize("stream", [GoneReader, LostTerminal])
@pytest.mark.parametrize("words", [[], ["--json"]], ids=["text", "json"])
def test_a_lost_stdout_never_stops_what_writes(
    stream: type[io.StringIO], words: list[str], tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = f"--root={tree}"
    monkeypatch.setattr("sys.stdout", stream())
    assert main(["claim", "01:00", "--yes", root, *words]) == 0
    assert (tree / "etc/hostpci.toml").exists()
    assert main(["apply", "--yes", root, *words]) == 5
    assert (tree / "etc/udev/rules.d/10-hostpci-0000-01-00.rules").exists()
    assert main(["undo", "--yes", root, *words]) == 0
    assert not (tree / "etc/hostpci.toml").exists()


def test_the_code_of_a_verb_is_its_own_when_the_reader_went_away(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = f"--root={tree}"
    assert main(["claim", "01:00", "--yes", root]) == 0
    monkeypatch.setattr("sys.stdout", GoneReader())
    assert main(["plan", root]) == 4
    assert main(["scan", root, "--full"]) == 0


@pytest.mark.processes
@pytest.mark.parametrize("words", ["scan --full", "scan --json", "check 01:00", "plan", "history"])
def test_data_that_could_not_be_written_is_a_failure(words: str) -> None:
    done = in_shell('"$@" >/dev/full', *words.split(), HOST)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.processes
@pytest.mark.parametrize("words", ["--help", "--version", "scan --help"])
def test_help_that_could_not_be_written_is_a_failure(words: str) -> None:
    done = in_shell('"$@" >/dev/full', *words.split())
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.processes
def test_a_change_is_not_called_a_failure_because_its_text_was_lost(tree: Path) -> None:
    done = in_shell('"$@" >/dev/full', "claim", "01:00", "--yes", f"--root={tree}")
    assert done.returncode == 0, done.stderr
    assert "No space left on device" in done.stderr
    assert (tree / "etc/hostpci.toml").exists()


@pytest.mark.processes
@pytest.mark.parametrize(
    "script",
    [
        '"$@" >&-',
        '"$@" 2>&-',
        '"$@" <&- >&- 2>&-',
        '"$@" 2>/dev/full',
        '"$@" | true; exit ${PIPESTATUS[0]}',
        '"$@" 2> >(true)',
        '"$@" | head -1 >/dev/null; exit ${PIPESTATUS[0]}',
    ],
)
def test_a_shell_may_do_what_it_likes_with_our_streams(script: str) -> None:
    done = in_shell(script, "scan", "--full", HOST)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    wrong = in_shell(script, "check", "bogus", HOST)
    assert wrong.returncode == 2, wrong.stderr
    assert "Traceback" not in wrong.stderr


@pytest.mark.processes
def test_a_file_of_ours_never_takes_the_place_of_a_closed_stream(tree: Path) -> None:
    """Else what is said would go into it."""
    done = in_shell('"$@" <&- >&- 2>&-', "claim", "01:00", "--yes", f"--root={tree}")
    assert done.returncode == 0
    code = (
        "import os, sys; sys.path.insert(0, sys.argv.pop(1))\n"
        "from hostpci.cli import main\n"
        "main.main = lambda words: os.open('/dev/zero', os.O_RDONLY)\n"
        "sys.exit(main.entry())"
    )
    source = str(Path(PROGRAM).parent / "src")
    script = f'exec {sys.executable} -IS -c "$1" {source} <&- >&- 2>&-'
    opened = subprocess.run(["bash", "-c", script, "bash", code], check=False)
    assert opened.returncode > 2


# one document


@pytest.mark.parametrize(
    "words",
    [
        ["check", "--json"],
        ["scan", "--nonsense", "--json"],
        ["--json", "conquer"],
        ["conquer", "--json"],
        ["--json"],
    ],
    ids=" ".join,
)
def test_wrong_words_give_a_document_too(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert (found["schema"], found["exit"]) == ("hostpci.error/1", 2)
    assert found["message"]
    assert "hostpci" in captured.err


@pytest.mark.parametrize("words", [["check"], ["conquer"]])
def test_wrong_words_give_no_document_unasked(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert capsys.readouterr().out == ""


def test_an_error_takes_the_place_of_the_document_before_it(
    tree: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["claim", "01:00", "--json", f"--root={tree}"]) == 2
    assert json.loads(capsys.readouterr().out)["code"] == "needs-yes"


def test_a_change_is_one_document(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("claim", "release"):
        assert main([verb, "01:00", "--yes", "--json", f"--root={tree}"]) == 0
        assert json.loads(capsys.readouterr().out)["schema"] == "hostpci.plan/1"


def test_an_interrupt_is_one_document(
    tree: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(planner_claim, "run_checks", interrupted)
    assert main(["claim", "01:00", "--json", f"--root={tree}"]) == 130
    found = json.loads(capsys.readouterr().out)
    assert (found["code"], found["exit"]) == ("interrupted", 130)


def test_a_document_cannot_drive_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    context = context_of(json=True)
    context.json({"name": "a\u009bb\u202ec\x7f中"})
    assert context.finish(0) == 0
    out = capsys.readouterr().out
    assert out.isascii()
    assert all(char.isprintable() or char == "\n" for char in out)
    assert json.loads(out) == {"name": "a\u009bb\u202ec\x7f中"}


# what only root may read


@pytest.fixture
def locked_journal(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tree as a user without rights sees it once root has run hostpci."""
    assert main(["claim", "01:00", "--yes", f"--root={tree}"]) == 0
    honest = TreeRoot.list_directory

    def refused(self: TreeRoot, path: str) -> tuple[str, ...]:
        if path.startswith("/var/lib/hostpci"):
            raise PermissionError(13, "Permission denied", path)
        return honest(self, path)

    monkeypatch.setattr(TreeRoot, "list_directory", refused)
    return tree


@pytest.mark.parametrize("verb", ["history", "capture"])
def test_a_journal_of_root_is_no_damage(
    verb: str, locked_journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, f"--root={locked_journal}", "--lang=en"]) == 8
    assert "only root" in capsys.readouterr().err


def test_a_plan_needs_no_journal(locked_journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", f"--root={locked_journal}", "--lang=en"]) == 4
    captured = capsys.readouterr()
    assert "10-hostpci-0000-01-00.rules" in captured.out
    assert "could not be read: /var/lib/hostpci/runs" in captured.err


# a bridge in the claims file


def test_a_claim_of_what_is_a_bridge_now_is_a_finding_and_no_wrong_call(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["claim", "01:00", "--yes", f"--root={tree}"]) == 0
    (tree / f"sys/bus/pci/devices/{SLOT}.0/class").write_text("0x060400\n")
    capsys.readouterr()
    assert main(["plan", f"--root={tree}", "--lang=en"]) == 3
    assert "is a bridge now" in capsys.readouterr().out
    assert main(["check", "01:00", f"--root={tree}"]) == 3
    assert main(["release", "01:00", "--yes", f"--root={tree}"]) == 0


# a terminal that goes away while somebody is asked


@pytest.mark.parametrize(
    "error", [OSError(5, "Input/output error"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "")]
)
def test_no_answer_is_no(
    error: Exception,
    tree: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Gone:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            raise error

    monkeypatch.setattr("sys.stdin", Gone())
    assert main(["claim", "01:00", f"--root={tree}", "--lang=en"]) == 1
    assert "should not have happened" not in capsys.readouterr().err
    assert not (tree / "etc/hostpci.toml").exists()


# what is no file


@pytest.mark.processes
@pytest.mark.parametrize("words", [["scan", "--host={}"], ["apply", "{}", "--dry-run"]])
def test_a_pipe_given_as_a_file_is_an_error_and_no_wait(words: list[str], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    given = [each.format(tmp_path / "fifo") for each in words]
    done = in_shell('timeout 10 "$@"', *given)
    assert done.returncode == 2
    assert "no regular file" in done.stderr


@pytest.mark.processes
def test_a_pipe_in_a_tree_is_an_error_and_no_wait(tree: Path) -> None:
    os.mkfifo(tree / "etc/hostpci.toml")
    done = in_shell('timeout 10 "$@"', "plan", f"--root={tree}")
    assert done.returncode == 10
    assert "no regular file" in done.stderr


# a history of another version


def test_a_step_of_another_version_is_listed(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture = tmp_path / "capture.json"
    main(["claim", "01:00", "--yes", f"--root={tree}"])
    assert main(["capture", "-o", str(capture), f"--root={tree}"]) == 0
    data = json.loads(capture.read_text())
    data["history"]["runs"][0]["entries"][0]["plan"]["steps"][0]["code"] = "of-the-future"
    capture.write_text(json.dumps(data))
    capsys.readouterr()
    assert main(["history", f"--host={capture}", "--lang=en"]) == 0
    assert "unknown to this version" in capsys.readouterr().out
