"""Records a factory host, so that hostpci's tests can replay it."""

from __future__ import annotations

from pathlib import Path

from lab.errors import UsageError
from lab.scenario import Lab
from lab.scenarios import _steps as steps

DESCRIPTION = "hostpci capture on a factory host; --output says where the recording goes"
HOSTS = ("guide-debian12",)

_IN_GUEST = "/run/hostpci-capture"


def run(lab: Lab) -> None:
    """Capture inside, copy out, and see that looking changed nothing."""
    if lab.options.output is None:
        raise UsageError("record needs --output FILE")
    host = steps.factory_host(lab)
    host.hostpci(["capture", "-o", _IN_GUEST])
    recording = host.read_file(_IN_GUEST)
    lab.check(condition=len(recording) > 0, text=f"the recording has {len(recording)} bytes")
    _write_whole(lab.options.output, recording)
    lab.say(f"recorded into {lab.options.output}")
    host.confirm(steps.FACTORY)
    host.power_off()
    lab.compare_root()


def _write_whole(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    partial.rename(path)
