"""How a described host boots and what it has mounted: kernels, loader, stack of its root."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .recorded_devices import module_aliases
from .recorded_tree import MemoryRoot

if TYPE_CHECKING:
    from .recorded_hosts import Description

_ROOT_UUID = "1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b"
_VARIABLES = "/sys/firmware/efi/efivars"
_LOADER_GUID = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
_GLOBAL_GUID = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
_DEBIAN = {"7": "11", "8": "12", "9": "13"}
_CODENAMES = {"11": "bullseye", "12": "bookworm", "13": "trixie"}
# What MODULES=most puts into an image (auto_add_modules of hook-functions); no graphics, no sound
_IN_EVERY_IMAGE = (
    "ahci libahci nvme nvme_core xhci_pci xhci_pci_renesas ehci_pci usb_storage uas mpt3sas "
    "megaraid_sas hpsa aacraid virtio_blk virtio_scsi r8169 igb igc e1000e ixgbe ixgbevf i40e iavf "
    "ice mlx4_core mlx5_core bnx2x tg3 atlantic dm_mod raid1 vmd thunderbolt"
)
_WITH_MODULES_OF_THEIR_OWN = {"virtio_blk"}


def build(about: Description, root: MemoryRoot, commands: list[dict[str, Any]]) -> None:
    _add_platform(about, root, commands)
    _add_kernels(about, root, commands)
    _add_mounts(about, root, commands)
    _add_settings(root)
    _add_loader(about, root, commands)
    _add_guests(about, root, commands)


def _is_managed(about: Description) -> bool:
    return bool(loader_of(about).endswith("-on-esp"))


def loader_of(about: Description) -> str:
    """As the installer decides, unless the description says otherwise."""
    kind = about.host["root"].split()[0]
    given: str = about.host.get("loader", "")
    if given:
        return given
    if kind not in {"zfs", "btrfs"}:
        return "grub"
    is_plain_efi = about.host["firmware"] == "uefi" and not about.host["secure_boot"]
    return "systemd-boot-on-esp" if is_plain_efi else "grub-on-esp"


def _add_platform(about: Description, root: MemoryRoot, commands: list[dict[str, Any]]) -> None:
    pve = about.host["pve"]
    debian = about.host.get("debian") or _DEBIAN[pve.partition(".")[0]]
    code = _CODENAMES[debian]
    lines = [
        f'PRETTY_NAME="Debian GNU/Linux {debian} ({code})"', 'NAME="Debian GNU/Linux"',
        f'VERSION_ID="{debian}"', f"VERSION_CODENAME={code}", "ID=debian",
    ]  # fmt: skip
    root.file("/etc/os-release", "\n".join(lines) + "\n")
    root.file("/proc/sys/kernel/hostname", "pve1\n")
    root.file("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    root.file("/proc/sys/kernel/random/boot_id", "6f0f6f6e-0000-4000-8000-00000000b007\n")
    if pve:
        root.file("/usr/bin/pveversion")
        text = f"pve-manager/{pve}/0123456789abcdef (running kernel: {about.kernel})\n"
        commands.append({"argv": ["pveversion"], "stdout": text})


# What this program asks of a kernel's list beside vfio-pci, and every Proxmox kernel has
_OTHER_MODULES = (
    "vfio/vfio vfio/vfio_iommu_type1 gpu/drm/nouveau/nouveau video/fbdev/nvidia/nvidiafb"
    " gpu/drm/amd/amdgpu/amdgpu gpu/drm/radeon/radeon gpu/drm/i915/i915 gpu/drm/xe/xe"
    " sound/pci/hda/snd-hda-intel usb/host/xhci-pci"
)


def _default_on(about: Description) -> str:
    """Kernels of Proxmox switch the Intel IOMMU on by default since 6.8."""
    given = about.host.get("intel_default")
    if given is not None:
        return f"{given}\n" if given else ""
    major, minor = (int(part) for part in about.kernel.split(".")[:2])
    return "CONFIG_INTEL_IOMMU_DEFAULT_ON=y\n" if (major, minor) >= (6, 8) else ""


def _add_kernels(about: Description, root: MemoryRoot, commands: list[dict[str, Any]]) -> None:
    root.file("/proc/sys/kernel/osrelease", f"{about.kernel}\n")
    root.file("/proc/cmdline", f"{command_line(about)}\n")
    loaded = ["kvm", "kvm_intel" if about.is_intel else "kvm_amd", *about.host["loaded"].split()]
    loaded += sorted({each.driver.replace("-", "_") for each in about.functions if each.driver})
    root.file("/proc/modules", "".join(f"{name} 16384 0 - Live 0x0\n" for name in loaded))
    inside = [*_IN_EVERY_IMAGE.split(), *about.host["modules_in_image"].split()]
    for number, release in enumerate(about.kernels):
        vfio = about.host.get("vfio", "m")
        config = f"CONFIG_VFIO_PCI={vfio}\nCONFIG_INTEL_IOMMU=y\n{_default_on(about)}"
        root.file(f"/boot/config-{release}", config)
        root.file(f"/boot/vmlinuz-{release}")
        root.file(f"/boot/System.map-{release}")
        root.file(f"/boot/initrd.img-{release}")
        tree = f"/lib/modules/{release}"
        root.file(f"{tree}/modules.alias", module_aliases(about))
        dependencies = "kernel/drivers/vfio/pci/vfio-pci.ko: kernel/drivers/vfio/vfio.ko\n"
        dependencies += "".join(f"kernel/drivers/{name}.ko:\n" for name in _OTHER_MODULES.split())
        root.file(f"{tree}/modules.dep", dependencies if vfio == "m" else "")
        root.file(f"{tree}/modules.builtin", "")
        listing = "".join(
            f"usr/lib/modules/{release}/kernel/drivers/{name.replace('_', '-')}.ko\n"
            for name in sorted(inside)
        )
        extra = about.data.get("images", {}).get(release, "")
        commands.append(
            {"argv": ["lsinitramfs", f"/boot/initrd.img-{release}"], "stdout": listing + extra}
        )
        assert number < 9


def _root_words(about: Description) -> str:
    """``root=`` and its company, as the loader passes them."""
    if "root_words" in about.host:
        return str(about.host["root_words"])
    kind = about.host["root"].split()[0]
    if kind == "zfs":
        words = "root=ZFS=rpool/ROOT/pve-1 boot=zfs"
        return (
            words if loader_of(about).startswith("systemd") else f"root=ZFS=/ROOT/pve-1 ro {words}"
        )
    if kind == "btrfs":
        return f"root=UUID={_ROOT_UUID}" + ("" if loader_of(about).startswith("systemd") else " ro")
    return "root=/dev/mapper/pve-root ro" if kind == "lvm" else f"root=UUID={_ROOT_UUID} ro"


def command_line(about: Description) -> str:
    given: str = about.host.get("cmdline", "")
    if given:
        return given
    words = about.host.get("booted_words", about.host["words"])
    release = about.kernel
    if loader_of(about).startswith("systemd-boot"):
        place = rf"initrd=\EFI\proxmox\{release}\initrd.img-{release}"
        return " ".join(
            filter(None, (place, _root_words(about), words.replace("quiet", "").strip()))
        )
    place = f"BOOT_IMAGE={_boot_directory(about)}/vmlinuz-{release}"
    return f"{place} {_root_words(about)} {words}".strip()


def _boot_directory(about: Description) -> str:
    """Where the kernels are for GRUB: at the top of an ESP, else where the description says."""
    default = "" if loader_of(about) == "grub-on-esp" else "/boot"
    return str(about.host.get("boot_directory", default))


def _add_settings(root: MemoryRoot) -> None:
    """Files that every node has."""
    root.file("/etc/modprobe.d/pve-blacklist.conf", "blacklist nvidiafb\n")
    root.file("/etc/modules", "# /etc/modules: kernel modules to load at boot time.\n")
    root.link("/etc/modules-load.d/modules.conf", "../modules")
    root.file("/etc/initramfs-tools/modules", "# List of modules for the initramfs.\n")
    root.directory("/etc/udev/rules.d")
    root.directory("/etc/kernel")


# the stack of the root


def _add_mounts(about: Description, root: MemoryRoot, commands: list[dict[str, Any]]) -> None:
    kind, *members = about.host["root"].split()
    lines = list(about.data.get("mounts", ()))
    esp = f"{members[0][:-1]}2" if members else ""
    swaps = [*about.data.get("swaps", ())]
    if kind == "lvm":
        _add_mapper(root, "dm-0", "pve-swap", members)
        _add_mapper(root, "dm-1", "pve-root", members)
        _add_mapper(root, "dm-2", "pve-data_tdata", members)
        lines.insert(0, "/dev/mapper/pve-root / ext4 rw,relatime,errors=remount-ro 0 0")
        swaps.insert(0, "/dev/dm-0")
    elif kind == "zfs":
        lines.insert(0, "rpool/ROOT/pve-1 / zfs rw,relatime,xattr,noacl 0 0")
    elif kind == "btrfs":
        lines.insert(0, f"/dev/{members[0]} / btrfs rw,relatime,space_cache=v2 0 0")
        for member in members:
            root.link(f"/sys/fs/btrfs/{_ROOT_UUID}/devices/{member}", f"/sys/class/block/{member}")
    elif kind == "md":
        _add_array(root, "md0", members)
        lines.insert(0, "/dev/md0 / ext4 rw,relatime 0 0")
    elif members:
        lines.insert(0, f"/dev/{members[0]} / ext4 rw,relatime 0 0")
    if about.host["firmware"] == "uefi" and loader_of(about) == "grub" and esp:
        lines.append(f"/dev/{esp} /boot/efi vfat rw,relatime 0 0")
    text = "".join(f"{line}\n" for line in lines)
    for path in ("/proc/self/mounts", "/proc/mounts"):
        root.file(path, text)
    rows = "".join(f"{device} partition 8388604 0 -2\n" for device in swaps)
    root.file("/proc/swaps", f"Filename\t\tType\t\tSize\n{rows}")
    _add_pools(about, root, commands)
    for node, name, *slaves in about.rows("mapper"):
        _add_mapper(root, node, name, slaves)


def _add_pools(about: Description, root: MemoryRoot, commands: list[dict[str, Any]]) -> None:
    """Pools of ZFS: what ``zpool`` says of them, and the labels that udev found."""
    kind, *members = about.host["root"].split()
    pools: dict[str, list[str]] = {**({"rpool": members} if kind == "zfs" else {})}
    pools |= about.data.get("pools", {})
    if not pools:
        return
    rows = []
    for pool, disks in pools.items():
        root.directory(f"/proc/spl/kstat/zfs/{pool}")
        vdev = "mirror-0" if len(disks) > 1 else ""
        rows += [f"{pool}\t464G\t12G\t452G\t-\t-\t0%\t2%\t1.00x\tONLINE\t-"]
        rows += [f"\t{vdev}\t464G\t12G\t452G\t-\t-\t0%\t2%\t-\tONLINE"] if vdev else []
        rows += [f"\t/dev/{disk}\t464G\t-\t-\t-\t-\t-\t-\t-\tONLINE" for disk in disks]
    commands.append({"argv": ["zpool", "list", "-vHPL"], "stdout": "\n".join(rows) + "\n"})


def _add_mapper(root: MemoryRoot, node: str, name: str, slaves: list[str]) -> None:
    path = f"/sys/devices/virtual/block/{node}"
    root.file(f"{path}/dm/name", f"{name}\n")
    root.link(f"/sys/class/block/{node}", f"../../devices/virtual/block/{node}")
    root.link(f"/dev/mapper/{name}", f"../{node}")
    _add_slaves(root, path, node, slaves)


def _add_slaves(root: MemoryRoot, path: str, node: str, slaves: list[str]) -> None:
    root.directory(f"{path}/slaves")
    for slave in slaves:
        root.link(f"{path}/slaves/{slave}", f"/sys/class/block/{slave}")
        root.link(f"/sys/class/block/{slave}/holders/{node}", f"/sys/class/block/{node}")


def _add_array(root: MemoryRoot, node: str, members: list[str]) -> None:
    path = f"/sys/devices/virtual/block/{node}"
    root.file(f"{path}/md/level", "raid1\n")
    root.link(f"/sys/class/block/{node}", f"../../devices/virtual/block/{node}")
    _add_slaves(root, path, node, members)


# the loader


def _add_loader(about: Description, root: MemoryRoot, commands: list[dict[str, Any]]) -> None:
    host, loader = about.host, loader_of(about)
    is_efi = host["firmware"] == "uefi"
    words = host["words"]
    text = _GRUB_DEFAULTS.format(words="quiet" if loader.startswith("systemd") else words)
    root.file("/etc/default/grub", text)
    kind = host["root"].split()[0]
    if kind == "zfs":
        line = 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX root=ZFS=rpool/ROOT/pve-1 boot=zfs"\n'
        root.file("/etc/default/grub.d/zfs.cfg", line)
    if kind in {"zfs", "btrfs"} and host.get("kernel_cmdline") is None and host["pve"]:
        first = "root=ZFS=rpool/ROOT/pve-1 boot=zfs" if kind == "zfs" else f"root=UUID={_ROOT_UUID}"
        own = words.replace("quiet", "").strip() if loader.startswith("systemd") else ""
        root.file("/etc/kernel/cmdline", " ".join(filter(None, (first, own))) + "\n")
    if loader != "systemd-boot":
        root.file("/boot/grub/grub.cfg", _grub_config(about))
    _add_pins(about, root)
    if is_efi:
        _add_variables(about, root)
    if _is_managed(about):
        _add_esps(about, root, commands)


def _add_pins(about: Description, root: MemoryRoot) -> None:
    """As ``proxmox-boot-tool kernel pin`` leaves them."""
    pin, once = about.host.get("pin"), about.host.get("next_pin")
    if pin:
        root.file("/etc/kernel/proxmox-boot-pin", f"{pin}\n")
    if once:
        root.file("/etc/kernel/next-boot-pin", f"{once}\n")
    if (pin or once) and not loader_of(about).startswith("systemd-boot"):
        place = f"gnulinux-advanced-{_ROOT_UUID}>gnulinux-{once or pin}-advanced-{_ROOT_UUID}"
        root.file("/etc/default/grub.d/proxmox-kernel-pin.cfg", f'GRUB_DEFAULT="{place}"\n')


_GRUB_DEFAULTS = """\
# If you change this file, run 'update-grub' afterwards to update
# /boot/grub/grub.cfg.

