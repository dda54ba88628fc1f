"""The one door for processes: real programs, a clean environment, a limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from hostpci.cli.context import ReadingRunner
from hostpci.errors import EnvironmentFault
from hostpci.host.runner import RealRunner, RefusingRunner, Runner

pytestmark = pytest.mark.processes


def test_a_program_sees_a_clean_environment_and_no_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "/evil.so")
    monkeypatch.setenv("PATH", "/evil")
    out = RealRunner().run(["sh", "-c", "env; cat"], timeout_s=30).stdout
    assert "evil" not in out
    assert "LC_ALL=C.UTF-8" in out


def test_stdout_goes_through_the_filter() -> None:
    out = RealRunner().run(
        ["printf", "a\\nb\\n"], timeout_s=30, keep=lambda lines: [x for x in lines if x == "b"]
    )
    assert out.stdout == "b\n"


def test_what_is_not_kept_takes_no_memory_and_stops_nobody() -> None:
    out = RealRunner().run(["seq", "200000"], timeout_s=60, keep=lambda lines: [next(iter(lines))])
    assert out.stdout == "1\n"


def test_a_line_without_an_end_is_cut() -> None:
    longest: list[int] = []

    def keep(lines: Iterable[str]) -> list[str]:
        longest.append(max(map(len, lines)))
        return []

    RealRunner().run(["head", "-c", "1000000", "/dev/zero"], timeout_s=60, keep=keep)
    assert longest == [1 << 16]


def test_a_filter_that_fails_is_heard_of() -> None:
    nothing: dict[str, list[str]] = {}
    with pytest.raises(KeyError, match="filter"):
        RealRunner().run(["seq", "9"], timeout_s=30, keep=lambda _: nothing["filter"])


def test_a_filtered_program_that_does_not_end_is_ended() -> None:
    with pytest.raises(EnvironmentFault, match="command-timeout"):
        RealRunner().run(["sh", "-c", "echo a; sleep 60"], timeout_s=1, keep=list)


def test_a_failing_program_is_a_fault_with_its_last_words() -> None:
    with pytest.raises(EnvironmentFault, match="command-failed") as caught:
        RealRunner().run(["sh", "-c", "echo why >&2; exit 3"], timeout_s=30)
    assert caught.value.params["status"] == 3
    assert caught.value.params["reason"] == "why"


def test_a_missing_program_is_a_fault() -> None:
    with pytest.raises(EnvironmentFault, match="command-missing"):
        RealRunner().run(["no-such-program-at-all"], timeout_s=30)


def test_a_program_that_does_not_end_is_ended_with_its_children() -> None:
    ticks: list[float] = []
    runner = RealRunner(lambda _, elapsed_s: ticks.append(elapsed_s))
    with pytest.raises(EnvironmentFault, match="command-timeout"):
        runner.run(["sh", "-c", "sleep 60 & sleep 60"], timeout_s=1.5)
    assert ticks, "progress is reported while it runs"


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_a_program_that_not_even_sigkill_ends_is_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that waits for a dead disk or a suspended pool, in the kernel."""
    killed: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda group, _signal: killed.append(group))
    started = time.monotonic()
    with pytest.raises(EnvironmentFault, match="command-timeout"):
        RealRunner().run(["sleep", "60"], timeout_s=0.5)
    assert time.monotonic() - started < 30
    monkeypatch.undo()
    os.killpg(killed[0], signal.SIGKILL)


def test_an_interrupt_waits_for_the_program_to_end(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    # A test run in the background of a shell ignores SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    done = tmp_path / "done"
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        RealRunner().run(["sh", "-c", f"sleep 1.5; touch {done}"], timeout_s=30)
    assert done.exists()


def test_output_that_is_not_utf8_does_not_stop_us() -> None:
    assert RealRunner().run(["printf", "\\377"], timeout_s=30).stdout == "�"


@pytest.mark.parametrize("argv", [["update-initramfs", "-u"], ["modprobe", "vfio-pci"], ["sh"]])
def test_facts_are_collected_with_programs_that_only_look(argv: list[str]) -> None:
    with pytest.raises(EnvironmentFault, match="command-not-here"):
        ReadingRunner(RealRunner()).run(argv, timeout_s=30)


def test_no_program_of_this_machine_speaks_for_another_root() -> None:
    with pytest.raises(EnvironmentFault, match="command-not-here"):
        RefusingRunner().run(["true"], timeout_s=30)


@pytest.mark.parametrize("error", [OSError(5, "EIO"), ValueError("closed"), KeyboardInterrupt()])
def test_a_program_is_waited_for_whatever_becomes_of_the_talk_about_it(
    error: BaseException, tmp_path: Path
) -> None:
    done = tmp_path / "done"

    def lost(_program: str, _elapsed_s: float) -> None:
        raise error

    try:
        RealRunner(lost).run(["sh", "-c", f"sleep 1.5; touch {done}"], timeout_s=30)
    except KeyboardInterrupt:
        assert isinstance(error, KeyboardInterrupt)
    assert done.exists()


def test_a_program_holds_the_lock_as_long_as_it_runs(tmp_path: Path) -> None:
    """Also when we are killed: the next run must not start beside it."""
    code = (
        "import fcntl, os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from hostpci.host.runner import RealRunner\n"
        "lock = os.open(sys.argv[2], os.O_RDWR | os.O_CREAT)\n"
        "fcntl.flock(lock, fcntl.LOCK_EX)\n"
        "runner = RealRunner()\n"
        "runner.keep_open = (lock,)\n"
        "runner.run(['sh', '-c', 'echo > ' + sys.argv[3] + '; sleep 1.5'], timeout_s=30)\n"
    )
    lock, started = tmp_path / "lock", tmp_path / "started"
    source = str(Path(__file__).parents[2] / "src")
    with subprocess.Popen(
        [sys.executable, "-IS", "-c", code, source, str(lock), str(started)]
    ) as ours:
        while not started.exists():
            assert ours.poll() is None
            time.sleep(0.01)
        ours.kill()
        ours.wait()
        got_it = ["flock", "--nonblock", str(lock), "true"]
        assert subprocess.run(got_it, check=False).returncode == 1
        assert subprocess.run(["flock", "-w", "20", str(lock), "true"], check=False).returncode == 0


def test_every_runner_can_be_told_what_to_keep_open() -> None:
    assert Runner.keep_open == ()
    assert RefusingRunner().keep_open == ()
