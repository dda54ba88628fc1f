"""Runs in a lab host: opens a device through VFIO as QEMU does, and reads the start of a BAR.

`touch_bar.py ADDRESS BAR`. Numbers and structs are those of include/uapi/linux/vfio.h.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

_SET_IOMMU, _SET_CONTAINER, _GET_DEVICE_FD, _GET_REGION_INFO = 0x3B66, 0x3B68, 0x3B6A, 0x3B6C
_TYPE1_V2 = 3
_REGION_INFO = struct.Struct("<IIIIQQ")


def _ioctl(file: int, request: int, argument: object) -> int:
    # fcntl.ioctl would give back the buffer instead of the new descriptor.
    result: int = ctypes.CDLL(None, use_errno=True).ioctl(file, ctypes.c_ulong(request), argument)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), hex(request))
    return result


def main(address: str, bar: int) -> None:
    """Container, group, device, region, and four bytes of it."""
    group = os.path.basename(os.readlink(f"/sys/bus/pci/devices/{address}/iommu_group"))
    container = os.open("/dev/vfio/vfio", os.O_RDWR)
    opened = os.open(f"/dev/vfio/{group}", os.O_RDWR)
    _ioctl(opened, _SET_CONTAINER, ctypes.byref(ctypes.c_int(container)))
    _ioctl(container, _SET_IOMMU, ctypes.c_ulong(_TYPE1_V2))
    device = _ioctl(opened, _GET_DEVICE_FD, ctypes.c_char_p(address.encode()))
    info = ctypes.create_string_buffer(_REGION_INFO.pack(_REGION_INFO.size, 0, bar, 0, 0, 0))
    _ioctl(device, _GET_REGION_INFO, info)
    offset = _REGION_INFO.unpack(info.raw[: _REGION_INFO.size])[5]
    print(os.pread(device, 4, offset).hex())


if __name__ == "__main__":
    try:
        main(sys.argv[1], int(sys.argv[2]))
    except OSError as error:
        print(f"touch_bar: {error}", file=sys.stderr)
