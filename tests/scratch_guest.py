"""A guest made of a directory and this machine's own /bin/sh: scripts run for real, programs that
would change a machine are stubs that write down how they were called and keep a package list.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from hostpci.guest.shell import GuestShell, Said, clean, wrapped

# Packages are lines "want status eflag name version"; offers are lines of apt-cache madison
_DPKG_QUERY = """\
while read -r want status eflag name version; do
    printf '%s\\t%s\\t%s\\t%s\\t%s\\n' "$want" "$status" "$eflag" "$name" "$version"
done < "$STATE/packages"
"""
_APT_GET = """\
echo "apt-get $*" >> "$STATE/calls"
case " $* " in
*' indextargets '*)
    if [ "$3" = '$(SITE)' ]; then echo http://deb.debian.org/debian; exit; fi
    cat "$STATE/sources"
    exit
    ;;
*' update '*)
    : > "$STATE/fetched"
    exit
    ;;
esac
if [ -e "$STATE/broken" ]; then echo "$(cat "$STATE/broken")" >&2; exit 100; fi
verb=
for word in "$@"; do
    case $word in
    install | remove | purge) verb=$word ;;
    -* | *=*) ;;
    *)
        if [ "$verb" = install ]; then
            echo "Setting up $word ..."
            echo "install installed ok $word 580.1" >> "$STATE/packages"
            case $word in *dkms* | linux-modules-nvidia*) : > "$STATE/has-module" ;; esac
            case $word in nvidia-driver*) cp "$STATE/nvidia-smi" "$STUBS/nvidia-smi" ;; esac
        elif [ "$verb" = remove ] || [ "$verb" = purge ]; then
            grep -v " $word " "$STATE/packages" > "$STATE/left" || :
            mv "$STATE/left" "$STATE/packages"
        fi
        ;;
    esac
done
"""
_APT_CACHE = """\
case $1 in
pkgnames) cut -d ' ' -f 1 "$STATE/offers" ;;
madison)
    shift
    for name in "$@"; do grep "^$name " "$STATE/offers" || :; done | sed 's/ | /|/g; s/|/ | /g'
    ;;
esac
"""
_MODPROBE = """\
echo "modprobe $*" >> "$STATE/calls"
if [ -e "$STATE/refuses-module" ]; then
    echo "modprobe: ERROR: could not insert 'nvidia': Key was rejected by service" >&2
    exit 1
fi
if [ "$1" = nvidia ]; then
    mkdir -p "$TREE/sys/module/nvidia" "$TREE/sys/bus/pci/drivers/nvidia" "$TREE/dev"
    echo 580.1 > "$TREE/sys/module/nvidia/version"
    ln -sfn ../../drivers/nvidia "$TREE/sys/bus/pci/devices/0000:01:00.0/driver"
    : > "$TREE/dev/nvidia0"
    : > "$TREE/dev/nvidiactl"
fi
"""
_SMI = """\
if [ -e "$TREE/dev/nvidiactl" ]; then
    echo '00000000:01:00.0, NVIDIA GeForce RTX 5060 Ti, 580.1, 16311, 12.0'
    exit 0
