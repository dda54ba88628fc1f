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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab import bootdisk, cache, esp, firmware, process, qemu_build
from lab.errors import UsageError
from lab.layouts import Layout, layout
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

# no_timer_check: on a busy machine an emulated timer ticks too late for the kernel's test of it,
# which then panics ("timer doesn't work through Interrupt-remapped IO-APIC").
_FILES = {
    "etc/hostname": "{release}\n",
    "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 {release}\n",
    "etc/fstab": "{root} / ext4 errors=remount-ro 0 1\n",
    "etc/default/grub": (
        "GRUB_DEFAULT=0\nGRUB_TIMEOUT=0\nGRUB_DISTRIBUTOR=Debian\nGRUB_TERMINAL=console\n"
        'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX="console=ttyS0 no_timer_check"\n'
    ),
    "boot/grub/grub.cfg": (
        "search --no-floppy --fs-uuid --set=root {root_uuid}\n"
        "linux /boot/vmlinuz-{kernel} root={root} ro console=ttyS0 no_timer_check quiet\n"
        "initrd /boot/initrd.img-{kernel}\nboot\n"
    ),
    "etc/initramfs-tools/conf.d/driver-policy": "MODULES=dep\n",
    "etc/systemd/network/10-lab.network": (
        "[Match]\nDriver=virtio_net\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n"
        "LinkLocalAddressing=no\nIPv6AcceptRA=no\n"
    ),
    "etc/ssh/sshd_config.d/lab.conf": (
        "PermitRootLogin prohibit-password\nUsePAM no\nUseDNS no\nX11Forwarding no\n"
        "AcceptEnv none\nHostKey /etc/ssh/ssh_host_ed25519_key\n"
    ),
}

# On hosts under proxmox-boot-tool. The first entry only serves the first boot: the tool then
# makes its own.
_ESP_HOST_FILES = {
    "etc/kernel/cmdline": "root={root} ro console=ttyS0 no_timer_check quiet\n",
}
_FIRST_SYSTEMD_BOOT_FILES = {
    "loader/loader.conf": "timeout 0\n",
    "loader/entries/first.conf": (
        "title first\nlinux /vmlinuz\ninitrd /initrd.img\n"
        "options root={root} ro console=ttyS0 no_timer_check quiet\n"
    ),
}
_FIRST_GRUB_FILES = {
    "grub/grub.cfg": (
        "linux /vmlinuz root={root} ro console=ttyS0 no_timer_check quiet\n"
        "initrd /initrd.img\nboot\n"
    ),
}

_RECIPE = json.dumps([_UNWANTED_LINKS, _MASKED, _BOOT_MODULES, _FILES, _DISK_SECTORS, "disk 4"])


