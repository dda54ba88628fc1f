"""Guards for every test: no program of this machine is started unless the test says so."""

from __future__ import annotations

import subprocess

import pytest

from .hosts import RecordedHost


class ProcessStartedError(BaseException):
    """Derived from BaseException so that no handler in the program can swallow it."""


@pytest.fixture(autouse=True)
def no_processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("processes") is None:

        def refuse(*args: object, **_: object) -> None:
            raise ProcessStartedError(str(args))

        monkeypatch.setattr(subprocess, "Popen", refuse)


@pytest.fixture
def guide() -> RecordedHost:
    """The guide's host, untouched: factory Debian 12, RTX 5060 Ti at 01:00."""
    return RecordedHost()
