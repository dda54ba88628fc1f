"""The host's own tools, as far as laws need them: they rewrite exactly the files they are known
to rewrite, from exactly the files they are known to read. The real ones run in the lab."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from hostpci.errors import EnvironmentFault
from hostpci.host.runner import Completed, Runner
from hostpci.model.knob import MODPROBE_CONF

from ..hosts import RecordedHost


class FakeHostRunner(Runner):
    """update-initramfs, grub-mkconfig and lsinitramfs on a tree."""

    def __init__(self, directory: str, host: RecordedHost | None = None) -> None:
        self._base = Path(directory)
        self._recorded = host.runner() if host else None
        self._builds = 0

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        keep: Callable[[Iterable[str]], Iterable[str]] | None = None,
    ) -> Completed:
        match list(argv):
            case ["update-initramfs", "-u", "-k", release]:
                self._build(release)
            case ["grub-mkconfig", "-o", path]:
                self._grub(path)
            case ["lsinitramfs", image]:
                return self._list(image, timeout_s, keep)
            case _:
                raise EnvironmentFault("command-missing", command=argv[0], reason="not here")
        return Completed(argv=tuple(argv), code=0, stdout="", stderr="")

    def _build(self, release: str) -> None:
        """As initramfs-tools: a new image that holds the rules of now, and a checksum beside it."""
        self._builds += 1
        rules = sorted(each.name for each in (self._base / "etc/udev/rules.d").glob("*.rules"))
        image = self._base / f"boot/initrd.img-{release}"
        new = image.with_name(image.name + ".new")
        conf = self._base / MODPROBE_CONF.lstrip("/")
        options = [MODPROBE_CONF] if conf.exists() else []
        new.write_text("\n".join([f"build {self._builds}", *rules, *options]))
        new.rename(image)
        sums = self._base / f"var/lib/initramfs-tools/{release}"
        sums.parent.mkdir(parents=True, exist_ok=True)
        sums.write_text(f"sum {self._builds}")

    def _grub(self, path: str) -> None:
        drop_ins = sorted((self._base / "etc/default/grub.d").glob("*.cfg"))
        text = "".join(each.read_text() for each in drop_ins)
        (self._base / path.lstrip("/")).write_text(f"generated\n{text}")

    def _list(
        self,
        image: str,
        timeout_s: float,
        keep: Callable[[Iterable[str]], Iterable[str]] | None,
    ) -> Completed:
        assert self._recorded is not None
        recorded = self._recorded.run(["lsinitramfs", image], timeout_s=timeout_s)
        built = (self._base / image.lstrip("/")).read_text().splitlines()
        rules = [f"usr/lib/udev/rules.d/{name}" for name in built if name.endswith(".rules")]
        options = [name.lstrip("/") for name in built if name == MODPROBE_CONF]
        lines = [*recorded.stdout.splitlines(), *rules, *options]
        kept = list(keep(lines)) if keep else lines
        return Completed(argv=("lsinitramfs", image), code=0, stdout="\n".join(kept), stderr="")