GRUB_DEFAULT=0
GRUB_TIMEOUT=5
GRUB_DISTRIBUTOR=`lsb_release -i -s 2> /dev/null || echo Debian`
GRUB_CMDLINE_LINUX_DEFAULT="{words}"
GRUB_CMDLINE_LINUX=""
"""


_GRUB_HEAD = """\
### BEGIN /etc/grub.d/00_header ###
if [ -s $prefix/grubenv ]; then
  set have_grubenv=true
  load_env
fi
if [ "${{next_entry}}" ] ; then
   set default="${{next_entry}}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="{default}"
fi
### END /etc/grub.d/00_header ###

### BEGIN /etc/grub.d/10_linux ###
"""


def _grub_config(about: Description) -> str:
    """A grub.cfg as grub-mkconfig makes it: one entry for the newest kernel, all in a submenu."""
    advanced = f"gnulinux-advanced-{_ROOT_UUID}"
    pin = about.host.get("next_pin") or about.host.get("pin")
    default = f"{advanced}>gnulinux-{pin}-advanced-{_ROOT_UUID}" if pin else "0"
    title = "Proxmox VE GNU/Linux"
    text = _GRUB_HEAD.format(default=default)
    text += _grub_entry(about, title, f"gnulinux-simple-{_ROOT_UUID}", about.kernels[0], "")
    text += f"submenu 'Advanced options for {title}' $menuentry_id_option '{advanced}' {{\n"
    for release in about.kernels:
        for kind, more in (("advanced", ""), ("recovery", " (recovery mode)")):
            name = f"gnulinux-{release}-{kind}-{_ROOT_UUID}"
            text += _grub_entry(about, f"{title}, with Linux {release}{more}", name, release, "\t")
    return f"{text}}}\n### END /etc/grub.d/10_linux ###\n"


def _grub_entry(about: Description, title: str, name: str, release: str, indent: str) -> str:
    place = _boot_directory(about)
    words = "single" if "-recovery-" in name else about.host["words"]
    lines = [
        f"menuentry '{title}' --class proxmox --class gnu-linux $menuentry_id_option '{name}' {{",
        "\tload_video",
        f"\techo\t'Loading Linux {release} ...'",
        f"\tlinux\t{place}/vmlinuz-{release} {_root_words(about)} {words}",
        f"\tinitrd\t{place}/initrd.img-{release}",
        "}",
    ]
    return "".join(f"{indent}{line}\n" for line in lines)


def _add_variables(about: Description, root: MemoryRoot) -> None:
    root.directory("/sys/firmware/efi")
    secure = b"\x01" if about.host["secure_boot"] else b"\x00"
    root.file(f"{_VARIABLES}/SecureBoot-{_GLOBAL_GUID}", b"\x06\x00\x00\x00" + secure)
    is_nine = about.host["pve"].startswith("9")
    default = ""
    if loader_of(about).startswith("systemd-boot"):
        default = "systemd-boot 257.7-1" if is_nine else "systemd-boot 252.39-1~deb12u1"
    elif is_nine:
        default = "GRUB 2.12-9+pmx2"
    info = about.host.get("loader_info", default)
    if info:
        content = b"\x06\x00\x00\x00" + info.encode("utf-16-le") + b"\0\0"
        root.file(f"{_VARIABLES}/LoaderInfo-{_LOADER_GUID}", content)


def _add_esps(about: Description, root: MemoryRoot, commands: list[dict[str, Any]]) -> None:
    """``esps``: list of tables with uuid, and optionally loaders, versions, present."""
    kind = "uefi" if loader_of(about).startswith("systemd") else "grub"
    members = about.host["root"].split()[1:]
    default = [{"uuid": f"7A1C-9B0{number}"} for number, _ in enumerate(members or [""])]
    esps = about.data.get("esp", default)
    root.file("/etc/kernel/proxmox-boot-uuids", "".join(f"{esp['uuid']}\n" for esp in esps))
    mode = "uefi" if about.host["firmware"] == "uefi" else "legacy bios"
    lines = [f"System currently booted with {mode}"]
    for esp in esps:
        if esp.get("present", True):
            root.file(f"/dev/disk/by-uuid/{esp['uuid']}")
            versions = ", ".join(esp.get("versions", about.kernels))
            loaders = [f"{each} (versions: {versions})" for each in esp.get("loaders", [kind])]
            lines.append(f"{esp['uuid']} is configured with: {', '.join(loaders)}")
        else:
            place = f"/dev/disk/by-uuid/{esp['uuid']}"
            lines.append(
                f"WARN: {place} does not exist - clean '/etc/kernel/proxmox-boot-uuids'! - skipping"
            )
    text = "".join(f"{line}\n" for line in lines)
    commands.append({"argv": ["proxmox-boot-tool", "status"], "stdout": text})


# guests


def _add_guests(about: Description, root: MemoryRoot, commands: list[dict[str, Any]]) -> None:
    """``[guest.100]``: kind (qemu-server, lxc), config, running."""
    node = "/etc/pve/nodes/pve1"
    if about.host["pve"]:
        for kind in ("qemu-server", "lxc"):
            root.directory(f"{node}/{kind}")
            root.link(f"/etc/pve/{kind}", f"nodes/pve1/{kind}")
        root.link("/etc/pve/local", "nodes/pve1")
    rows = []
    for number, guest in about.data.get("guest", {}).items():
        kind = guest.get("kind", "qemu-server")
        root.file(f"{node}/{kind}/{number}.conf", guest["config"])
        state, pid = ("running", 4000 + int(number)) if guest.get("running") else ("stopped", 0)
        rows.append(f"{number:>10} guest{number:<14} {state:<10} 8192 64.00 {pid}")
        if guest.get("running"):
            _add_running(root, kind, number)
    head = "      VMID NAME                 STATUS     MEM(MB)    BOOTDISK(GB) PID\n"
    if about.host["pve"]:
        commands.append({"argv": ["qm", "list"], "stdout": head + "".join(f"{r}\n" for r in rows)})


def _add_running(root: MemoryRoot, kind: str, number: str) -> None:
    pid = 4000 + int(number)
    if kind == "qemu-server":
        root.file(f"/run/qemu-server/{number}.pid", f"{pid}\n")
        root.file(f"/var/run/qemu-server/{number}.pid", f"{pid}\n")
        root.file(f"/proc/{pid}/comm", "kvm\n")
        root.file(f"/proc/{pid}/cmdline", f"/usr/bin/kvm\0-id\0{number}\0-name\0guest{number}\0")
    else:
        root.directory(f"/sys/fs/cgroup/lxc/{number}")
        root.file(f"/proc/{pid}/comm", "lxc-start\n")
        root.file(f"/proc/{pid}/cmdline", f"/usr/bin/lxc-start\0-F\0-n\0{number}\0")
