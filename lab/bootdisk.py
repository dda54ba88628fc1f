"""A bootable disk made without partition devices: GPT by hand, GRUB embedded by hand.

SeaBIOS and GRUB's i386-pc port where a layout does not ask for OVMF: through OVMF a boot under
software emulation takes about 25 s longer. Proxmox VE's own installer lays down a BIOS boot
partition too, on every host.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from dataclasses import dataclass
from pathlib import Path

from lab import lvm

SECTOR_BYTES = 512
_ENTRY_COUNT, _ENTRY_BYTES = 128, 128
_TABLE_SECTORS = _ENTRY_COUNT * _ENTRY_BYTES // SECTOR_BYTES
_BIOS_BOOT_TYPE = uuid.UUID("21686148-6449-6e6f-744e-656564454649")
_LINUX_ROOT_TYPE = uuid.UUID("4f68bce3-e8cd-4db1-96e7-fbcaf984b709")
_LVM_TYPE = uuid.UUID("e6d6d379-f507-44c2-a23c-238f2a3df928")
_ESP_TYPE = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")

CORE_START_SECTOR = 2048
_CORE_END_SECTOR = 4096

# GRUB 2.06, include/grub/i386/pc/boot.h: GRUB_BOOT_MACHINE_KERNEL_SECTOR, and the boot code ends
# before the partition table (GRUB_BOOT_MACHINE_PART_START).
_BOOT_KERNEL_SECTOR_AT = 0x5C
_BOOT_DRIVE_CHECK_AT = 0x66
_BOOT_CODE_BYTES = 0x1B8
# ... and the first block list entry of diskboot.img is the last 12 bytes of core.img's first
# sector: start sector (u64), length in sectors (u16), load segment (u16).
_BLOCKLIST_AT = SECTOR_BYTES - 12
_CORE_LOAD_SEGMENT = 0x820


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The disk's size, partitions and identity; fixed ids make an image reproducible."""

    sectors: int
    disk_id: uuid.UUID
    root_partition_id: uuid.UUID
    esp_sectors: int = 0
    on_lvm: bool = False

    @property
    def esp_start_sector(self) -> int:
        """Where the EFI system partition begins, if there is one."""
        return _CORE_END_SECTOR

    @property
    def root_start_sector(self) -> int:
        """Where the last partition begins: the root file system or LVM's physical volume."""
        return _CORE_END_SECTOR + self.esp_sectors

    @property
    def root_sectors(self) -> int:
        """That partition ends where the backup partition table begins, on a whole MiB."""
        usable = self.sectors - self.root_start_sector - _TABLE_SECTORS - 1
        return usable // 2048 * 2048

    @property
    def volume(self) -> lvm.Volume:
        """The last partition as LVM's physical volume."""
        return lvm.Volume(name=str(self.disk_id), sectors=self.root_sectors)

    @property
    def file_system_offset_bytes(self) -> int:
        """Where the root file system begins on the disk: a linear volume is in one piece."""
        inside = lvm.FILE_SYSTEM_OFFSET_BYTES if self.on_lvm else 0
        return self.root_start_sector * SECTOR_BYTES + inside

    @property
    def file_system_sectors(self) -> int:
        """How large the root file system is."""
        return self.volume.root_sectors if self.on_lvm else self.root_sectors


def _entry(type_id: uuid.UUID, own_id: uuid.UUID, first: int, last: int, name: str) -> bytes:
    return struct.pack(
        "<16s16sQQQ72s", type_id.bytes_le, own_id.bytes_le, first, last, 0, name.encode("utf-16-le")
    )


