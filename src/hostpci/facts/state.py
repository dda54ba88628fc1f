"""Reads what tells one state of a host from another, and the baseline of the last apply."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ..model.baseline import (
    BASELINE,
    SCHEMA,
    Baseline,
    FileDigest,
    Firmware,
    HostState,
    SeenFunction,
)
from ..model.codec import DecodeError, decode
from ..model.facts import Facts
from .look import Look

_DMI = "/sys/class/dmi/id"
_FILES = (
    "/etc/hostpci.toml", "/etc/default/grub", "/etc/kernel/cmdline", "/etc/modules",
    "/etc/initramfs-tools/modules", "/etc/network/interfaces",
)  # fmt: skip
# (directory, ending): what plans rest on, or what they write
_DIRECTORIES = (
    ("/etc/default/grub.d", ".cfg"),
    ("/etc/modprobe.d", ".conf"),
    ("/etc/modules-load.d", ".conf"),
    ("/etc/udev/rules.d", ".rules"),
    ("/etc/network/interfaces.d", ""),
    ("/etc/systemd/network", ".link"),
)


def read_state(look: Look) -> HostState:
    board = (look.text(f"{_DMI}/board_{each}") or "" for each in ("vendor", "name", "version"))
    return HostState(
        boot_id=look.text("/proc/sys/kernel/random/boot_id") or "",
        firmware=Firmware(
            vendor=look.text(f"{_DMI}/bios_vendor") or "",
            version=look.text(f"{_DMI}/bios_version") or "",
            date=look.text(f"{_DMI}/bios_date") or "",
            board=" ".join(filter(None, board)),
        ),
        microcode=look.text("/sys/devices/system/cpu/cpu0/microcode/version") or "",
        files=tuple(_digests(look)),
        baseline=_baseline(look),
    )


def _digests(look: Look) -> Iterator[FileDigest]:
    listed = [
        f"{directory}/{name}"
        for directory, ending in _DIRECTORIES
        for name in look.names(directory)
        if name.endswith(ending)
    ]
    # A link to /etc/modules, which is among the files
    listed = [path for path in listed if path != "/etc/modules-load.d/modules.conf"]
    for path in (*_FILES, *listed):
        digest = look.digest(path)
        if digest is not None:
            yield FileDigest(path=path, sha256=digest)


def _baseline(look: Look) -> Baseline | None:
    """None if there is none; one that cannot be understood is noted as not read."""
    text = look.raw(BASELINE)
    if text is None:
        return None
    try:
        data = json.loads(text)
        if not isinstance(data, dict) or data.pop("schema", None) != SCHEMA:
            raise DecodeError("schema", f"expected {SCHEMA}")
        return decode(Baseline, data)
    except (ValueError, RecursionError) as error:
        look.note(BASELINE, str(error)[:200])
        return None


def baseline_of(facts: Facts, taken: str) -> Baseline:
    """The host as it is, to be compared with later."""
    return Baseline(
        taken=taken,
        boot_id=facts.state.boot_id,
        kernel=facts.kernel.release,
        command_line=facts.kernel.command_line,
        firmware=facts.state.firmware,
        microcode=facts.state.microcode,
        pve_version=facts.platform.pve_version,
        loader=facts.loader.loader,
        esps=tuple(each.uuid for each in facts.loader.esps),
        functions=tuple(
            SeenFunction(
                address=each.address, identity=each.identity, driver=each.driver,
                group=each.iommu_group,
            )
            for each in facts.inventory.functions
        ),
        files=facts.state.files,
    )  # fmt: skip
