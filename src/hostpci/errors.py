"""Every way the program can refuse, as a value: a stable code, parameters, an exit code.

The text of a code lives in ``i18n``; it is looked up once, at the edge, in ``cli.main``.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes. The manual and ``hostpci --help`` print this list."""

    OK = 0
    FAILED = 1
    USAGE = 2
    FINDINGS = 3
    CHANGES_PENDING = 4
    REBOOT_NEEDED = 5
    PARTIAL = 6
    CONFLICT = 7
    NOT_PERMITTED = 8
    BUSY = 9
    CORRUPT = 10
    INTERRUPTED = 130


class ToolError(Exception):
    """What happened (code and parameters), and the exit code that says it to a script.

    The catalogue holds ``error.CODE`` (what happened, what was left untouched) and
    ``error.CODE.hint`` (what to do next).
    """

    exit = Exit.FAILED

    def __init__(self, code: str, **params: object) -> None:
        super().__init__(code)
        self.code = code
        self.params = params

    def __str__(self) -> str:
        details = ", ".join(f"{key}={value}" for key, value in self.params.items())
        return f"{self.code} ({details})" if details else self.code


class UsageError(ToolError):
    """The words of the call are wrong; nothing was looked at."""

    exit = Exit.USAGE


class EnvironmentFault(ToolError):  # noqa: N818  (EnvironmentError is a builtin)
    """The machine does not let us: read-only file system, no space, a command that fails."""

    exit = Exit.FAILED


class RefusedError(ToolError):
    """The facts speak against it; nothing was changed."""

    exit = Exit.FINDINGS


class ConflictError(ToolError):
    """Reality is not what the plan or the journal expects; nothing more was changed."""

    exit = Exit.CONFLICT


class PartialError(ToolError):
    """Stopped between two steps; the journal knows where, apply or undo finishes it."""

    exit = Exit.PARTIAL


class NotPermittedError(ToolError):
    """Needs root."""

    exit = Exit.NOT_PERMITTED


class DeclinedError(ToolError):
    """The person said no; what comes after it cannot be done."""


class BusyError(ToolError):
    """Another run holds the lock."""

    exit = Exit.BUSY


class CorruptError(ToolError):
    """A file of ours, or given to us, does not hold what its format says."""

    exit = Exit.CORRUPT


class EditError(ToolError):
    """A file of the host that cannot be edited safely: what it says could not be understood.

    Raised by ``planner.edits``; a planner turns it into a finding and changes nothing.
    """

    exit = Exit.FINDINGS
