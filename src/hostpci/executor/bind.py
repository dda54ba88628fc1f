"""Move one function between drivers on the running host (Documentation/ABI sysfs-bus-pci)."""

from __future__ import annotations

import os
from contextlib import suppress

from ..errors import ConflictError, EnvironmentFault
from ..host.files import HostFiles
from ..host.runner import Runner
from ..model.pci import VFIO, Identity

_BUS = "/sys/bus/pci"
_MODPROBE_TIMEOUT_S = 120
# "An empty string clears the override" (sysfs-bus-pci); the newline makes the write non-empty
_NO_OVERRIDE = "\n"


def driver_of(files: HostFiles, address: str) -> str | None:
    """The driver bound right now, None if there is none."""
    try:
        return os.readlink(f"{files.base.rstrip('/')}{_BUS}/devices/{address}/driver").rpartition(
            "/"
        )[2]
    except FileNotFoundError:
        return None


def override_of(files: HostFiles, address: str) -> str | None:
    """``driver_override`` right now, None if it is not set."""
    path = f"{files.base.rstrip('/')}{_BUS}/devices/{address}/driver_override"
    with open(path, encoding="ascii", errors="replace") as stream:
        text = stream.read().strip()
    return None if text in ("", "(null)") else text


def identity_of(files: HostFiles, address: str) -> Identity | None:
    """Who sits at ``address`` right now, None if nobody does."""
    base = f"{files.base.rstrip('/')}{_BUS}/devices/{address}"

    def read_id(name: str) -> str:
        with open(f"{base}/{name}", encoding="ascii", errors="replace") as stream:
            return stream.read().strip().removeprefix("0x")

    try:
        return Identity(
            vendor=read_id("vendor"),
            device=read_id("device"),
            subsystem_vendor=read_id("subsystem_vendor"),
            subsystem_device=read_id("subsystem_device"),
        )
    except FileNotFoundError:
        return None


def group_of(files: HostFiles, address: str) -> int | None:
    """Number of the IOMMU group."""
    try:
        link = os.readlink(f"{files.base.rstrip('/')}{_BUS}/devices/{address}/iommu_group")
    except FileNotFoundError:
        return None
    return int(link.rpartition("/")[2])


def bind_to_vfio(files: HostFiles, runner: Runner, address: str) -> None:
    """Take the function from whoever has it and give it to vfio-pci; prove it by reading back."""
    runner.run(["modprobe", VFIO], timeout_s=_MODPROBE_TIMEOUT_S)
    device = f"{_BUS}/devices/{address}"
    files.write_attribute(f"{device}/driver_override", VFIO)
    if driver_of(files, address) not in (None, VFIO):
        files.write_attribute(f"{device}/driver/unbind", address)
    if driver_of(files, address) is None:
        files.write_attribute(f"{_BUS}/drivers_probe", address)
    found = driver_of(files, address)
    if found != VFIO:
        raise ConflictError("bind-failed", address=address, driver=found or "-")


def hand_back(files: HostFiles, address: str, *, override: str | None, driver: str | None) -> bool:
    """Restore ``driver_override`` and give the function back to ``driver`` (None: to nobody).

    Works from any state that a half-done bind leaves. Returns False if a driver should have it
    and none took it. Raises ConflictError if a running virtual machine holds the group:
    unbinding would wait for it without end (vfio_main.c vfio_unregister_group_dev).
    """
    _let_go(files, address, override)
    if driver is None or driver_of(files, address) is not None:
        return True
    with suppress(EnvironmentFault):
        files.write_attribute(f"{_BUS}/drivers/{driver}/bind", address)
    if driver_of(files, address) is None:
        # Its module may be gone meanwhile: whoever the kernel would choose at boot, then.
        files.write_attribute(f"{_BUS}/drivers_probe", address)
    return driver_of(files, address) is not None


def hand_back_to_any(files: HostFiles, address: str) -> str | None:
    """Clear the override and let the kernel choose as it would at boot; return its choice."""
    _let_go(files, address, None)
    if driver_of(files, address) is None:
        files.write_attribute(f"{_BUS}/drivers_probe", address)
    return driver_of(files, address)


def clear_override(files: HostFiles, address: str) -> None:
    """Take back a reservation for vfio-pci of a function that a host driver has, or nobody."""
    files.write_attribute(f"{_BUS}/devices/{address}/driver_override", _NO_OVERRIDE)


def _let_go(files: HostFiles, address: str, override: str | None) -> None:
    from ..host.vfio import is_group_busy

    number = group_of(files, address)
    bound = driver_of(files, address) == VFIO
    if bound and number is not None and is_group_busy(number):
        raise ConflictError("group-busy", address=address, group=number)
    device = f"{_BUS}/devices/{address}"
    if override_of(files, address) != override:
        files.write_attribute(f"{device}/driver_override", override or _NO_OVERRIDE)
    if bound:
        files.write_attribute(f"{device}/driver/unbind", address)
    if driver_of(files, address) == VFIO:
        raise EnvironmentFault("unbind-failed", address=address)
