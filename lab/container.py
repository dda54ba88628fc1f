"""Services in a container of this machine: no kernel of their own, but its whole speed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from lab import images, process, qemu_build
from lab.errors import ScenarioFailedError

_POLL_S = 10
_UNIT = """[Service]
Type=simple
ExecStart=/bin/bash -c '{commands}'
"""


def write_journal(
    tar: Path, files: Mapping[str, Path], commands: str, journal: Path, *, wanted_bytes: int,
    longest_s: float, folder: Path,
) -> None:  # fmt: skip
    """Boot a root with systemd in it, run `commands` there, and append its journal to a file.

    Ends when that file is large enough. The container has its own network, without a way out, and
    none of this machine's devices.
    """
    qemu_build.require_root("starting a container")
    nspawn = process.find_tool("systemd-nspawn", package="systemd-container")
    root = _unpack(tar, files, commands, folder)
    argv = [
        nspawn, "--quiet", "--boot", f"--directory={root}", "--register=no", "--keep-unit",
        "--private-network", "--console=pipe",
    ]  # fmt: skip
    container = process.spawn(argv, log=folder / "container.log")
    try:
        began, size = time.monotonic(), 0
        while size < wanted_bytes:
            time.sleep(_POLL_S)
            size = _export(root, folder / "cursor", journal)
            if container.poll() is not None or time.monotonic() - began > longest_s:
                raise ScenarioFailedError(f"the journal has {size} bytes", hint=f"see {folder}")
    finally:
        process.stop_group(container, grace_s=30)


def _unpack(tar: Path, files: Mapping[str, Path], commands: str, folder: Path) -> Path:
    root = images.unpack(tar, folder)
    for name, source in files.items():
        (root / name).write_bytes(source.read_bytes())
    units = root / "etc/systemd/system"
    (units / "lab.service").write_text(_UNIT.format(commands=commands), encoding="utf-8")
    (units / "default.target.wants").mkdir(exist_ok=True)
    (units / "default.target.wants/lab.service").symlink_to("../lab.service")
    # Where the journal is kept has to be there before it begins.
    (root / "var/log/journal").mkdir(exist_ok=True)
    return root


def _export(root: Path, cursor: Path, journal: Path) -> int:
    """All that was said since the last time, in the format that people send."""
    argv = [
        process.find_tool("journalctl", package="systemd"), f"--directory={root}/var/log/journal",
        "--no-pager", "--quiet", "--output=short", f"--cursor-file={cursor}",
    ]  # fmt: skip
    process.run(argv, timeout_s=300, log=journal)
    return journal.stat().st_size