def _table(layout: Layout) -> bytes:
    core_id, esp_id = (uuid.uuid5(layout.disk_id, name) for name in ("bios-boot", "esp"))
    core_last, root = _CORE_END_SECTOR - 1, layout.root_start_sector
    entries = [_entry(_BIOS_BOOT_TYPE, core_id, CORE_START_SECTOR, core_last, "bios-boot")]
    if layout.esp_sectors:
        entries.append(_entry(_ESP_TYPE, esp_id, layout.esp_start_sector, root - 1, "esp"))
    kind = _LVM_TYPE if layout.on_lvm else _LINUX_ROOT_TYPE
    root_last = root + layout.root_sectors - 1
    entries.append(_entry(kind, layout.root_partition_id, root, root_last, "root"))
    return b"".join(entries).ljust(_ENTRY_COUNT * _ENTRY_BYTES, b"\0")


def _header(layout: Layout, table: bytes, *, own: int, other: int, table_at: int) -> bytes:
    # UEFI specification 2.10, table 5.5 (GPT header); the checksum is taken with itself zero.
    def pack(checksum: int) -> bytes:
        return struct.pack(
            "<8sIIIIQQQQ16sQIII",
            b"EFI PART", 0x10000, 92, checksum, 0, own, other,
            2 + _TABLE_SECTORS, layout.sectors - _TABLE_SECTORS - 2,
            layout.disk_id.bytes_le, table_at, _ENTRY_COUNT, _ENTRY_BYTES, zlib.crc32(table),
        )  # fmt: skip

    return pack(zlib.crc32(pack(0))).ljust(SECTOR_BYTES, b"\0")


def protective_mbr(layout: Layout, boot_img: bytes) -> bytes:
    """GRUB's boot.img, told where core.img is, over a protective partition table."""
    mbr = bytearray(boot_img[:_BOOT_CODE_BYTES].ljust(SECTOR_BYTES, b"\0"))
    struct.pack_into("<Q", mbr, _BOOT_KERNEL_SECTOR_AT, CORE_START_SECTOR)
    # Two NOPs where boot.img distrusts the BIOS's drive number, as grub-bios-setup writes them.
    mbr[_BOOT_DRIVE_CHECK_AT : _BOOT_DRIVE_CHECK_AT + 2] = b"\x90\x90"
    whole_disk = min(layout.sectors - 1, 0xFFFFFFFF)
    struct.pack_into("<B3sB3sII", mbr, 446, 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, whole_disk)
    mbr[510:512] = b"\x55\xaa"
    return bytes(mbr)


def embedded_core(core_img: bytes) -> bytes:
    """core.img with its block list pointing at its own second sector on the disk."""
    core = bytearray(core_img)
    sectors = -(-len(core) // SECTOR_BYTES) - 1
    struct.pack_into(
        "<QHH", core, _BLOCKLIST_AT, CORE_START_SECTOR + 1, sectors, _CORE_LOAD_SEGMENT
    )
    return bytes(core)


def write(disk: Path, layout: Layout, *, boot_img: bytes, core_img: bytes) -> None:
    """Lay everything but the root file system onto a disk image (created sparse when absent)."""
    core_room = (_CORE_END_SECTOR - CORE_START_SECTOR) * SECTOR_BYTES
    if len(core_img) > core_room:
        raise ValueError(f"core.img has {len(core_img)} bytes, the partition {core_room}")
    table, last = _table(layout), layout.sectors - 1
    first_header = _header(layout, table, own=1, other=last, table_at=2)
    backup_at = last - _TABLE_SECTORS
    backup_header = _header(layout, table, own=last, other=1, table_at=backup_at)
    pieces = [
        (0, protective_mbr(layout, boot_img) + first_header + table),
        (backup_at, table + backup_header),
    ]
    if core_img:
        pieces.append((CORE_START_SECTOR, embedded_core(core_img)))
    with disk.open("r+b" if disk.exists() else "w+b") as image:
        image.truncate(layout.sectors * SECTOR_BYTES)
        for sector, data in pieces:
            image.seek(sector * SECTOR_BYTES)
            image.write(data)
    if layout.on_lvm:
        lvm.write(disk, layout.root_start_sector * SECTOR_BYTES, layout.volume)
