"""EFI system partitions inside a disk image, through mtools: the building kernel may lack vfat."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab import bootdisk, process, qemu_build

# mtools asks on the terminal unless told not to, and refuses a disk whose geometry it dislikes.
_ENVIRONMENT = {"MTOOLS_SKIP_CHECK": "1", "MTOOLS_NO_VFAT": "0"}

# A FAT32 file system's boot sector and its copy.
_BOOT_SECTORS = (0, 6)


def _image(disk: Path, layout: bootdisk.Layout) -> str:
    return f"{disk}@@{layout.esp_start_sector * bootdisk.SECTOR_BYTES}"


def _run(name: str, *words: str) -> None:
    program = qemu_build.debian_tool(name, package="mtools")
    process.run([program, *words], timeout_s=120, env=_ENVIRONMENT)


def write(disk: Path, layout: bootdisk.Layout, serial: str, tree: Path) -> None:
    """Make the FAT file system and copy everything below `tree` onto it."""
    image = _image(disk, layout)
    _run(
        "mformat", "-i", image, "-F", "-T", str(layout.esp_sectors), "-h", "255", "-s", "63",
        "-H", str(layout.esp_start_sector), "-N", serial.replace("-", ""), "-v", "ESP", "::",
    )  # fmt: skip
    _remove_partition_entry(disk, layout)
    for each in sorted(tree.iterdir()):
        _run("mcopy", "-i", image, "-s", "-n", "-m", str(each), "::/")


def _remove_partition_entry(disk: Path, layout: bootdisk.Layout) -> None:
    """mformat describes the file system as a partition inside itself, which GRUB warns about."""
    with disk.open("r+b") as image:
        for sector in _BOOT_SECTORS:
            image.seek((layout.esp_start_sector + sector) * bootdisk.SECTOR_BYTES + 446)
            image.write(bytes(64))


def read(disk: Path, layout: bootdisk.Layout, folder: Path) -> None:
    """Copy everything from the ESP into `folder`."""
    _run("mcopy", "-i", _image(disk, layout), "-s", "-n", "-m", "::/", str(folder / "esp"))
    for each in (folder / "esp").iterdir():
        shutil.move(each, folder)
    (folder / "esp").rmdir()
