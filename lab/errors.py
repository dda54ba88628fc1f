"""The lab's errors, one class per exit code, rendered once in `lab.__main__`."""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What `lab` exits with; the numbers are part of its interface."""

    SUCCESS = 0
    SCENARIO_FAILED = 1
    USAGE = 2
    ENVIRONMENT = 3


class LabError(Exception):
    """An error with a text for a person: what is wrong and, in `hint`, what to do."""

    exit_code: ClassVar[ExitCode] = ExitCode.SCENARIO_FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(LabError):
    """The command line or a table names something that does not exist or does not fit."""

    exit_code = ExitCode.USAGE


class EnvironmentUnfitError(LabError):
    """This machine cannot run the lab as it is: a tool, a right or disk space is missing."""

    exit_code = ExitCode.ENVIRONMENT


class ScenarioFailedError(LabError):
    """The host under test did not do what the scenario demands."""
