"""Run a program of the host that rewrites files; what the boot loader reads is whole throughout."""

from __future__ import annotations

from ..errors import EnvironmentFault
from ..host.files import HostFiles
from ..host.runner import Runner
from ..model.journal import FileImage
from ..model.plan import CommandStep

_TIMEOUT_S = 3600


def run_command(files: HostFiles, runner: Runner, step: CommandStep, temporary: str) -> None:
    """Run ``step``. ``temporary``: a name from the journal, for the content of what it made."""
    if not step.makes:
        with files.settled(step.touches):
            runner.run(step.argv, timeout_s=_TIMEOUT_S)
        return
    remove_made(files, step)
    files.make_directories(step.makes.rpartition("/")[0])
    try:
        runner.run(step.argv, timeout_s=_TIMEOUT_S)
        _put_in_place(files, step, temporary)
    finally:
        remove_made(files, step)


def _put_in_place(files: HostFiles, step: CommandStep, temporary: str) -> None:
    target = step.touches[0]
    made, before = files.image(step.makes), files.image(target)
    if made.sha256 is None or not files.size(step.makes):
        raise EnvironmentFault("command-made-nothing", command=step.argv[0], path=target)
    files.remove(f"{target.rpartition('/')[0]}/{temporary}")
    like: FileImage = made if before.sha256 is None else before
    files.replace(target, files.blocks(step.makes), temporary=temporary, like=like)


def remove_made(files: HostFiles, step: CommandStep) -> None:
    """Also what grub-mkconfig leaves beside it when it is killed, or dislikes its own result."""
    if not step.makes:
        return
    for name in (step.makes, f"{step.makes}.new"):
        files.remove(name)
