"""The recorded host under other boot loaders: what each would have left on it."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from .hosts import RecordedHost

EFIVARS = "/sys/firmware/efi/efivars"
LOADER_INFO = f"{EFIVARS}/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
SECURE_BOOT = f"{EFIVARS}/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
UUIDS = "/etc/kernel/proxmox-boot-uuids"
CMDLINE = "/etc/kernel/cmdline"
ROOT = "root=ZFS=rpool/ROOT/pve-1 boot=zfs"
STATUS = ["proxmox-boot-tool", "status"]


def with_efi(
    host: RecordedHost, loader_info: str | None = None, *, secure_boot: bool = False
) -> RecordedHost:
    """UEFI firmware; ``loader_info`` as the loader wrote it, None for a loader that does not."""
    host.data["errors"].pop("/sys/firmware/efi", None)
    host.data["exists"]["/sys/firmware/efi"] = True
    value = b"\x06\0\0\0" + bytes([secure_boot])
    host.data["binary"][SECURE_BOOT] = base64.b64encode(value).decode()
    if loader_info is None:
        return host.without(LOADER_INFO)
    content = b"\x06\0\0\0" + f"{loader_info}\0".encode("utf-16-le")
    host.data["errors"].pop(LOADER_INFO, None)
    host.data["binary"][LOADER_INFO] = base64.b64encode(content).decode()
    return host


def with_esps(host: RecordedHost, found: dict[str, str], *, missing: Sequence[str] = ()) -> None:
    """List ESPs; ``found``: UUID -> what status says it has (``uefi``, ``grub``, both)."""
    uuids = [*found, *missing]
    host.with_file(UUIDS, "".join(f"{uuid}\n" for uuid in uuids))
    for uuid in uuids:
        host.data["exists"][f"/dev/disk/by-uuid/{uuid}"] = uuid in found
    lines = [
        f"{uuid} is configured with: "
        + ", ".join(f"{loader} (versions: {host.release})" for loader in loaders.split())
        for uuid, loaders in found.items()
    ]
    text = "System currently booted with uefi\n" + "".join(f"{line}\n" for line in lines)
    host.data["commands"] = [each for each in host.data["commands"] if each["argv"] != STATUS]
    host.data["commands"].append({"argv": STATUS, "stdout": text})


def with_copied(host: RecordedHost, *releases: str) -> RecordedHost:
    """The kernels that every listed ESP holds."""
    for command in host.data["commands"]:
        if command["argv"] == STATUS:
            text = command["stdout"].replace(host.release, ", ".join(releases))
            command["stdout"] = text
    return host


def systemd_boot_on_esp(host: RecordedHost, **esps: str) -> RecordedHost:
    """PVE on ZFS or btrfs, UEFI without Secure Boot."""
    with_efi(host, "systemd-boot 252.39-1~deb12u1")
    with_esps(host, {uuid.replace("_", "-"): has for uuid, has in (esps or _ONE_UEFI).items()})
    host.with_file(CMDLINE, f"{ROOT}\n")
    initrd = f"\\EFI\\proxmox\\{host.release}\\initrd.img-{host.release}"
    return host.with_file("/proc/cmdline", f"initrd={initrd} {ROOT}\n")


def grub_on_esp(host: RecordedHost, *, efi: bool = False, **esps: str) -> RecordedHost:
    """PVE on ZFS or btrfs, BIOS, or UEFI with Secure Boot. The installer writes the file that
    only systemd-boot reads all the same."""
    if efi:
        with_efi(host, "GRUB 2.12-9+pmx2", secure_boot=True)
    with_esps(host, {uuid.replace("_", "-"): has for uuid, has in (esps or _ONE_GRUB).items()})
    host.with_file(CMDLINE, f"{ROOT}\n")
    host.with_file(
        "/etc/default/grub.d/zfs.cfg", f'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX {ROOT}"\n'
    )
    line = f"BOOT_IMAGE=/vmlinuz-{host.release} root=ZFS=/ROOT/pve-1 ro console=ttyS0 {ROOT} quiet"
    return host.with_file("/proc/cmdline", f"{line}\n")


_ONE_UEFI = {"AAAA_1111": "uefi"}
_ONE_GRUB = {"AAAA_1111": "grub"}
