"""A menu entry of our own on every boot partition, and the variables that make it the default."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from ..errors import ConflictError
from ..host.files import HostFiles
from ..host.runner import Runner
from ..model.efivar import bootctl_argv, entry_named, variable_path
from ..model.journal import FileImage, Intent, Run, UndoIntent
from ..model.plan import EspEntryStep, LoaderVariableStep
from .esp import BootPartitions

_BOOTCTL_TIMEOUT_S = 60


class EspEntries:
    """Every name here is ours alone: what lies there is written over, and removed.

    ``name``: of the mount point and of temporary files, already journaled.
    """

    def __init__(self, files: HostFiles, runner: Runner, name: str) -> None:
        self._files = files
        self._name = name
        self.partitions = BootPartitions(files, runner, name)

    def place(
        self, step: EspEntryStep, old: tuple[str, ...], demand_space: Callable[[str, str], None]
    ) -> None:
        """The images first: an entry never names what is not there whole.

        ``old``: names of temporary files that attempts before this one may have left.
        """
        for uuid in step.uuids:
            with self.partitions.mounted(uuid, writable=True) as where:
                self._sweep(where, step, old)
                for image in step.images:
                    if self._files.image(f"{where}/{image}").sha256 is None:
                        raise ConflictError("esp-no-image", esp=uuid, path=image)
                for image, copy in zip(step.images, step.copies, strict=False):
                    demand_space(f"{where}/{image}", where)
                    self._put(f"{where}/{copy}", self._files.blocks(f"{where}/{image}"))
                self._put(f"{where}/{step.path}", (step.text.encode("utf-8"),))

    def take_off(self, step: EspEntryStep, old: tuple[str, ...]) -> tuple[str, ...]:
        """The entry first. Return what is left on partitions that are not there any more."""
        gone = tuple(uuid for uuid in step.uuids if not self.partitions.is_present(uuid))
        for uuid in step.uuids:
            if uuid not in gone:
                with self.partitions.mounted(uuid, writable=True) as where:
                    for path in (step.path, *step.copies):
                        self._files.remove(f"{where}/{path}")
                    self._sweep(where, step, old)
                    for directory in _directories(step.copies):
                        self._files.remove_directory_if_empty(f"{where}/{directory}")
        return tuple(f"{uuid}:/{step.path}" for uuid in gone)

    def _put(self, path: str, content: Iterable[bytes]) -> None:
        self._files.make_directories(path.rpartition("/")[0])
        like = FileImage(path=path, sha256=None, mode=0o644, owner=os.geteuid(), group=os.getegid())
        self._files.replace(path, content, temporary=self._name, like=like)

    def _sweep(self, where: str, step: EspEntryStep, old: tuple[str, ...]) -> None:
        for directory in _directories((step.path, *step.copies)):
            for name in old:
                self._files.remove(f"{where}/{directory}/{name}")


def _directories(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path.rpartition("/")[0] for path in paths))


def temporaries(run: Run, index: int) -> tuple[str, ...]:
    """The names that every attempt at a step has used, forwards and backwards."""
    return tuple(
        each.temporary
        for each in run.entries
        if isinstance(each, Intent | UndoIntent) and each.step == index and each.temporary
    )


class LoaderVariables:
    """Set through bootctl, which knows how efivarfs wants to be written; read back by ourselves."""

    def __init__(self, files: HostFiles, runner: Runner) -> None:
        self._files = files
        self._runner = runner

    def value(self, name: str) -> str | None:
        return entry_named(self._files.read(variable_path(name)))

    def set(self, name: str, entry: str | None) -> None:
        """Raises ConflictError if the firmware has not kept it: some take a write and forget it."""
        self._runner.run(bootctl_argv(name, entry), timeout_s=_BOOTCTL_TIMEOUT_S)
        if self.value(name) != entry:
            raise ConflictError("loader-variable", path=variable_path(name), wanted=entry or "-")

    def put_back(self, step: LoaderVariableStep) -> tuple[str, ...]:
        """Return what somebody else has chosen since, and what therefore stays."""
        found = self.value(step.name)
        if found == step.after:
            self.set(step.name, step.before)
        is_ours = found in (None, step.before, step.after)
        return () if is_ours else (variable_path(step.name),)
