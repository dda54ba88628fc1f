"""Builds what a host needs: QEMU, the bootstrapped root, and the settled factory disk."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from lab import cache, firmware, images, kvm, process, qemu_build, tables
from lab.machine import Boot, Machine
from lab.progress import Reporter
from lab.secondguest import image as second_guest

# Software emulation on a busy small machine; what is normal is printed, this is the end.
BOOT_TIMEOUT_S = 600


@dataclass(frozen=True, kw_only=True)
class Ready:
    """Everything a boot of a host needs."""

    qemu: qemu_build.Qemu
    image: images.Image
    accelerator: str


def artefacts() -> list[cache.Artefact]:
    """Everything that this version of the lab builds."""
    rows = {(host.release, host.layout) for host in tables.hosts().values()}
    all_images = [images.Image.named(*row) for row in sorted(rows)]
    disks = [each.disk for each in all_images]
    bases = [each.base for each in all_images]
    guests = [second_guest.KERNEL, second_guest.DISK]
    return [qemu_build.QEMU_ROOT, firmware.OVMF, *bases, *disks, *guests]


def ensure(host: tables.Host, reporter: Reporter) -> Ready:
    """Build whatever is missing for this host."""
    qemu = qemu_build.ensure(reporter)
    image = images.Image.named(host.release, host.layout)
    if image.layout.uefi:
        firmware.ensure(reporter)
    if not image.disk.is_built:
        tar = images.ensure_base(image, reporter)
        cache.ensure(image.disk, lambda folder: _build_disk(image, tar, folder, qemu, reporter))
    accelerator = kvm.choose(qemu, image.disk.path, reporter)
    return Ready(qemu=qemu, image=image, accelerator=accelerator)


def _build_disk(
    image: images.Image, tar: Path, folder: Path, qemu: qemu_build.Qemu, reporter: Reporter
) -> None:
    with reporter.step(f"making a bootable {image.name} disk"):
        raw = images.write_raw_disk(image, tar, folder)
    with reporter.step(f"booting {image.name} once, so that it is an installed host"):
        _settle(image, raw, folder, qemu)
    with reporter.step(f"writing down every file of {image.name}"):
        images.seal(image, raw, folder, qemu)


def _settle(image: images.Image, raw: Path, folder: Path, qemu: qemu_build.Qemu) -> None:
    """The first boot makes ids and caches; update-grub then writes the real grub.cfg."""
    rows = tables.hosts().values()
    wanted = (image.release, image.layout.name)
    some_host = next(each for each in rows if (each.release, each.layout) == wanted)
    plain = replace(some_host, iommu="", cards=())
    chips = None
    if image.layout.uefi:
        chips = firmware.with_variables(folder / firmware.VARIABLES_NAME)
    boot = Boot(
        host=plain, cards=(), disk=raw, disk_format="raw", accelerator="tcg", firmware=chips
    )
    machine = Machine.start(boot, qemu, folder / "first-boot")
    try:
        machine.wait_ready(timeout_s=BOOT_TIMEOUT_S)
        for command in image.layout.settle:
            machine.ssh.run(shlex.split(command), timeout_s=300)
        machine.ssh.run(["journalctl", "--flush", "--sync"], timeout_s=60, check=False)
        machine.ssh.run(["systemctl", "poweroff"], check=False, timeout_s=60)
        machine.wait_off(timeout_s=180)
    finally:
        machine.kill()


def make_overlay(image: images.Image, qemu: qemu_build.Qemu, overlay: Path) -> None:
    """A fresh disk on top of the factory image, which itself is never written to."""
    overlay.unlink(missing_ok=True)
    process.run(
        [*qemu.img, "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(image.disk_path),
         str(overlay)], timeout_s=60, env=qemu.env,
    )  # fmt: skip
    if image.layout.uefi:
        factory = image.disk.path / firmware.VARIABLES_NAME
        shutil.copyfile(factory, overlay.with_name(firmware.VARIABLES_NAME))


def firmware_of(image: images.Image, overlay: Path) -> firmware.Firmware | None:
    """The firmware that boots a disk made by `make_overlay`; None is QEMU's own SeaBIOS."""
    if not image.layout.uefi:
        return None
    return firmware.with_variables(overlay.with_name(firmware.VARIABLES_NAME))
