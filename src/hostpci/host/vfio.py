"""The kernel's own answer: the VFIO group interface, asked step by step.

Numbers from include/uapi/linux/vfio.h: ``_IO(';', 100 + n)``. Steps up to SET_IOMMU move the
group into a new DMA domain and do not reset the device; GET_DEVICE_FD does
(vfio_pci_core_enable -> pci_try_reset_function), so it is asked for separately.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

from ..model.finding import Outcome
from ..model.proof import ProofStep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_GET_API_VERSION = 0x3B64
_CHECK_EXTENSION = 0x3B65
_SET_IOMMU = 0x3B66
_GROUP_GET_STATUS = 0x3B67
_GROUP_SET_CONTAINER = 0x3B68
_GROUP_GET_DEVICE_FD = 0x3B6A
_DEVICE_GET_INFO = 0x3B6B
_DEVICE_GET_REGION_INFO = 0x3B6C
_DEVICE_RESET = 0x3B6F

_TYPE1V2_IOMMU = 3
_GROUP_VIABLE = 1
_DEVICE_FLAGS_RESET = 1
_CONFIG_REGION = 7
_MIN_PCI_REGIONS = 8
_DEAD_VENDOR = 0xFFFF
# open() or GET_DEVICE_FD on a group that a virtual machine holds
_IN_USE = (errno.EBUSY,)


def is_group_busy(number: int) -> bool:
    """True if somebody (a running virtual machine) holds the group open right now."""
    try:
        os.close(os.open(f"/dev/vfio/{number}", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return error.errno in _IN_USE
    return False


class GroupProbe:
    """Asks about one group. Descriptors live as long as the ``with`` block."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._open = ExitStack()
        self._container = -1
        self._group = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def prove_group(self) -> Iterator[ProofStep]:
        """Container, group, VIABLE, SET_CONTAINER, SET_IOMMU; stops at the first refusal."""
        subject = f"/dev/vfio/{self._number}"
        for code, question in (
            ("vfio-container", self._ask_container),
            ("vfio-group-open", self._ask_group),
            ("vfio-viable", self._ask_viable),
            ("vfio-set-container", self._ask_set_container),
            ("vfio-set-iommu", self._ask_set_iommu),
        ):
            step = _asked(code, subject, question)
            yield step
            if step.outcome is not Outcome.HOLDS:
                return

    def prove_device(self, address: str, bars: Mapping[int, int]) -> Iterator[ProofStep]:
        """Open the device (this resets it), read its info and regions, reset it once more.

        ``bars``: BAR index -> size in bytes as sysfs has it; VFIO must offer the same.
        """
        try:
            device = fcntl.ioctl(
                self._group, _GROUP_GET_DEVICE_FD, bytearray(address.encode() + b"\0"), True
            )
        except OSError as error:
            yield _refused("vfio-device-open", address, error)
            return
        self._open.callback(os.close, device)
        yield ProofStep(code="vfio-device-open", subject=address, outcome=Outcome.HOLDS)
        flags = 0

        def ask_info() -> tuple[bool, str]:
            nonlocal flags
            flags, regions = _device_info(device)
            return regions >= _MIN_PCI_REGIONS, f"flags={flags:#x} regions={regions}"

        yield _asked("vfio-device-info", address, ask_info)
        yield _asked("vfio-regions", address, lambda: _regions_match(device, bars))
        yield _asked("vfio-config-space", address, lambda: _config_vendor(device))
        if flags & _DEVICE_FLAGS_RESET:
            yield _asked("vfio-device-reset", address, lambda: _reset(device))
            yield _asked("vfio-alive-after-reset", address, lambda: _config_vendor(device))
        else:
            yield ProofStep(
                code="vfio-device-reset", subject=address, outcome=Outcome.DOES_NOT_HOLD,
                answer="no reset method",
            )  # fmt: skip

    def _keep(self, descriptor: int) -> int:
        self._open.callback(os.close, descriptor)
        return descriptor

    def _ask_container(self) -> tuple[bool, str]:
        self._container = self._keep(os.open("/dev/vfio/vfio", os.O_RDWR | os.O_CLOEXEC))
        version = fcntl.ioctl(self._container, _GET_API_VERSION)
        has_type1 = fcntl.ioctl(self._container, _CHECK_EXTENSION, _TYPE1V2_IOMMU)
        return version == 0 and has_type1 == 1, f"api={version} type1v2={has_type1}"

    def _ask_group(self) -> tuple[bool, str]:
        path = f"/dev/vfio/{self._number}"
        self._group = self._keep(os.open(path, os.O_RDWR | os.O_CLOEXEC))
        return True, ""

    def _ask_viable(self) -> tuple[bool, str]:
        status = bytearray(struct.pack("=II", 8, 0))
        fcntl.ioctl(self._group, _GROUP_GET_STATUS, status, True)
        _, flags = struct.unpack("=II", status)
        return bool(flags & _GROUP_VIABLE), f"flags={flags:#x}"

    def _ask_set_container(self) -> tuple[bool, str]:
        fcntl.ioctl(self._group, _GROUP_SET_CONTAINER, struct.pack("=i", self._container))
        return True, ""

    def _ask_set_iommu(self) -> tuple[bool, str]:
        fcntl.ioctl(self._container, _SET_IOMMU, _TYPE1V2_IOMMU)
        return True, "type1v2"


