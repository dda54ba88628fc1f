"""Factory images of Debian hosts: bootstrapped, made bootable, booted once, and described.

Nothing of hostpci is in an image. What is tuned for speed (no console logins, no timers, a static
address, a small initramfs) is nothing that decides which driver a PCI device gets: udev,
module loading and nouveau are as Debian ships them.
"""

from __future__ import annotations

import gzip
import json
import re
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from lab import bootdisk, cache, process, qemu_build
from lab.errors import UsageError
from lab.progress import Reporter
from lab.rootdiff import Manifest, manifest_of_disk

DISK_NAME = "factory.qcow2"
MANIFEST_NAME = "manifest.json.gz"
_MIRROR = "http://deb.debian.org/debian"
_SECURITY = "http://deb.debian.org/debian-security"
_DISK_SECTORS = 6 << 21  # 6 GiB, sparse: room for a few kernels' initramfs images
_NAMESPACE = uuid.UUID("6f1d9d4e-0c6c-4f43-8e0e-2c8b3c1d9a55")
_SUITES = {"debian12": "bookworm", "debian13": "trixie"}
RELEASES = tuple(_SUITES)
_PACKAGES = (
    "linux-image-amd64", "initramfs-tools", "zstd", "busybox", "systemd-sysv", "udev", "kmod",
    "grub-pc", "openssh-server", "python3", "pciutils", "pci.ids", "iproute2", "procps",
    "e2fsprogs", "less",
)  # fmt: skip

# Units that only cost time here. None of them touches PCI devices or kernel modules.
_UNWANTED_LINKS = (
    "getty.target.wants/getty@tty1.service",
    "multi-user.target.wants/e2scrub_reap.service",
    "timers.target.wants/apt-daily-upgrade.timer",
    "timers.target.wants/apt-daily.timer",
    "timers.target.wants/dpkg-db-backup.timer",
    "timers.target.wants/e2scrub_all.timer",
    "timers.target.wants/fstrim.timer",
)
_MASKED = ("serial-getty@ttyS0.service", "systemd-logind.service", "getty-static.service")

# Only for the one initramfs made here in a chroot, where MODULES=dep cannot see the disk the
# host will boot from; the host itself is configured with MODULES=dep, the Debian installer's
# "targeted" choice, because MODULES=most takes minutes per update under software emulation.
_INITRAMFS_CONFIG = "run/lab-initramfs"
_BOOT_MODULES = ("virtio_pci", "virtio_blk", "ext4", "crc32c_generic")

_FILES = {
    "etc/hostname": "{release}\n",
    "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 {release}\n",
    "etc/fstab": "UUID={root_uuid} / ext4 errors=remount-ro 0 1\n",
    "etc/default/grub": (
        "GRUB_DEFAULT=0\nGRUB_TIMEOUT=0\nGRUB_DISTRIBUTOR=Debian\nGRUB_TERMINAL=console\n"
        'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX="console=ttyS0"\n'
    ),
    "boot/grub/grub.cfg": (
        "search --no-floppy --fs-uuid --set=root {root_uuid}\n"
        "linux /boot/vmlinuz-{kernel} root=UUID={root_uuid} ro console=ttyS0 quiet\n"
        "initrd /boot/initrd.img-{kernel}\nboot\n"
    ),
    "etc/initramfs-tools/conf.d/driver-policy": "MODULES=dep\n",
    "etc/systemd/network/10-lab.network": (
        "[Match]\nName=e*\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n"
        "LinkLocalAddressing=no\nIPv6AcceptRA=no\n"
    ),
    "etc/ssh/sshd_config.d/lab.conf": (
        "PermitRootLogin prohibit-password\nUsePAM no\nUseDNS no\nX11Forwarding no\n"
        "AcceptEnv none\nHostKey /etc/ssh/ssh_host_ed25519_key\n"
    ),
}

_RECIPE = json.dumps([_UNWANTED_LINKS, _MASKED, _BOOT_MODULES, _FILES, _DISK_SECTORS, "disk 3"])


