"""What kind of disk image a file is, by its first bytes; what is no whole disk is told apart."""

from __future__ import annotations

from .vmcreate import CloudImage, ImageKind

HEAD_BYTES = 1024
_QCOW2 = b"QFI\xfb"
_QCOW2_V3 = 3
# Of version 3: the data lies in another file [QEMU docs/interop/qcow2.txt, incompatible features]
_EXTERNAL_DATA = 1 << 2
_BOOT_SIGNATURE = b"\x55\xaa"
_OTHERS = (
    (b"\xfd7zXZ", "xz"), (b"\x1f\x8b", "gzip"), (b"(\xb5/\xfd", "zstd"), (b"BZh", "bzip2"),
    (b"PK\x03\x04", "zip"), (b"KDMV", "VMDK"), (b"# Disk Descriptor", "VMDK"), (b"conectix", "VHD"),
    (b"vhdxfile", "VHDX"), (b"<<< ", "VDI"), (b"<!DOCTYPE", "HTML"), (b"<html", "HTML"),
)  # fmt: skip


def disk_image(head: bytes, file_bytes: int) -> CloudImage:
    if head.startswith(_QCOW2):
        return _qcow2(head, file_bytes)
    named = next((name for magic, name in _OTHERS if head.startswith(magic)), "")
    if named:
        return CloudImage(kind=ImageKind.ODD, file_bytes=file_bytes, reason=named)
    if head[510:512] != _BOOT_SIGNATURE:
        return CloudImage(kind=ImageKind.ODD, file_bytes=file_bytes, reason="no-partitions")
    return CloudImage(kind=ImageKind.RAW, file_bytes=file_bytes, disk_bytes=file_bytes)


def _qcow2(head: bytes, file_bytes: int) -> CloudImage:
    """One that leans on another file would take what it names into the machine: PVE refuses it."""
    version, backing = int.from_bytes(head[4:8]), int.from_bytes(head[8:16])
    features = int.from_bytes(head[72:80]) if version >= _QCOW2_V3 else 0
    size = int.from_bytes(head[24:32])
    reason = ""
    if version not in (2, _QCOW2_V3) or len(head) < 104 or not size:  # noqa: PLR2004
        reason = "qcow2-damaged"
    elif backing or features & _EXTERNAL_DATA:
        reason = "qcow2-leans"
    if reason:
        return CloudImage(kind=ImageKind.ODD, file_bytes=file_bytes, reason=reason)
    return CloudImage(kind=ImageKind.QCOW2, file_bytes=file_bytes, disk_bytes=size)
