"""The copy of the program that works when the checkout is gone."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from hostpci import __version__
from hostpci.executor.tool import DIRECTORY, TOOL, drop_tool, install_tool, is_needed
from hostpci.host.files import HostFiles
from hostpci.model.journal import Begin, History, Intent, Run, StepUndone
from hostpci.model.plan import FileStep, Plan


@pytest.fixture
def files(tmp_path: Path) -> HostFiles:
    return HostFiles(str(tmp_path))


def state(files: HostFiles) -> tuple[int, int, int]:
    found = os.stat(files.base + TOOL)
    return found.st_ino, found.st_mtime_ns, found.st_mode & 0o777


def test_the_copy_is_whole_private_and_installed_once(files: HostFiles) -> None:
    assert install_tool(files) == TOOL
    first = state(files)
    assert first[2] == 0o600
    assert os.stat(files.base + DIRECTORY).st_mode & 0o777 == 0o700
    with zipfile.ZipFile(files.base + TOOL) as archive:
        names = archive.namelist()
    assert {"__main__.py", "hostpci/cli/main.py", "hostpci/cli/verbs/trial_watch.py"} <= set(names)
    assert not [name for name in names if "__pycache__" in name]
    install_tool(files)
    assert state(files) == first, "equal sources, nothing written"


def test_another_version_is_replaced_and_what_a_cut_left_is_removed(files: HostFiles) -> None:
    install_tool(files)
    Path(files.base + TOOL).write_bytes(b"an older one")
    Path(f"{files.base}{DIRECTORY}/.hostpci-0123456789abcdef.tmp").write_bytes(b"half")
    install_tool(files)
    assert files.names_in(DIRECTORY) == ("hostpci.pyz",)
    assert zipfile.is_zipfile(files.base + TOOL)


@pytest.mark.processes
def test_the_copy_runs_and_can_install_itself(files: HostFiles, tmp_path: Path) -> None:
    install_tool(files)
    argv = [sys.executable, "-IBS", files.base + TOOL]
    done = subprocess.run([*argv, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"hostpci {__version__}\n"
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from hostpci.executor.tool import install_tool\n"
        "from hostpci.host.files import HostFiles\n"
        "install_tool(HostFiles(sys.argv[2]))\n"
    )
    other = tmp_path / "other"
    other.mkdir()
    words = [sys.executable, "-IBS", "-c", script, files.base + TOOL, str(other)]
    subprocess.run(words, check=True)
    copied = Path(f"{other}{TOOL}").read_bytes()
    assert copied == Path(files.base + TOOL).read_bytes()


def run_with(text: str, *, undone: bool) -> Run:
    step = FileStep(code="trial-unit", path="/etc/x", before=None, after=text)
    begin = Begin(verb="x", version="0", started="", boot_id="", plan=Plan(steps=(step,)))
    entries = (begin, Intent(step=0), *((StepUndone(step=0),) if undone else ()))
    return Run(number=1, entries=entries)


@pytest.mark.parametrize(
    ("text", "undone", "needed"),
    [(f"ExecStart={TOOL}", False, True), (f"ExecStart={TOOL}", True, False), ("x", False, False)],
)
def test_the_copy_stays_as_long_as_a_unit_calls_it(
    files: HostFiles,
    text: str,
    undone: bool,  # noqa: FBT001
    needed: bool,  # noqa: FBT001
) -> None:
    history = History(runs=(run_with(text, undone=undone),))
    assert is_needed(history) is needed
    install_tool(files)
    drop_tool(files, history)
    assert (files.names_in(DIRECTORY) != ()) is needed
    assert os.path.isdir(files.base + DIRECTORY) is needed
