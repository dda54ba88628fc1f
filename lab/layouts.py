"""How a host's disk is laid out and what boots it: the rows of Proxmox VE's own table.

A layout says what differs from the plain one; `images` makes the disk of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from lab import lvm
from lab.errors import UsageError

_STANDINS = Path(__file__).with_name("standins")
_HOOKS = _STANDINS / "hooks"
_BOOT_TOOL_FILES = (
    (_STANDINS / "proxmox_boot_tool.py", "usr/sbin/proxmox-boot-tool"),
    (_HOOKS / "zz-proxmox-boot", "etc/kernel/postinst.d/zz-proxmox-boot"),
    (_HOOKS / "zz-proxmox-boot", "etc/kernel/postrm.d/zz-proxmox-boot"),
    (_HOOKS / "proxmox-boot-sync", "etc/initramfs/post-update.d/proxmox-boot-sync"),
)
# The kernel and the entry that only served the first boot.
_FIRST_BOOT_ONLY = "vmlinuz initrd.img loader/entries/first.conf"
_CLEAN_ESP = f'sh -ec "mount /dev/vda2 /mnt; cd /mnt; rm -f {_FIRST_BOOT_ONLY}; cd /; umount /mnt"'
_ESP_MIB = 512  # what Proxmox VE's installer makes, and more than the tool's 256 MiB
# What owners of such hosts run on them; Proxmox VE's own services are not in Debian.
_SERVER_PACKAGES = (
    "acpid", "apache2", "apparmor", "avahi-daemon", "btrfs-progs", "chrony", "corosync", "cron",
    "curl", "dnsmasq", "dovecot-imapd", "fail2ban", "haproxy", "iptables", "irqbalance",
    "keepalived", "libvirt-clients", "libvirt-daemon-system", "lldpd", "logrotate", "lvm2",
    "mariadb-server", "mdadm", "memcached", "mosquitto", "multipath-tools", "nfs-common",
    "nfs-kernel-server", "nftables", "nginx-light", "open-iscsi", "openssh-client", "php-fpm",
    "polkitd", "postfix", "postgresql", "prometheus-node-exporter", "qemu-system-x86",
    "rasdaemon", "redis-server", "samba", "smartmontools", "smbclient", "snmpd", "sshpass",
    "strongswan-starter", "sudo", "sysstat", "tgt", "thin-provisioning-tools", "udisks2", "ufw",
    "unattended-upgrades", "wireguard-tools", "xfsprogs", "zabbix-agent",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One way to lay out a disk; the defaults are the plain one.

    `root` is what fstab and the kernel command line call the root device. `settle` are the
    commands that the first boot runs, so that the image is as an installer leaves it.
    """

    name: str
    packages: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    root: str = "UUID={root_uuid}"
    grub_prefix: str = "(hd0,gpt2)/boot/grub"
    grub_modules: tuple[str, ...] = ("biosdisk", "part_gpt", "ext2")
    boot_modules: tuple[str, ...] = ()
    esp_mib: int = 0
    on_lvm: bool = False
    uefi: bool = False
    files: tuple[tuple[Path, str], ...] = ()
    settle: tuple[str, ...] = ("update-grub",)

    @property
    def recipe(self) -> str:
        """Everything here that decides what an image holds; nothing for the plain one."""
        if self.name == "plain":
            return ""
        # Contents and not paths: the same image serves every checkout.
        files = [(path, source.read_text(encoding="utf-8")) for source, path in self.files]
        return repr((replace(self, files=()), files, 2))


_ALL = (
    Layout(name="plain"),
    # A host that starts guests: Debian's QEMU, and nothing else that the plain one lacks.
    Layout(name="qemu", packages=("qemu-system-x86",)),
    # A server with everything on it, which starts none of it until it is told to.
    Layout(
        name="server",
        packages=_SERVER_PACKAGES,
        files=((_STANDINS / "server" / "default.target", "etc/systemd/system/default.target"),),
    ),
    Layout(
        name="lvm",
        packages=("lvm2",),
        root=lvm.ROOT_DEVICE,
        grub_prefix=f"(lvm/{lvm.VOLUME_GROUP}-{lvm.LOGICAL_VOLUME})/boot/grub",
        grub_modules=("biosdisk", "part_gpt", "ext2", "lvm"),
        boot_modules=("dm_mod",),
        on_lvm=True,
    ),
    Layout(
        name="systemd-boot",
        packages=("systemd-boot", "dosfstools"),
        without=("grub-pc",),
        esp_mib=_ESP_MIB,
        uefi=True,
        files=_BOOT_TOOL_FILES,
        settle=("proxmox-boot-tool init /dev/vda2", _CLEAN_ESP),
    ),
    Layout(
        name="grub-on-esp",
        packages=("dosfstools",),
        grub_prefix="(hd0,gpt2)/grub",
        grub_modules=("biosdisk", "part_gpt", "fat"),
        esp_mib=_ESP_MIB,
        files=(
            *_BOOT_TOOL_FILES,
            (_HOOKS / "000_proxmox_boot_header", "etc/grub.d/000_proxmox_boot_header"),
            (_HOOKS / "grub-install", "usr/sbin/grub-install"),
        ),
        settle=("proxmox-boot-tool init /dev/vda2", _CLEAN_ESP, "update-grub"),
    ),
)


def layout(name: str) -> Layout:
    """One layout, or an error that names those there are."""
    for each in _ALL:
        if each.name == name:
            return each
    raise UsageError(f"no layout {name!r}", hint=f"known: {', '.join(one.name for one in _ALL)}")
