"""Chooses KVM where a stock kernel is seen to run under it, and software emulation elsewhere.

/dev/kvm being there proves nothing: nested or filtered KVM dies on an MSR or hangs. Only a
bounded boot to a printed word decides, and the answer is kept per host kernel and QEMU.
"""

from __future__ import annotations

import io
import os
import platform
import time
from pathlib import Path

from lab import cache, process
from lab.progress import Reporter
from lab.qemu_build import Qemu

_MARK = "HOSTPCI-LAB-KVM-WORKS"
_PROBE_TIMEOUT_S = 60


def choose(qemu: Qemu, image_dir: Path, reporter: Reporter) -> str:
    """The accelerator to boot with: `kvm` or `tcg`."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    answer = cache.root() / f"kvm-probe-{cache.digest(platform.release(), qemu.version)}"
    if not answer.exists():
        with reporter.step("probing whether KVM runs a Debian kernel"):
            works = _probe(qemu, image_dir)
        partial = answer.with_suffix(".partial")
        partial.write_text("kvm\n" if works else "tcg\n", encoding="utf-8")
        partial.rename(answer)
    return answer.read_text(encoding="utf-8").strip()


def cpio_file(name: str, content: bytes, *, mode: int) -> bytes:
    """One file in the "newc" format (kernel: Documentation/driver-api/early-userspace)."""
    fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    header = b"070701" + b"".join(b"%08x" % value for value in fields)
    padded = io.BytesIO()
    for piece in (header + name.encode() + b"\0", content):
        padded.write(piece)
        padded.write(b"\0" * (-padded.tell() % 4))
    return padded.getvalue()


def _probe(qemu: Qemu, image_dir: Path) -> bool:
    # The image's own initramfs with one file laid over it: later archives win.
    script = f"#!/bin/sh\necho {_MARK} >/dev/console\nsleep 100\n".encode()
    overlay = cpio_file("init", script, mode=0o100755) + cpio_file("TRAILER!!!", b"", mode=0)
    folder = cache.root() / "kvm-probe"
    folder.mkdir(exist_ok=True)
    initrd, console = folder / "initrd.img", folder / "console.log"
    original = (image_dir / "initrd.img").read_bytes()
    initrd.write_bytes(original + b"\0" * (-len(original) % 4) + overlay)
    console.unlink(missing_ok=True)
    argv = [
        *qemu.system, "-nodefaults", "-no-user-config", "-display", "none",
        "-machine", "q35,kernel-irqchip=split", "-accel", "kvm", "-cpu", "host", "-m", "512",
        "-kernel", str(image_dir / "vmlinuz"), "-initrd", str(initrd),
        "-append", "console=ttyS0 panic=-1", "-no-reboot", "-serial", f"file:{console}",
    ]  # fmt: skip
    child = process.spawn(argv, log=folder / "qemu.log", env=qemu.env)
    try:
        deadline_s = time.monotonic() + _PROBE_TIMEOUT_S
        while time.monotonic() < deadline_s and child.poll() is None:
            if console.exists() and _MARK in console.read_text(errors="replace"):
                return True
            time.sleep(0.2)
        return False
    finally:
        process.stop_group(child, grace_s=2)
        cache.remove(folder)
