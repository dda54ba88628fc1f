from __future__ import annotations

import re
import struct
from pathlib import Path

from lab import bootdisk, lvm
from lab.images import Image
from lab.layouts import layout

VOLUME = lvm.Volume(name="test", sectors=1 << 20)


def test_the_checksum_is_crc32_from_lvms_start_without_the_last_inversion() -> None:
    # Bit by bit, as the polynomial is written down.
    state = 0xF597A6CF
    for byte in b"123456789":
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (0xEDB88320 if state & 1 else 0)
    assert lvm.checksum(b"123456789") == state


def written(tmp_path: Path, offset: int) -> bytes:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(offset + (2 << 20)))
    lvm.write(disk, offset, VOLUME)
    return disk.read_bytes()[offset:]


def test_label_and_metadata_are_found_from_the_label_on_and_their_checksums_hold(
    tmp_path: Path,
) -> None:
    volume = written(tmp_path, 4096)
    label = volume[512:1024]
    assert label[:8] == b"LABELONE"
    assert label[24:32] == b"LVM2 001"
    assert struct.unpack_from("<I", label, 16)[0] == lvm.checksum(label[20:])
    header_at = struct.unpack_from("<I", label, 20)[0]
    first_extent, _, end, _, area_at, area_size = struct.unpack_from("<6Q", label, header_at + 40)
    assert (first_extent, end) == (lvm.FILE_SYSTEM_OFFSET_BYTES, 0)
    area = volume[area_at : area_at + area_size]
    assert struct.unpack_from("<I", area)[0] == lvm.checksum(area[4:512])
    at, size, checksum = struct.unpack_from("<QQI", area, 40)
    text = area[at : at + size]
    assert text.endswith(b"\0")
    assert lvm.checksum(text) == checksum


def test_the_root_volume_lies_in_one_piece_inside_the_partition(tmp_path: Path) -> None:
    text = lvm.metadata(VOLUME)
    extents = int(re.findall(r"extent_count = (\d+)", text)[0])
    assert extents * 8192 == VOLUME.root_sectors
    assert VOLUME.root_sectors * 512 + lvm.FILE_SYSTEM_OFFSET_BYTES <= VOLUME.sectors * 512
    assert text.count("{") == text.count("}")
    written(tmp_path, 0)


def test_the_file_system_of_an_lvm_image_begins_at_the_first_extent() -> None:
    plain = Image.named("debian12", "plain").disk_layout
    on_lvm = Image(release="debian12", layout=layout("lvm")).disk_layout
    inside = on_lvm.file_system_offset_bytes - on_lvm.root_start_sector * bootdisk.SECTOR_BYTES
    assert inside == lvm.FILE_SYSTEM_OFFSET_BYTES
    assert plain.file_system_offset_bytes == plain.root_start_sector * bootdisk.SECTOR_BYTES
    assert on_lvm.file_system_sectors < on_lvm.root_sectors
