"""Builds the second guest: a kernel with nothing but what it needs, and a disk to boot from.

It runs under emulation inside emulation, where Debian's kernel takes six minutes to list the PCI
bus. So the kernel is made from Debian's source, with only these drivers in it, and starts without
boot loader, ACPI or initramfs. The agent is Debian's own; package manager and driver are stand-ins.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from lab import cache, process, qemu_build
from lab.progress import Reporter

_HERE = Path(__file__).parent
_MIRROR = "http://deb.debian.org/debian"
_SECURITY = "http://deb.debian.org/debian-security"
_SUITE = "bookworm"
_SOURCE = "linux-source-6.1"
_PACKAGES = (
    _SOURCE, "gcc", "make", "libc6-dev", "flex", "bison", "bc", "perl", "xz-utils",
    "libelf-dev", "qemu-guest-agent", "busybox-static",
)  # fmt: skip
_KERNEL_FILES = ("kernel.config", "Kbuild", "nvidia.c", "nvidia_uvm.c")
_CONFIG = "kernel/configs/lab.config"
_AGENT = "usr/sbin/qemu-ga"
_LOADER = "lib64/ld-linux-x86-64.so.2"
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_BUSYBOX = "bin/busybox"
# Room on paper for a driver's packages; almost all of it is a hole.
_DISK_BYTES = 8 << 30
_BUILD_TIMEOUT_S = 5400


def _texts(*names: str) -> str:
    return "\0".join((_HERE / name).read_text(encoding="utf-8") for name in names)


def _disk_files() -> list[str]:
    return ["init", "archive", "os-release", *(f"bin/{each.name}" for each in _programs())]


def _programs() -> list[Path]:
    return sorted((_HERE / "bin").iterdir())


KERNEL = cache.Artefact(
    name="second-guest-kernel",
    recipe=f"{_SUITE} {_PACKAGES} {_texts(*_KERNEL_FILES)} 1",
    needs_bytes=4 << 30,
)
DISK = cache.Artefact(
    name="second-guest-disk",
    recipe=f"{KERNEL.recipe} {_texts(*_disk_files())} {_DISK_BYTES} 1",
    needs_bytes=1 << 30,
)


@dataclass(frozen=True, kw_only=True)
class SecondGuest:
    """The two files that start it."""

    kernel: Path
    disk: Path


def ensure(reporter: Reporter) -> SecondGuest:
    """Build what is missing."""
    if not KERNEL.is_built:
        with reporter.step("building the second guest's kernel"):
            cache.ensure(KERNEL, _build_kernel)
    if not DISK.is_built:
        with reporter.step("making the second guest's disk"):
            cache.ensure(DISK, _build_disk)
    return SecondGuest(kernel=KERNEL.path / "vmlinux", disk=DISK.path / "disk.raw")


def _build_kernel(folder: Path) -> None:
    root = folder / "root"
    _bootstrap(root, folder)
    source = root / "usr/src" / _SOURCE
    _log(folder, ["tar", "-C", str(source.parent), "-xf", f"{source}.tar.xz"])
    shutil.copy(_HERE / "kernel.config", source / _CONFIG)
    modules = root / "usr/src/lab"
    modules.mkdir()
    for name in _KERNEL_FILES[1:]:
        shutil.copy(_HERE / name, modules)
    for words in (
        ("tinyconfig", "lab.config"),
        ("-j3", "vmlinux", "modules"),
        ("M=/usr/src/lab", "modules"),
    ):
        _make(folder, root, *words)
    release = (source / "include/config/kernel.release").read_text().strip()
    (folder / "release").write_text(release)
    # Started by its ELF entry for PVH: what a bzImage does first is to unpack itself.
    _log(
        folder,
        ["chroot", str(root), "strip", "-s", "-o", "/vmlinux", f"/usr/src/{_SOURCE}/vmlinux"],
    )
    (root / "vmlinux").rename(folder / "vmlinux")
    for module in modules.glob("*.ko"):
        shutil.copy(module, folder)
    _keep_programs(root, folder / "programs")
    cache.remove(root)


def _bootstrap(root: Path, folder: Path) -> None:
    tar = folder / "root.tar"
    argv = [
        qemu_build.mmdebstrap(), *qemu_build.LEAN_OPTIONS, f"--include={','.join(_PACKAGES)}",
        _SUITE, str(tar),
        f"deb {_MIRROR} {_SUITE} main", f"deb {_SECURITY} {_SUITE}-security main",
    ]  # fmt: skip
    _log(folder, argv)
    root.mkdir()
    _log(folder, ["tar", "-C", str(root), "-xpf", str(tar)])
    tar.unlink()


def _make(folder: Path, root: Path, *words: str) -> None:
    argv = ["chroot", str(root), "make", "-s", "ARCH=x86_64", "-C", f"/usr/src/{_SOURCE}", *words]
    _log(folder, argv)


def _log(folder: Path, argv: list[str]) -> None:
    process.run(argv, timeout_s=_BUILD_TIMEOUT_S, log=folder / "build.log")


def _keep_programs(root: Path, programs: Path) -> None:
    """The agent with what it is linked to, and busybox; the rest of the root has done its work."""
    listed = process.run(["chroot", str(root), "ldd", f"/{_AGENT}"], timeout_s=60).stdout
    names = [line.split()[0] for line in listed.splitlines() if "=> /" in line]
    libraries = [f"{_LIBRARIES}/{name}" for name in names]
    for path in (_AGENT, _BUSYBOX, _LOADER, *libraries):
        target = programs / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / path, target)


def _build_disk(folder: Path) -> None:
    root = folder / "root"
    shutil.copytree(KERNEL.path / "programs", root)
    release = (KERNEL.path / "release").read_text()
    for name in ("proc", "sys", "dev", "run", "tmp", "etc", "root", "boot", "sbin", "usr/bin",
                 "usr/share/lab", "var/lib/lab", f"lib/modules/{release}"):  # fmt: skip
        (root / name).mkdir(parents=True, exist_ok=True)
    _link_applets(root)
    shutil.copy(_HERE / "init", root / "sbin/init")
    for program in _programs():
        # The driver's own program comes with the driver's package.
        away = program.name == "nvidia-smi"
        shutil.copy(program, root / ("usr/share/lab" if away else "usr/bin") / program.name)
    (root / "sbin/shutdown").symlink_to("/usr/bin/shutdown")
    (root / "var/run").symlink_to("/run")
    for module in KERNEL.path.glob("*.ko"):
        shutil.copy(module, root / "usr/share/lab")
    archive = (_HERE / "archive").read_text(encoding="utf-8").replace("@KERNEL@", release)
    (root / "usr/share/lab/archive").write_text(archive, encoding="utf-8")
    shutil.copy(_HERE / "os-release", root / "etc/os-release")
    (root / "var/lib/lab/status").touch()
    _make_file_system(root, folder / "disk.raw")
    cache.remove(root)


def _link_applets(root: Path) -> None:
    own = {each.name for each in _programs()} | {"init"}
    applets = process.run([str(root / _BUSYBOX), "--list"], timeout_s=60).stdout.split()
    for name in applets:
        if name not in own and name != "busybox":
            (root / "bin" / name).symlink_to("busybox")


def _make_file_system(root: Path, disk: Path) -> None:
    with disk.open("wb") as stream:
        stream.truncate(_DISK_BYTES)
    mke2fs = process.find_tool("mke2fs", package="e2fsprogs")
    argv = [
        mke2fs,
        "-q",
        "-F",
        "-t",
        "ext2",
        "-b",
        "4096",
        "-N",
        "4096",
        "-m",
        "0",
        "-d",
        str(root),
    ]
    for each in root.rglob("*"):
        if each.is_file() and not each.is_symlink():
            each.chmod(0o755)
    process.run([*argv, str(disk)], timeout_s=300)
