"""A menu entry of our own on every boot partition, and the variables that make it the default."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from ..errors import ConflictError, EnvironmentFault
from ..host.files import HostFiles
from ..host.runner import Runner
from ..model.efivar import bootctl_argv, entry_named, variable_path
from ..model.grubcfg import sources_custom
from ..model.journal import FileImage, Intent, Run, UndoIntent
from ..model.plan import EspEntryStep, LoaderVariableStep
from .esp import BootPartitions

_BOOTCTL_TIMEOUT_S = 60


class EspEntries:
    """Every name here is ours alone: what lies there is written over, and removed.

    But for GRUB's custom.cfg: what is not ours in there is never touched.
    ``name``: of the mount point and of temporary files, already journaled.
    """

    def __init__(self, files: HostFiles, runner: Runner, name: str) -> None:
        self._files = files
        self._name = name
        self.partitions = BootPartitions(files, runner, name)

    def place(
        self, step: EspEntryStep, old: tuple[str, ...], demand_space: Callable[[str, str], None]
    ) -> None:
        """The images first, the entry last: it never names what is not there whole.

        ``old``: names of temporary files that attempts before this one may have left.
        """
        for uuid in step.uuids:
            with self.partitions.mounted(uuid, writable=True) as where:
                self._sweep(where, step, old)
                self._demand(uuid, where, step)
                for image, copy in zip(step.images, step.copies, strict=False):
                    demand_space(f"{where}/{image}", where)
                    self._put(f"{where}/{copy}", self._files.blocks(f"{where}/{image}"))
                for path, text in _texts(step):
                    self._put(f"{where}/{path}", (text,))
            with self.partitions.mounted(uuid) as where:
                self._read_back(uuid, where, step)

    def take_off(self, step: EspEntryStep, old: tuple[str, ...]) -> tuple[str, ...]:
        """The entry first. Return what is left: on partitions that are not there any more, and
        what somebody has changed since.
        """
        left = [uuid for uuid in step.uuids if not self.partitions.is_present(uuid)]
        for uuid in step.uuids:
            if uuid not in left:
                with self.partitions.mounted(uuid, writable=True) as where:
                    if not self._remove(where, step, old):
                        left.append(uuid)
        return tuple(f"{uuid}:/{step.path}" for uuid in left)

    def forget_note(self, step: EspEntryStep) -> None:
        """From here on GRUB boots as before; without its note the entry is only in the menu.

        What cannot be reached keeps its note: if it boots, the trial's watcher comes here again.
        """
        for uuid in step.uuids:
            with suppress(EnvironmentFault), self.partitions.mounted(uuid, writable=True) as where:
                self._files.remove(f"{where}/{step.note}")

    def _demand(self, uuid: str, where: str, step: EspEntryStep) -> None:
        """Before the first byte: what the entry rests on, and that nobody else has its name."""
        for image in step.images:
            if self._files.image(f"{where}/{image}").sha256 is None:
                raise ConflictError("esp-no-image", esp=uuid, path=image)
        if not step.note:
            return
        menu = f"{step.path.rpartition('/')[0]}/grub.cfg"
        content = self._files.read(f"{where}/{menu}") or b""
        if not sources_custom(content.decode("utf-8", "replace")):
            raise ConflictError("esp-no-custom", esp=uuid, path=menu)
        if _more_than_ours(self._files.read(f"{where}/{step.path}"), step):
            raise ConflictError("esp-custom-taken", esp=uuid, path=step.path)

    def _read_back(self, uuid: str, where: str, step: EspEntryStep) -> None:
        """Mounted anew, so that the partition answers and no cache."""
        for path, text in _texts(step):
            if self._files.read(f"{where}/{path}") != text:
                raise ConflictError("esp-not-kept", esp=uuid, path=path)
        for image, copy in zip(step.images, step.copies, strict=False):
            wanted = self._files.image(f"{where}/{image}").sha256
            if self._files.image(f"{where}/{copy}").sha256 != wanted:
                raise ConflictError("esp-not-kept", esp=uuid, path=copy)

    def _remove(self, where: str, step: EspEntryStep, old: tuple[str, ...]) -> bool:
        """False if somebody has written more into the file of our entry: then that stays."""
        found = self._files.read(f"{where}/{step.path}")
        is_theirs = _more_than_ours(found, step)
        paths = (*(() if is_theirs else (step.path,)), step.note, *step.copies)
        for path in filter(None, paths):
            self._files.remove(f"{where}/{path}")
        self._sweep(where, step, old)
        for directory in _directories(step.copies):
            self._files.remove_directory_if_empty(f"{where}/{directory}")
        return not (is_theirs and _marks(step)[0] in (found or b""))

    def _put(self, path: str, content: Iterable[bytes]) -> None:
        self._files.make_directories(path.rpartition("/")[0])
        like = FileImage(path=path, sha256=None, mode=0o644, owner=os.geteuid(), group=os.getegid())
        self._files.replace(path, content, temporary=self._name, like=like)

    def _sweep(self, where: str, step: EspEntryStep, old: tuple[str, ...]) -> None:
        for directory in _directories((step.path, *step.copies)):
            for name in old:
                self._files.remove(f"{where}/{directory}/{name}")


def _more_than_ours(found: bytes | None, step: EspEntryStep) -> bool:
    """Whether a name that others may use as well holds anything outside of our marks.

    Inside of them may be the entry of an earlier trial, on a partition that was away since.
    """
    if found is None or not step.note:
        return False
    first, last = _marks(step)
    return not (found.startswith(first) and found.endswith(last) and found.count(first) == 1)


def _marks(step: EspEntryStep) -> tuple[bytes, bytes]:
    """The first and the last line of what we write."""
    lines = step.text.encode("utf-8").splitlines(keepends=True)
    return lines[0], lines[-1]


def _texts(step: EspEntryStep) -> Iterator[tuple[str, bytes]]:
    """In the order in which they are written."""
    if step.note:
        yield step.note, step.note_text.encode("utf-8")
    yield step.path, step.text.encode("utf-8")


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