@dataclass(frozen=True, kw_only=True)
class Image:
    """The factory image of one Debian release in one layout."""

    release: str
    layout: Layout

    @classmethod
    def named(cls, release: str, layout_name: str) -> Image:
        """The image of a host table's row."""
        if release not in _SUITES:
            raise UsageError(f"no Debian release {release!r}", hint=f"known: {list(_SUITES)}")
        return cls(release=release, layout=layout(layout_name))

    @property
    def name(self) -> str:
        """What its artefacts are called."""
        plain = self.layout.name == "plain"
        return self.release if plain else f"{self.release}-{self.layout.name}"

    @property
    def packages(self) -> tuple[str, ...]:
        """What is bootstrapped."""
        kept = tuple(each for each in _PACKAGES if each not in self.layout.without)
        return kept + self.layout.packages

    @property
    def base(self) -> cache.Artefact:
        """The bootstrapped Debian root, before anything of the lab."""
        recipe = f"{_SUITES[self.release]} {self.packages} {qemu_build.LEAN_OPTIONS} 1"
        return cache.Artefact(name=f"{self.name}-base", recipe=recipe, needs_bytes=3 << 30)

    @property
    def disk(self) -> cache.Artefact:
        """The factory disk, booted once, with the manifest of its root."""
        recipe = f"{self.base.recipe} {_RECIPE} {public_key().read_text()}{self.layout.recipe}"
        return cache.Artefact(name=f"{self.name}-disk", recipe=recipe, needs_bytes=6 << 30)

    @property
    def root_uuid(self) -> str:
        """The root file system's UUID, fixed per image."""
        return str(uuid.uuid5(_NAMESPACE, f"{self.name} root"))

    @property
    def esp_serial(self) -> str:
        """The ESP's serial number as /dev/disk/by-uuid has it."""
        digits = uuid.uuid5(_NAMESPACE, f"{self.name} esp").hex[:8].upper()
        return f"{digits[:4]}-{digits[4:]}"

    @property
    def disk_layout(self) -> bootdisk.Layout:
        """The partitions of its disk."""
        return bootdisk.Layout(
            sectors=_DISK_SECTORS,
            disk_id=uuid.uuid5(_NAMESPACE, f"{self.name} disk"),
            root_partition_id=uuid.uuid5(_NAMESPACE, f"{self.name} root partition"),
            esp_sectors=self.layout.esp_mib << 11,
            on_lvm=self.layout.on_lvm,
        )

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
        with reporter.step(f"bootstrapping {image.name}"):
            cache.ensure(image.base, lambda folder: _bootstrap(image, folder))
    return image.base.path / "root.tar"


def _bootstrap(image: Image, folder: Path) -> None:
    suite = _SUITES[image.release]
    argv = [
        qemu_build.mmdebstrap(), *qemu_build.LEAN_OPTIONS, f"--include={','.join(image.packages)}",
        suite, str(folder / "root.tar"),
        f"deb {_MIRROR} {suite} main", f"deb {_SECURITY} {suite}-security main",
    ]  # fmt: skip
    process.run(argv, timeout_s=1800, log=folder / "build.log")


def unpack(tar: Path, folder: Path) -> Path:
    """The bootstrapped tree with its owners and modes, in a new folder there."""
    root = folder / "root"
    root.mkdir()
    process.run(
        ["tar", "-C", str(root), "--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf",
         str(tar)], timeout_s=600,
    )  # fmt: skip
    return root


def write_raw_disk(image: Image, tar: Path, folder: Path) -> Path:
    """A raw disk that boots, from the bootstrapped tar; needs root for owners and chroot."""
    qemu_build.require_root("making a host image")
    root = unpack(tar, folder)
    kernel = _customise(image, root)
    core = b"" if image.layout.uefi else _make_grub_core(image, root)
    _make_initramfs(image, root, kernel)
    shutil.copy(root / f"boot/vmlinuz-{kernel}", folder / "vmlinuz")
    shutil.copy(root / f"boot/initrd.img-{kernel}", folder / "initrd.img")
    disk = folder / "factory.raw"
    boot_img = (root / "usr/lib/grub/i386-pc/boot.img").read_bytes() if core else b""
    bootdisk.write(disk, image.disk_layout, boot_img=boot_img, core_img=core)
    if image.layout.esp_mib:
        _make_esp(image, root, folder, disk)
    _make_root_file_system(image, root, disk)
    cache.remove(root)
    return disk


def _make_esp(image: Image, root: Path, folder: Path, disk: Path) -> None:
    """An ESP that can boot once; the settling boot installs the real loader and kernels."""
    tree = folder / "esp"
    first = _FIRST_SYSTEMD_BOOT_FILES if image.layout.uefi else _FIRST_GRUB_FILES
    _write_files(image, tree, first, kernel="")
    shutil.copy(folder / "vmlinuz", tree)
    shutil.copy(folder / "initrd.img", tree)
    if image.layout.uefi:
        loader = tree / "EFI/BOOT/BOOTX64.EFI"
        loader.parent.mkdir(parents=True)
        shutil.copy(root / "usr/lib/systemd/boot/efi/systemd-bootx64.efi", loader)
        firmware.factory_new(folder / firmware.VARIABLES_NAME)
    else:
        shutil.copytree(root / "boot/grub/i386-pc", tree / "grub/i386-pc")
    esp.write(disk, image.disk_layout, image.esp_serial, tree)
    cache.remove(tree)