@dataclass(frozen=True, kw_only=True)
class Image:
    """One Debian release's factory image."""

    release: str

    def __post_init__(self) -> None:
        if self.release not in _SUITES:
            raise UsageError(f"no Debian release {self.release!r}", hint=f"known: {list(_SUITES)}")

    @property
    def base(self) -> cache.Artefact:
        """The bootstrapped Debian root, before anything of the lab."""
        recipe = f"{_SUITES[self.release]} {_PACKAGES} {qemu_build.LEAN_OPTIONS} 1"
        return cache.Artefact(name=f"{self.release}-base", recipe=recipe, needs_bytes=3 << 30)

    @property
    def disk(self) -> cache.Artefact:
        """The factory disk, booted once, with the manifest of its root."""
        recipe = f"{self.base.recipe} {_RECIPE} {public_key().read_text()}"
        return cache.Artefact(name=f"{self.release}-disk", recipe=recipe, needs_bytes=6 << 30)

    @property
    def root_uuid(self) -> str:
        """The root file system's UUID, fixed per release."""
        return str(uuid.uuid5(_NAMESPACE, f"{self.release} root"))

    @property
    def disk_path(self) -> Path:
        """The factory disk that every host's overlay is backed by."""
        return self.disk.path / DISK_NAME

    def manifest(self) -> Manifest:
        """Every path of the factory root, as it was when the image was made."""
        with gzip.open(self.disk.path / MANIFEST_NAME, "rt", encoding="utf-8") as stream:
            return Manifest.from_json(json.load(stream))


def private_key() -> Path:
    """The key that logs in to every lab host, made on first use."""
    key = cache.root() / "ssh" / "id_ed25519"
    if not key.exists():
        key.parent.mkdir(mode=0o700, exist_ok=True)
        keygen = process.find_tool("ssh-keygen", package="openssh-client")
        process.run(
            [keygen, "-q", "-t", "ed25519", "-N", "", "-C", "hostpci-lab", "-f", str(key)],
            timeout_s=60,
        )
    return key


def public_key() -> Path:
    """The public half of `private_key`."""
    return private_key().with_suffix(".pub")


def ensure_base(image: Image, reporter: Reporter) -> Path:
    """The bootstrapped root as a tar file, built now when missing."""
    if not image.base.is_built:
        with reporter.step(f"bootstrapping {image.release}"):
            cache.ensure(image.base, lambda folder: _bootstrap(image, folder))
    return image.base.path / "root.tar"


def _bootstrap(image: Image, folder: Path) -> None:
    suite = _SUITES[image.release]
    argv = [
        qemu_build.mmdebstrap(), *qemu_build.LEAN_OPTIONS, f"--include={','.join(_PACKAGES)}",
        suite, str(folder / "root.tar"),
        f"deb {_MIRROR} {suite} main", f"deb {_SECURITY} {suite}-security main",
    ]  # fmt: skip
    process.run(argv, timeout_s=1800, log=folder / "build.log")


def write_raw_disk(image: Image, tar: Path, folder: Path) -> Path:
    """A raw disk that boots, from the bootstrapped tar; needs root for owners and chroot."""
    qemu_build.require_root("making a host image")
    root = folder / "root"
    root.mkdir()
    process.run(
        ["tar", "-C", str(root), "--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf",
         str(tar)], timeout_s=600,
    )  # fmt: skip
    kernel = _customise(image, root)
    core = _make_grub_core(root)
    _make_initramfs(root, kernel)
    shutil.copy(root / f"boot/vmlinuz-{kernel}", folder / "vmlinuz")
    shutil.copy(root / f"boot/initrd.img-{kernel}", folder / "initrd.img")
    disk = folder / "factory.raw"
    layout = bootdisk.Layout(
        sectors=_DISK_SECTORS,
        disk_id=uuid.uuid5(_NAMESPACE, f"{image.release} disk"),
        root_partition_id=uuid.uuid5(_NAMESPACE, f"{image.release} root partition"),
    )
    boot_img = (root / "usr/lib/grub/i386-pc/boot.img").read_bytes()
    bootdisk.write(disk, layout, boot_img=boot_img, core_img=core)
    _make_root_file_system(image, root, disk, layout)
    cache.remove(root)
    return disk


