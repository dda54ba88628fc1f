"""The world around the stand-in for proxmox-boot-tool: a root of files, and programs in PATH.

The recordings were made with such stand-ins for mount, lsblk, GRUB and the rest too; what those
print and do here is what the recordings show of them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

STANDINS = Path(__file__).resolve().parents[1] / "standins"
KERNELS = ("6.14.11-1-pve", "6.14.8-2-pve", "6.8.12-9-pve")
CMDLINE = "root=ZFS=rpool/ROOT/pve-1 boot=zfs"
ESPS = {"loop1": ("AAAA-1111", 536870912), "loop2": ("BBBB-2222", 1073741824)}
ESP_TYPE = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"

_PROGRAMS = {
    # A mount is a link in the place of the folder, an unmount the folder again.
    "mount": """
echo "mount $*" >> "$PBT_ROOT/mounts"
for word; do source=$target; target=$word; done
case "$1" in
--bind) mv "$target" "$target.below"; ln -s "$(readlink -f "$source")" "$target" ;;
*) rmdir "$target"; ln -s "$PBT_ROOT/esp/$(basename "$(readlink -f "$source")")" "$target" ;;
esac
""",
    "umount": 'rm "$1"; if [ -e "$1.below" ]; then mv "$1.below" "$1"; else mkdir "$1"; fi',
    "unshare": 'shift 3; exec "$@"',
    "systemd-detect-virt": 'test -e "$PBT_ROOT/container"',
    "dpkg-query": "exit 1",
    "lsblk": """for word; do last=$word; done; cat "$PBT_ROOT/lsblk/$(basename "$last")" """,
    "grub-probe": 'cat "$PBT_ROOT/grub-uuid"',
    "update-grub": """
cd "$PBT_ROOT/etc/default"
lines() { grep -hs "^$1" "$2" grub.d/*.cfg | tr '\\n' ' '; }
echo "[update-grub: /etc/default/grub GRUB_CMDLINE: $(grep ^GRUB_CMDLINE grub | tr '\\n' ' ')\
 GRUB_DEFAULT: $(lines GRUB_DEFAULT grub)]"
echo "generated $(ls ../../boot/)" > ../../boot/grub/grub.cfg
""",
    "grub-install.real": """
echo "[grub-install.real $*]" | sed "s|$PBT_ROOT||g"
mkdir -p "$2/grub"
case "$*" in *x86_64*) mkdir -p "$2/EFI/proxmox"; echo x > "$2/EFI/proxmox/grubx64.efi" ;; esac
""",
    "bootctl": """
esp="$2"; said=$(echo "$esp" | sed "s|$PBT_ROOT||")
for folder in EFI/systemd EFI/BOOT loader loader/entries EFI/Linux; do
    mkdir -p "$esp/$folder"; echo "Created \\"$said/$folder\\"."
done
from=/usr/lib/systemd/boot/efi/systemd-bootx64.efi
for name in systemd/systemd-bootx64.efi BOOT/BOOTX64.EFI; do
    echo efi > "$esp/EFI/$name"; echo "Copied \\"$from\\" to \\"$said/EFI/$name\\"."
done
echo type1 > "$esp/loader/entries.srel"
echo "Random seed file $said/loader/random-seed successfully written (32 bytes)."
""",
    "proxmox-boot-tool": 'exec $PYTHON -IS "$STANDINS/proxmox_boot_tool.py" "$@"',
}


class World:
    """One fake host, as the recordings' host was."""

    def __init__(self, folder: Path, version: str) -> None:
        self.folder = folder
        self._programs = folder / "programs"
        self._programs.mkdir(parents=True)
        for name, text in _PROGRAMS.items():
            program = self._programs / name
            program.write_text(f"#!/bin/sh\n{text}\n")
            program.chmod(0o755)
        self._version = version
        self.uefi(there=True)
        for kernel in KERNELS:
            self.add_kernel(kernel)
        self.write("boot/grub/grub.cfg", "")
        self.write("etc/default/grub", "GRUB_DEFAULT=0\n")
        self.write("grub-uuid", "")
        self.write("proc/cmdline", "initrd=\\x <content of /proc/cmdline>\n")
        self.write("etc/initramfs/post-update.d/systemd-boot", "#!/bin/sh\n")
        for name, (uuid, size) in ESPS.items():
            self.write(f"dev/{name}", "")
            (folder / "esp" / name).mkdir(parents=True)
            self.link(f"dev/disk/by-uuid/{uuid}", folder / "dev" / name)
            self.describe(name, size=size, kind="vfat")

    def write(self, path: str, text: str) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, newline="")

    def read(self, path: str) -> str:
        with (self.folder / path).open(newline="") as stream:
            return stream.read()

    def remove(self, path: str) -> None:
        (self.folder / path).unlink()

    def link(self, path: str, target: Path) -> None:
        link = self.folder / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)

    def describe(self, name: str, *, size: int, kind: str) -> None:
        uuid = ESPS[name][0]
        self.write(
            f"lsblk/{name}",
            f'UUID="{uuid}" SIZE="{size}" FSTYPE="{kind}" PARTTYPE="{ESP_TYPE}" '
            'PKNAME="loop0" MOUNTPOINT=""\n',
        )

    def add_kernel(self, version: str) -> None:
        self.write(f"boot/vmlinuz-{version}", f"kernel-{version}\n")
        self.write(f"boot/initrd.img-{version}", f"initrd-{version}\n")

    def uefi(self, *, there: bool) -> None:
        firmware = self.folder / "sys/firmware/efi"
        firmware.mkdir(parents=True) if there else firmware.rmdir()

    def empty_esp(self, name: str) -> None:
        shutil.rmtree(self.folder / "esp" / name)
        (self.folder / "esp" / name).mkdir()

    def run(self, command: str) -> tuple[str, int]:
        """Run one command line of a transcript; its output and its status."""
        words = command.split()
        hooks = {"sh": "sh", "grub-install": str(STANDINS / "hooks/grub-install")}
        argv = [hooks.get(words[0], words[0]), *words[1:]]
        if words[0] == "sh":
            argv[1] = str(STANDINS / "hooks" / Path(words[1]).name)
        done = subprocess.run(
            argv, env=self._environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            check=False,
        )  # fmt: skip
        return re.sub(r"USAGE: (.*\n)+", "<usage text>\n", done.stdout.decode()), done.returncode

    def _environment(self) -> dict[str, str]:
        path = f"{self._programs}{os.pathsep}{os.environ['PATH']}"
        return {
            "PATH": path, "PBT_ROOT": str(self.folder), "PBT_VERSION": self._version,
            "PBT_RUNNING": KERNELS[0], "STANDINS": str(STANDINS),
            "PYTHON": sys.executable,
        }  # fmt: skip
