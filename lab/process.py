"""The one door to other processes: argument lists only, never a shell, always a time limit."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lab.errors import EnvironmentUnfitError, LabError

# Administrator tools live in sbin, which a plain user's PATH lacks on Debian.
_SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


class CommandFailedError(LabError):
    """A command ended with a status that its caller does not accept."""


@dataclass(frozen=True, kw_only=True)
class Completed:
    """What a finished command left behind."""

    argv: tuple[str, ...]
    rc: int
    stdout: str
    stderr: str


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """A small, fixed environment: a developer's own settings must not change a result."""
    kept = {name: os.environ[name] for name in ("HOME", "USER", "TMPDIR") if name in os.environ}
    return kept | {"PATH": _SEARCH_PATH, "LC_ALL": "C.UTF-8"} | dict(extra or {})


def which(name: str) -> str | None:
    """The path of a program, in the folders of administrator tools too."""
    return shutil.which(name, path=_SEARCH_PATH)


def find_tool(name: str, *, package: str) -> str:
    """The path of a program, or an error that names the Debian package that has it."""
    path = which(name)
    if path is None:
        raise EnvironmentUnfitError(
            f"the program {name} is missing", hint=f"install it: apt-get install {package}"
        )
    return path


def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
    check: bool = True,
    stdin: Path = Path(os.devnull),
) -> Completed:
    """Run one command to its end; with `log`, its output goes to that file instead of memory."""
    with (
        _output(log) as out,
        stdin.open("rb") as source,
        subprocess.Popen(
            list(argv),
            stdin=source,
            stdout=out or subprocess.PIPE,
            stderr=subprocess.STDOUT if out else subprocess.PIPE,
            env=clean_environment(env),
            text=True,
            errors="replace",
            start_new_session=True,
        ) as process,
    ):
        stdout, stderr = _finish(process, timeout_s=timeout_s)
    done = Completed(
        argv=tuple(argv), rc=process.returncode, stdout=stdout or "", stderr=stderr or ""
    )
    if check and done.rc != 0:
        raise CommandFailedError(_failure_text(done), hint=f"see {log}" if log else "")
    return done


def _finish(process: subprocess.Popen[str], *, timeout_s: float) -> tuple[str | None, str | None]:
    try:
        return process.communicate(timeout=timeout_s)
    except BaseException as error:
        # The group, not the child alone: mmdebstrap and ssh have children of their own,
        # and Ctrl-C must leave none of them behind.
        stop_group(process, grace_s=5)
        if isinstance(error, subprocess.TimeoutExpired):
            raise CommandFailedError(f"no end within {timeout_s:.0f} s: {process.args!r}") from None
        raise


class _NoFile:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def _output(log: Path | None) -> IO[bytes] | _NoFile:
    return log.open("ab") if log else _NoFile()


def _failure_text(done: Completed) -> str:
    tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-8:])
    return f"{' '.join(done.argv[:6])} ended with status {done.rc}" + (f"\n{tail}" if tail else "")


def spawn(
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a long-lived child in a process group of its own, its output appended to `log`."""
    with log.open("ab") as out:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=clean_environment(env),
            cwd=cwd,
            start_new_session=True,
        )


def stop_group(process: subprocess.Popen[str] | subprocess.Popen[bytes], *, grace_s: float) -> None:
    """End a child and whatever it started: politely first, then for certain."""
    for sig, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 10.0)):
        try:
            os.killpg(process.pid, sig)
            process.wait(timeout=wait_s)
        except ProcessLookupError:
            process.wait(timeout=wait_s)
            return
        except subprocess.TimeoutExpired:
            continue
        else:
            return
