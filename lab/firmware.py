"""OVMF, the UEFI firmware for virtual machines, out of Debian's package."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from lab import cache, process, qemu_build
from lab.progress import Reporter

_MIRROR = "http://deb.debian.org/debian"
OVMF = cache.Artefact(name="ovmf", recipe="mmdebstrap extract trixie ovmf 1", needs_bytes=1 << 28)
_FOLDER = "usr/share/OVMF"
VARIABLES_NAME = "efivars.fd"


@dataclass(frozen=True, kw_only=True)
class Firmware:
    """The firmware's code, and the file that keeps this host's variables from boot to boot."""

    code: Path
    variables: Path

    def arguments(self) -> list[str]:
        """QEMU's arguments: two flash chips, of which the second is written to."""
        flash = "if=pflash,format=raw"
        return [
            "-drive", f"{flash},unit=0,readonly=on,file={self.code}",
            "-drive", f"{flash},unit=1,file={self.variables}",
        ]  # fmt: skip


def ensure(reporter: Reporter) -> None:
    """Fetch OVMF, if it is missing."""
    if not OVMF.is_built:
        with reporter.step("fetching OVMF out of Debian"):
            cache.ensure(OVMF, _build)


def _build(folder: Path) -> None:
    argv = [
        qemu_build.mmdebstrap(), "--variant=extract", "--include=ovmf", "trixie",
        str(folder / "root"), f"deb {_MIRROR} trixie main",
    ]  # fmt: skip
    process.run(argv, timeout_s=600, log=folder / "build.log")


def factory_new(variables: Path) -> Firmware:
    """Firmware whose variables are those of a new board, written to `variables`."""
    shutil.copyfile(OVMF.path / "root" / _FOLDER / "OVMF_VARS_4M.fd", variables)
    return with_variables(variables)


def with_variables(variables: Path) -> Firmware:
    """Firmware that goes on with the variables it has."""
    return Firmware(code=OVMF.path / "root" / _FOLDER / "OVMF_CODE_4M.fd", variables=variables)
