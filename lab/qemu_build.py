"""Finds a QEMU that has vfio-user-pci, or builds one out of Debian's backports."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lab import cache as artefacts
from lab import process
from lab.errors import EnvironmentUnfitError
from lab.progress import Reporter

_MIRROR = "http://deb.debian.org/debian"
_DEVICE = "vfio-user-pci"
_LIBS = "usr/lib/x86_64-linux-gnu"

QEMU_ROOT = artefacts.Artefact(
    name="qemu",
    recipe="mmdebstrap trixie + trixie-backports: qemu-system-x86 qemu-utils seabios; 1",
    needs_bytes=1 << 30,
)


@dataclass(frozen=True, kw_only=True)
class Qemu:
    """How to start QEMU's programs: the words before their own arguments."""

    system: tuple[str, ...]
    img: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    version: str

    @property
    def env(self) -> dict[str, str]:
        """What QEMU needs in its environment."""
        return dict(self.environment)


def find_built() -> Qemu | None:
    """The system's QEMU or the one built before; None when it is still to be built."""
    return _on_system() or (_in_root(QEMU_ROOT.path) if QEMU_ROOT.is_built else None)


def ensure(reporter: Reporter) -> Qemu:
    """A QEMU that has vfio-user-pci, built now if there is none."""
    found = find_built()
    if found is None:
        with reporter.step("building a QEMU with vfio-user-pci out of Debian's backports"):
            artefacts.ensure(QEMU_ROOT, _build)
        found = _in_root(QEMU_ROOT.path)
    return found


@cache
def _on_system() -> Qemu | None:
    system, img = shutil.which("qemu-system-x86_64"), shutil.which("qemu-img")
    if system is None or img is None:
        return None
    # "-device help" says what this build really has; its version number alone does not.
    if _DEVICE not in process.run([system, "-device", "help"], timeout_s=60).stdout:
        return None
    return Qemu(system=(system,), img=(img,), environment=(), version=_version((system,), {}))


def _version(command: tuple[str, ...], env: dict[str, str]) -> str:
    return process.run([*command, "--version"], timeout_s=60, env=env).stdout.splitlines()[0]


@cache
def _in_root(root: Path) -> Qemu:
    # Started through the root's own dynamic loader instead of a chroot: no mounts to undo,
    # no rights needed, and sockets and disks keep the paths that the rest of the lab uses.
    loader = (str(root / "lib64/ld-linux-x86-64.so.2"), "--library-path", str(root / _LIBS))
    firmware = ("-L", str(root / "usr/share/qemu"), "-L", str(root / "usr/share/seabios"))
    env = {"QEMU_MODULE_DIR": str(root / _LIBS / "qemu")}
    system = (*loader, str(root / "usr/bin/qemu-system-x86_64"), *firmware)
    img = (*loader, str(root / "usr/bin/qemu-img"))
    return Qemu(
        system=system, img=img, environment=tuple(env.items()), version=_version(system, env)
    )


def require_root(purpose: str) -> None:
    """Stop with a clear text where only root can go on."""
    if os.geteuid() != 0:
        raise EnvironmentUnfitError(
            f"{purpose} needs root, to keep owners and modes as a Debian host has them",
            hint="run the lab as root, or on a machine where that is fine (CI, a container)",
        )


def debian_tool(name: str, *, package: str) -> str:
    """A program, its package installed by apt when missing (we are root by then)."""
    require_root(f"using {name}")
    if process.which(name) is None and shutil.which("apt-get"):
        apt_env = {"DEBIAN_FRONTEND": "noninteractive"}
        process.run(["apt-get", "update"], timeout_s=300, env=apt_env, check=False)
        process.run(
            ["apt-get", "install", "-y", "--no-install-recommends", package],
            timeout_s=300, env=apt_env, check=False,
        )  # fmt: skip
    return process.find_tool(name, package=package)


def mmdebstrap() -> str:
    """The mmdebstrap program."""
    return debian_tool("mmdebstrap", package="mmdebstrap")


LEAN_OPTIONS = (
    "--variant=minbase",
    '--aptopt=APT::Install-Recommends "false"',
    '--aptopt=Acquire::Languages "none"',
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
)


def _build(folder: Path) -> None:
    tar = folder / "root.tar"
    argv = [
        mmdebstrap(), *LEAN_OPTIONS, '--aptopt=APT::Default-Release "trixie-backports"',
        "--include=qemu-system-x86,qemu-utils,seabios", "trixie", str(tar),
        f"deb {_MIRROR} trixie main", f"deb {_MIRROR} trixie-backports main",
    ]  # fmt: skip
    process.run(argv, timeout_s=1800, log=folder / "build.log")
    # The root's /dev is left out: nothing here is entered, only read and executed.
    process.run(
        ["tar", "-C", str(folder), "--no-same-owner", "--exclude=./dev", "-xf", str(tar)],
        timeout_s=300,
    )
    tar.unlink()