fi
echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
exit 9
"""
_UNAME = "case $1 in -s) echo Linux ;; -r) echo 6.8.0-146-generic ;; -m) echo x86_64 ;; esac\n"
_FIND = """\
case "$*" in
*nvidia.ko*) if [ -e "$STATE/has-module" ]; then echo /x/nvidia.ko; fi ;;
esac
"""
_MODINFO = """\
case $2 in
version) echo 580.1 ;;
license) echo 'Dual MIT/GPL' ;;
signer) echo 'Canonical Ltd.' ;;
esac
"""
_DPKG = """\
if [ "$1" = --print-architecture ]; then echo amd64; exit; fi
echo "dpkg $*" >> "$STATE/calls"
"""
_STUBS = {
    "dpkg": _DPKG,
    "dpkg-query": _DPKG_QUERY,
    "apt-get": _APT_GET,
    "apt-cache": _APT_CACHE,
    "apt-config": "exit 0\n",
    "getent": "echo '192.0.2.1 archive'\n",
    "modprobe": _MODPROBE,
    "modinfo": _MODINFO,
    "update-initramfs": 'echo "update-initramfs $*" >> "$STATE/calls"\n',
    "uname": _UNAME,
    "find": _FIND,
    "id": "echo 0\n",
    "dmesg": 'cat "$STATE/dmesg" 2>/dev/null || :\n',
    "journalctl": "exit 1\n",
    "cloud-init": "echo 'status: done'\n",
    "vulkaninfo": "exit 1\n",
    "clinfo": "exit 1\n",
    "rocminfo": "exit 1\n",
    "dkms": "exit 0\n",
    "mokutil": "exit 0\n",
}
_ARCHIVE = "http://a.example/ubuntu noble/restricted amd64 Packages"
_OFFERS = f"""\
nvidia-driver-580-open | 580.1 | {_ARCHIVE}
linux-modules-nvidia-580-open-6.8.0-146-generic | 6.8.0-146 | {_ARCHIVE}
linux-modules-nvidia-580-open-generic | 6.8.0-146 | {_ARCHIVE}
"""
_RELEASE = 'ID=ubuntu\nVERSION_ID="24.04"\nPRETTY_NAME="Ubuntu 24.04.4 LTS"\n'


class ScratchGuest(GuestShell):
    """``state`` holds what the stubs know; ``tree`` is the guest's root directory."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.tree, self.state, self.stubs = base / "tree", base / "state", base / "stubs"
        for directory in (self.tree, self.state, self.stubs):
            directory.mkdir()
        for name, body in _STUBS.items():
            self._program(self.stubs / name, body)
        self._program(self.state / "nvidia-smi", _SMI)
        self.put(
            "etc/os-release", 'ID=ubuntu\nVERSION_ID="24.04"\nPRETTY_NAME="Ubuntu 24.04.4 LTS"\n'
        )
        self.put("proc/net/route", "Iface\tDestination\neth0\t00000000\t01020304\n")
        self.put("proc/locks", "1: POSIX  ADVISORY  WRITE 99 08:01:1 0 EOF\n")
        self.put("proc/sys/kernel/random/boot_id", "boot-1\n")
        self.put("etc/modprobe.d/x.conf", "")
        self.put("boot/vmlinuz", "")
        self.card("10de", "2d04")
        self.say("packages", "install installed ok linux-image-virtual 6.8.0-146.146\n")
        self.say("offers", _OFFERS)
        fetched = self.state / "fetched"
        self.say("sources", f"http://a.example/ubuntu\tnoble\trestricted\t{fetched}\t/x.list:1\n")

    @property
    def name(self) -> str:
        return "scratch"

    def is_there(self) -> bool:
        return True

    def put(self, path: str, text: str) -> None:
        target = self.tree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def say(self, name: str, text: str) -> None:
        (self.state / name).write_text(text)

    def card(self, vendor: str, device: str) -> None:
        where = "sys/bus/pci/devices/0000:01:00.0"
        for name, text in {
            "vendor": f"0x{vendor}\n", "device": f"0x{device}\n", "class": "0x030000\n",
            "subsystem_vendor": "0x10b0\n", "subsystem_device": "0x205e\n",
        }.items():  # fmt: skip
            self.put(f"{where}/{name}", text)

    @property
    def calls(self) -> list[str]:
        path = self.state / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [each for each in lines if "indextargets" not in each]

    def run(self, script: str, *, timeout_s: float) -> Said:
        done = subprocess.run(
            ["/bin/sh"],
            input=wrapped(script, str(self.tree)),
            capture_output=True,
            text=True,
            timeout=min(timeout_s, 60),
            check=False,
            env=self._environment(),
        )
        out, is_cut = clean(done.stdout)
        return Said(code=done.returncode, out=out, err=clean(done.stderr)[0], is_cut=is_cut)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.stubs}:{os.environ['PATH']}",
            "STATE": str(self.state),
            "STUBS": str(self.stubs),
            "TREE": str(self.tree),
        }

    def _program(self, path: Path, body: str) -> None:
        path.write_text(f"#!/bin/sh\n{body}")
        path.chmod(0o755)
