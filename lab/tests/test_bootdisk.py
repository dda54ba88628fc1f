from __future__ import annotations

import struct
import uuid
import zlib
from pathlib import Path

import pytest

from lab import bootdisk

LAYOUT = bootdisk.Layout(
    sectors=1 << 16, disk_id=uuid.UUID(int=1), root_partition_id=uuid.UUID(int=2)
)


def header(disk: bytes, sector: int) -> tuple[bytes, int, int]:
    raw = disk[sector * 512 : sector * 512 + 92]
    stored = struct.unpack_from("<I", raw, 16)[0]
    zeroed = raw[:16] + bytes(4) + raw[20:]
    assert zlib.crc32(zeroed) == stored
    own, other = struct.unpack_from("<QQ", raw, 24)
    return raw, own, other


def test_both_partition_tables_are_whole_and_point_at_each_other(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    bootdisk.write(path, LAYOUT, boot_img=b"B" * 512, core_img=b"C" * 1500)
    disk = path.read_bytes()
    assert len(disk) == LAYOUT.sectors * 512
    last = LAYOUT.sectors - 1
    for sector, other in ((1, last), (last, 1)):
        raw, own, pointed = header(disk, sector)
        assert (own, pointed) == (sector, other)
        table_at = struct.unpack_from("<Q", raw, 72)[0] * 512
        assert zlib.crc32(disk[table_at : table_at + 16384]) == struct.unpack_from("<I", raw, 88)[0]


def test_the_root_partition_ends_before_the_backup_table() -> None:
    end = LAYOUT.root_start_sector + LAYOUT.root_sectors
    assert end <= LAYOUT.sectors - 33
    assert LAYOUT.root_sectors % 2048 == 0


def test_the_boot_code_knows_where_the_core_is() -> None:
    mbr = bootdisk.protective_mbr(LAYOUT, b"B" * 512)
    assert struct.unpack_from("<Q", mbr, 0x5C)[0] == bootdisk.CORE_START_SECTOR
    assert mbr[446 + 4] == 0xEE
    assert mbr[510:] == b"\x55\xaa"


def test_the_core_knows_where_its_rest_is() -> None:
    core = bootdisk.embedded_core(bytes(1500))
    assert struct.unpack_from("<QHH", core, 500) == (bootdisk.CORE_START_SECTOR + 1, 2, 0x820)


def test_a_core_too_large_for_its_partition_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"core\.img"):
        bootdisk.write(tmp_path / "disk", LAYOUT, boot_img=b"", core_img=bytes(2 << 20))