def _customise(image: Image, root: Path) -> str:
    kernel = next((root / "lib/modules").iterdir()).name
    names = {"release": image.release, "root_uuid": image.root_uuid, "kernel": kernel}
    for path, text in _FILES.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(re.sub(r"\{(\w+)\}", lambda found: names[found[1]], text))
    units = root / "etc/systemd/system"
    for link in _UNWANTED_LINKS:
        (units / link).unlink(missing_ok=True)
    for unit in _MASKED:
        (units / unit).symlink_to("/dev/null")
    wants = units / "multi-user.target.wants"
    (wants / "systemd-networkd.service").symlink_to("/lib/systemd/system/systemd-networkd.service")
    ssh = root / "root/.ssh"
    ssh.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(public_key(), ssh / "authorized_keys")
    return kernel


def _make_grub_core(root: Path) -> bytes:
    modules = root / "boot/grub/i386-pc"
    modules.mkdir()
    for module in (root / "usr/lib/grub/i386-pc").glob("*.mod"):
        shutil.copy(module, modules)
    for listing in (root / "usr/lib/grub/i386-pc").glob("*.lst"):
        shutil.copy(listing, modules)
    argv = [
        "chroot", str(root), "grub-mkimage", "-O", "i386-pc", "-o", "/boot/grub/i386-pc/core.img",
        "-p", "(hd0,gpt2)/boot/grub", "biosdisk", "part_gpt", "ext2",
    ]  # fmt: skip
    process.run(argv, timeout_s=60)
    return (modules / "core.img").read_bytes()


def _make_initramfs(root: Path, kernel: str) -> None:
    config = root / _INITRAMFS_CONFIG
    shutil.copytree(root / "etc/initramfs-tools", config, symlinks=True)
    (config / "conf.d/driver-policy").write_text("MODULES=list\n")
    (config / "modules").write_text("\n".join(_BOOT_MODULES) + "\n")
    argv = [
        "chroot", str(root), "mkinitramfs", "-d", f"/{_INITRAMFS_CONFIG}", "-o",
        f"/boot/initrd.img-{kernel}", kernel,
    ]  # fmt: skip
    process.run(argv, timeout_s=300)
    cache.remove(config)


def _make_root_file_system(image: Image, root: Path, disk: Path, layout: bootdisk.Layout) -> None:
    size_kib = layout.root_sectors * bootdisk.SECTOR_BYTES // 1024
    argv = [
        process.find_tool("mke2fs", package="e2fsprogs"), "-q", "-F", "-t", "ext4", "-L", "root",
        "-U", image.root_uuid, "-O", "^metadata_csum_seed,^orphan_file", "-m", "0",
        "-E", f"offset={bootdisk.ROOT_OFFSET_BYTES},lazy_itable_init=0", "-d", str(root),
        str(disk), f"{size_kib}k",
    ]  # fmt: skip
    # GRUB 2.06 reads neither metadata_csum_seed nor (safely) orphan_file.
    process.run(argv, timeout_s=600)


def seal(raw: Path, folder: Path, qemu: qemu_build.Qemu) -> None:
    """Turn the settled raw disk into the factory image and write down what is in it."""
    manifest = manifest_of_disk(raw)
    with gzip.open(folder / MANIFEST_NAME, "wt", encoding="utf-8") as stream:
        json.dump(manifest.to_json(), stream)
    process.run(
        [*qemu.img, "convert", "-f", "raw", "-O", "qcow2", str(raw), str(folder / DISK_NAME)],
        timeout_s=600, env=qemu.env,
    )  # fmt: skip
    raw.unlink()