def _write_files(image: Image, root: Path, files: Mapping[str, str], *, kernel: str) -> None:
    names = {"release": image.release, "root_uuid": image.root_uuid, "kernel": kernel}
    names["root"] = image.layout.root.replace("{root_uuid}", image.root_uuid)
    for path, text in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(re.sub(r"\{(\w+)\}", lambda found: names[found[1]], text))


def _customise(image: Image, root: Path) -> str:
    kernel = next((root / "lib/modules").iterdir()).name
    on_esp = bool(image.layout.esp_mib)
    _write_files(image, root, _FILES | (_ESP_HOST_FILES if on_esp else {}), kernel=kernel)
    _install_standins(image, root)
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


def _install_standins(image: Image, root: Path) -> None:
    for source, path in image.layout.files:
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            # As dpkg-divert would have it: the tool calls GRUB's own program by this name.
            target.rename(target.with_name(target.name + ".real"))
        shutil.copy(source, target)
        target.chmod(0o755)


def _make_grub_core(image: Image, root: Path) -> bytes:
    modules = root / "boot/grub/i386-pc"
    modules.mkdir()
    for module in (root / "usr/lib/grub/i386-pc").glob("*.mod"):
        shutil.copy(module, modules)
    for listing in (root / "usr/lib/grub/i386-pc").glob("*.lst"):
        shutil.copy(listing, modules)
    argv = [
        "chroot", str(root), "grub-mkimage", "-O", "i386-pc", "-o", "/boot/grub/i386-pc/core.img",
        "-p", image.layout.grub_prefix, *image.layout.grub_modules,
    ]  # fmt: skip
    process.run(argv, timeout_s=60)
    return (modules / "core.img").read_bytes()


def _make_initramfs(image: Image, root: Path, kernel: str) -> None:
    config = root / _INITRAMFS_CONFIG
    shutil.copytree(root / "etc/initramfs-tools", config, symlinks=True)
    (config / "conf.d/driver-policy").write_text("MODULES=list\n")
    (config / "modules").write_text("\n".join((*_BOOT_MODULES, *image.layout.boot_modules)) + "\n")
    argv = [
        "chroot", str(root), "mkinitramfs", "-d", f"/{_INITRAMFS_CONFIG}", "-o",
        f"/boot/initrd.img-{kernel}", kernel,
    ]  # fmt: skip
    process.run(argv, timeout_s=300)
    cache.remove(config)


def _make_root_file_system(image: Image, root: Path, disk: Path) -> None:
    layout = image.disk_layout
    size_kib = layout.file_system_sectors * bootdisk.SECTOR_BYTES // 1024
    argv = [
        process.find_tool("mke2fs", package="e2fsprogs"), "-q", "-F", "-t", "ext4", "-L", "root",
        "-U", image.root_uuid, "-O", "^metadata_csum_seed,^orphan_file", "-m", "0",
        "-E", f"offset={layout.file_system_offset_bytes},lazy_itable_init=0", "-d", str(root),
        str(disk), f"{size_kib}k",
    ]  # fmt: skip
    # GRUB 2.06 reads neither metadata_csum_seed nor (safely) orphan_file.
    process.run(argv, timeout_s=600)


def seal(image: Image, raw: Path, folder: Path, qemu: qemu_build.Qemu) -> None:
    """Turn the settled raw disk into the factory image and write down what is in it."""
    manifest = manifest_of_disk(raw, image.disk_layout)
    with gzip.open(folder / MANIFEST_NAME, "wt", encoding="utf-8") as stream:
        json.dump(manifest.to_json(), stream)
    process.run(
        [*qemu.img, "convert", "-f", "raw", "-O", "qcow2", str(raw), str(folder / DISK_NAME)],
        timeout_s=600, env=qemu.env,
    )  # fmt: skip
    raw.unlink()