def _asked(code: str, subject: str, question: object) -> ProofStep:
    assert callable(question)  # noqa: S101
    try:
        holds, answer = question()
    except OSError as error:
        return _refused(code, subject, error)
    outcome = Outcome.HOLDS if holds else Outcome.DOES_NOT_HOLD
    return ProofStep(code=code, subject=subject, outcome=outcome, answer=answer)


def _refused(code: str, subject: str, error: OSError) -> ProofStep:
    """A virtual machine that holds the group leaves the question open; any other no is a no."""
    busy = error.errno in _IN_USE
    return ProofStep(
        code=code,
        subject=subject,
        outcome=Outcome.NOT_MEASURED if busy else Outcome.DOES_NOT_HOLD,
        answer=errno.errorcode.get(error.errno or 0, str(error)),
    )


def _device_info(device: int) -> tuple[int, int]:
    """Return (flags, number of regions) of struct vfio_device_info."""
    info = bytearray(struct.pack("=IIIII", 20, 0, 0, 0, 0))
    fcntl.ioctl(device, _DEVICE_GET_INFO, info, True)
    _, flags, regions, _, _ = struct.unpack("=IIIII", info)
    return flags, regions


def _region_sizes(device: int, regions: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return (size in bytes, file offset) of each region of struct vfio_region_info."""
    found = []
    for index in regions:
        info = bytearray(struct.pack("=IIIIQQ", 32, 0, index, 0, 0, 0))
        fcntl.ioctl(device, _DEVICE_GET_REGION_INFO, info, True)
        _, _, _, _, size, offset = struct.unpack("=IIIIQQ", info)
        found.append((size, offset))
    return tuple(found)


def _regions_match(device: int, bars: Mapping[int, int]) -> tuple[bool, str]:
    indices = sorted(bars)
    sizes = [size for size, _ in _region_sizes(device, indices)]
    answer = " ".join(f"BAR{index}={size:#x}" for index, size in zip(indices, sizes, strict=True))
    return sizes == [bars[index] for index in indices], answer


def _config_vendor(device: int) -> tuple[bool, str]:
    """Read the vendor id through VFIO: all ones is what a card that fell off the bus answers."""
    ((size, offset),) = _region_sizes(device, [_CONFIG_REGION])
    vendor, product = struct.unpack("<HH", os.pread(device, 4, offset))
    alive = vendor != _DEAD_VENDOR and size >= 256  # noqa: PLR2004  (conventional config space)
    return alive, f"{vendor:04x}:{product:04x}"


def _reset(device: int) -> tuple[bool, str]:
    fcntl.ioctl(device, _DEVICE_RESET)
    return True, ""
