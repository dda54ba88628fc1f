"""Run hostpci and die by SIGKILL at the N-th moment that touches the disk.

A moment is just before and just after each fsync, rename, unlink, mkdir, rmdir, ftruncate, and
before and in the middle of each write to a file: exactly where a power cut can find the disk.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from hostpci.cli.main import main

STDERR = 2


class Fuse:
    def __init__(self, moments: int) -> None:
        self._left = moments

    def burn(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def around(fuse: Fuse, call: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        fuse.burn()
        result = call(*args, **kwargs)
        fuse.burn()
        return result

    return wrapped


def torn(fuse: Fuse, write: Callable[[int, Any], int]) -> Callable[[int, Any], int]:
    """A write may reach the disk in part: half of it goes first, then the rest."""

    is_torn = False

    def wrapped(descriptor: int, content: Any) -> int:
        nonlocal is_torn
        if descriptor <= STDERR or is_torn:
            is_torn = False
            return write(descriptor, content)
        fuse.burn()
        written = write(descriptor, bytes(content)[: max(1, len(content) // 2)])
        fuse.burn()
        is_torn = written < len(content)
        return written

    return wrapped


def run_and_die(moment: int, words: Sequence[str]) -> int:
    """Run one command line in a child that dies at ``moment``; return its exit code.

    Negative: the signal that ended it.
    """
    return call_and_die(moment, lambda: main(words))


def call_and_die(moment: int, work: Callable[[], int]) -> int:
    """As ``run_and_die``, for any work. A fork, not a new interpreter: the same disk, sooner."""
    pid = os.fork()
    if pid == 0:
        _child(moment, work)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def _child(moment: int, work: Callable[[], int]) -> NoReturn:
    code = 1
    try:
        quiet = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(quiet, descriptor)
        fuse = Fuse(moment)
        for name in ("fsync", "rename", "unlink", "mkdir", "rmdir", "ftruncate"):
            setattr(os, name, around(fuse, getattr(os, name)))
        os.write = torn(fuse, os.write)
        code = work()
    finally:
        os._exit(code)
