"""The one door for processes: argument lists, a clean environment, a time limit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ..errors import EnvironmentFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from subprocess import Popen
    from typing import Any

Keep = Callable[[Iterable[str]], Iterable[str]]
Tick = Callable[[str, float], None]

_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}
# bytes are read: grep is twenty times as fast when it need not look for characters in them
_FOR_BYTES = {**_ENVIRONMENT, "LC_ALL": "C"}
_STDERR_TAIL_CHARS = 800
_DEATH_TIMEOUT_S = 5
_BLOCK_BYTES = 1 << 18
_LONGEST_LINE_BYTES = 1 << 16
_MAX_LINE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A program that exited with one of the codes that were asked for."""

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str


class Runner:
    """The interface: ``keep`` filters the lines of stdout before anybody stores them.

    ``keep_open``: descriptors that a program inherits, such as the lock: should we be killed, it
    lasts as long as the program.
    """

    keep_open: tuple[int, ...] = ()

    def run(self, argv: Sequence[str], *, timeout_s: float, keep: Keep | None = None) -> Completed:
        raise NotImplementedError


class RealRunner(Runner):
    """Runs programs of this host. Raises EnvironmentFault with argv, code and last words.

    ``tick`` is called about once a second with the program's name and the seconds so far.
    """

    def __init__(self, tick: Tick | None = None) -> None:
        self._tick = tick

    def run(self, argv: Sequence[str], *, timeout_s: float, keep: Keep | None = None) -> Completed:
        import subprocess

        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
                pass_fds=self.keep_open,
            )
        except OSError as error:
            raise EnvironmentFault(
                "command-missing", command=argv[0], reason=error.strerror
            ) from error
        output = _Whole(process) if keep is None else _Kept(process, keep)
        stdout, err = self._wait(process, argv, timeout_s, output)
        stderr = err.decode("utf-8", "replace")
        if process.returncode != 0:
            raise EnvironmentFault(
                "command-failed",
                command=" ".join(argv),
                status=process.returncode,
                reason=stderr.strip()[-_STDERR_TAIL_CHARS:],
            )
        return Completed(argv=tuple(argv), code=0, stdout=stdout, stderr=stderr)

    def lines(
        self, argv: Sequence[str], *, good: Sequence[int] = (0,), stdin: int | None = None
    ) -> Iterator[bytes]:
        """The lines of what a reading program writes, one by one, without their ends.

        ``stdin``: a descriptor that it reads, from where that stands.
        Ends the program when nobody wants more. Raises EnvironmentFault as ``run`` does.
        """
        import subprocess

        try:
            process = subprocess.Popen(
                list(argv), stdout=subprocess.PIPE,
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stderr=subprocess.DEVNULL, env=_FOR_BYTES, cwd="/", start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise EnvironmentFault(
                "command-missing", command=argv[0], reason=error.strerror
            ) from error
        try:
            yield from self._lines_of(process, argv[0])
            status = process.wait()
        finally:
            if process.poll() is None:
                _kill_session(process)
            if process.stdout is not None:
                process.stdout.close()
        if status not in good:
            raise EnvironmentFault("command-failed", command=argv[0], status=status, reason="")

    def _lines_of(self, process: Popen[bytes], program: str) -> Iterator[bytes]:
        import select
        import time

        assert process.stdout is not None  # noqa: S101  (it is a pipe)
        started, told_s, rest = time.monotonic(), 0.0, b""
        descriptor = process.stdout.fileno()
        while True:
            ready, _, _ = select.select([descriptor], [], [], 1)
            elapsed_s = time.monotonic() - started
            if elapsed_s - told_s >= 1:
                told_s = elapsed_s
                self._tell(program, elapsed_s)
            if not ready:
                continue
            block = os.read(descriptor, _BLOCK_BYTES)
            *whole, rest = (rest + block).split(b"\n")
            yield from whole
            if not block:
                return
            rest = rest[:_LONGEST_LINE_BYTES]

    def _wait(
        self,
        process: Popen[bytes],
        argv: Sequence[str],
        timeout_s: float,
        reading: _Whole | _Kept,
    ) -> tuple[str, bytes]:
        """Wait for the end, Ctrl-C held back: half an update-initramfs helps nobody."""
        import time

        started = time.monotonic()
        interrupted = False
        output = None
        while output is None:
            try:
                output = reading.within_a_second()
                elapsed_s = time.monotonic() - started
                if output is None and elapsed_s > timeout_s:
                    _kill_session(process)
                    reading.give_up()
                    raise EnvironmentFault(
                        "command-timeout", command=" ".join(argv), seconds=round(timeout_s)
                    )
                if output is None:
                    self._tell(argv[0], elapsed_s)
            except KeyboardInterrupt:
                interrupted = True
        if interrupted:
            raise KeyboardInterrupt
        return output

    def _tell(self, program: str, elapsed_s: float) -> None:
        # Whoever listened may be gone; the work goes on
        with suppress(OSError, ValueError):
            if self._tick:
                self._tick(program, elapsed_s)


class _Whole:
    """All that a program writes."""

    def __init__(self, process: Popen[bytes]) -> None:
        self._process = process

    def within_a_second(self, seconds: float = 1) -> tuple[str, bytes] | None:
        """What the program wrote, once it has ended; None while it runs."""
        import subprocess

        try:
            out, err = self._process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None
        return out.decode("utf-8", "replace"), err

    def give_up(self) -> None:
        """One that sleeps in the kernel, on a dead disk or a suspended pool, does not even hear
        SIGKILL: it is not waited for."""
        if self.within_a_second(_DEATH_TIMEOUT_S) is None:
            for pipe in filter(None, (self._process.stdout, self._process.stderr)):
                pipe.close()


class _Kept:
    """Only what is kept of a program's lines takes memory: a journal can be larger than that."""

    def __init__(self, process: Popen[bytes], keep: Keep) -> None:
        import threading

        self._process = process
        self._keep = keep
        self._text, self._err = "", b""
        self._failure: Exception | None = None
        # Nobody waits for a reader whose program does not die
        self._readers = [
            threading.Thread(target=each, daemon=True) for each in (self._read, self._read_errors)
        ]
        for reader in self._readers:
            reader.start()

    def _lines(self) -> Iterator[str]:
        stream = self._process.stdout
        while stream is not None and (line := stream.readline(_MAX_LINE_BYTES)):
            yield from line.decode("utf-8", "replace").splitlines()

    def _read(self) -> None:
        lines = self._lines()
        try:
            self._text = "".join(f"{line}\n" for line in self._keep(lines))
        except (ValueError, LookupError, TypeError, AttributeError, OSError) as error:
            self._failure = error  # for whoever asked, not for this thread
        for _ in lines:
            pass  # a program that nobody listens to would wait for ever

    def _read_errors(self) -> None:
        stream = self._process.stderr
        while stream is not None and (line := stream.readline(_MAX_LINE_BYTES)):
            self._err = (self._err + line)[-_MAX_LINE_BYTES:]

    def within_a_second(self) -> tuple[str, bytes] | None:
        """What the program wrote, once it has ended; None while it runs."""
        for reader in self._readers:
            reader.join(timeout=0.5)
        if any(reader.is_alive() for reader in self._readers):
            return None
        self._process.wait()
        for pipe in filter(None, (self._process.stdout, self._process.stderr)):
            pipe.close()
        if self._failure is not None:
            raise self._failure
        return self._text, self._err

    def give_up(self) -> None:
        for reader in self._readers:
            reader.join(timeout=_DEATH_TIMEOUT_S / 2)
        self.within_a_second()


def _kill_session(process: Popen[bytes]) -> None:
    """End a program and what it started; each has the session that we gave it."""
    import signal

    os.killpg(process.pid, signal.SIGKILL)


def _filtered(text: str, keep: Keep | None) -> str:
    if keep is None:
        return text
    return "".join(f"{line}\n" for line in keep(text.splitlines()))


class RefusingRunner(Runner):
    """For roots that are not the running host: no program of this machine speaks for them."""

    def run(self, argv: Sequence[str], *, timeout_s: float, keep: Keep | None = None) -> Completed:  # noqa: ARG002
        raise EnvironmentFault("command-not-here", command=" ".join(argv))


class ReplayRunner(Runner):
    """Answers from a capture's ``commands``."""

    def __init__(self, commands: list[dict[str, Any]]) -> None:
        self._answers = {tuple(each["argv"]): each["stdout"] for each in commands}

    def run(self, argv: Sequence[str], *, timeout_s: float, keep: Keep | None = None) -> Completed:  # noqa: ARG002
        stdout = self._answers.get(tuple(argv))
        if stdout is None:
            raise EnvironmentFault("command-not-here", command=" ".join(argv))
        return Completed(argv=tuple(argv), code=0, stdout=_filtered(stdout, keep), stderr="")


class RecordingRunner(Runner):
    """Passes on to another runner and keeps the filtered answers for the capture."""

    def __init__(self, inner: Runner) -> None:
        self._inner = inner
        self.commands: list[dict[str, Any]] = []

    def run(self, argv: Sequence[str], *, timeout_s: float, keep: Keep | None = None) -> Completed:
        completed = self._inner.run(argv, timeout_s=timeout_s, keep=keep)
        self.commands.append({"argv": list(argv), "stdout": completed.stdout})
        return completed
