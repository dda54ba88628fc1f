"""One virtual host: its card servers, its QEMU, and the way into it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import cache, images, process, ssh, tables
from lab.errors import LabError, ScenarioFailedError
from lab.qemu_build import Qemu

_MEMORY_MIB = 2048
_CARD_START_TIMEOUT_S = 20
_REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class Boot:
    """Everything that decides how a host is started."""

    host: tables.Host
    cards: tuple[str, ...]
    disk: Path
    disk_format: str
    accelerator: str
    durable_disk: bool = False


def cpu_argument(host: tables.Host, accelerator: str) -> str:
    """The processor: all that the accelerator has, with the board's vendor.

    The kernel picks its IOMMU driver by ACPI table, but VFIO's and KVM's code by CPUID vendor.
    """
    if accelerator == "kvm":
        return "host"
    # la57 would make the guest walk five page table levels, each one emulated.
    # An Intel processor with AMD's SVM would make the kernel complain about kvm_amd.
    without = "svm=off," if host.cpu_vendor == "GenuineIntel" else ""
    return f"max,vendor={host.cpu_vendor},{without}la57=off"


def qemu_arguments(boot: Boot, *, port: int, sockets: Path, run_dir: Path) -> list[str]:
    """QEMU's arguments for one boot, without the program itself."""
    irqchip = ",kernel-irqchip=split" if boot.accelerator == "kvm" else ""
    accelerator = "kvm" if boot.accelerator == "kvm" else "tcg,thread=multi,tb-size=512"
    caching = "writeback" if boot.durable_disk else "unsafe"
    return [
        "-nodefaults", "-no-user-config", "-display", "none",
        "-machine", f"q35{irqchip}", "-accel", accelerator,
        "-cpu", cpu_argument(boot.host, boot.accelerator),
        "-smp", "2", "-m", str(_MEMORY_MIB),
        "-serial", f"file:{run_dir / 'console.log'}",
        "-monitor", f"unix:{sockets / 'monitor'},server=on,wait=off",
        *_iommu_arguments(boot.host),
        "-drive", f"if=none,id=disk,file={boot.disk},format={boot.disk_format},cache={caching}",
        "-device", "virtio-blk-pci,drive=disk,bus=pcie.0,addr=3,bootindex=0",
        "-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-10.0.2.15:22",
        "-device", "virtio-net-pci,netdev=net,bus=pcie.0,addr=4,romfile=",
        "-device", "virtio-rng-pci,bus=pcie.0,addr=5",
        "-audiodev", "none,id=sound",
        *(word for device in boot.host.devices for word in ("-device", device)),
        *_card_arguments(boot.cards, sockets),
    ]  # fmt: skip


def _iommu_arguments(host: tables.Host) -> list[str]:
    # Before every other device: devices plugged earlier would not be behind it. Its own PCI
    # function, where it has one (AMD-Vi), is pushed off the slots that this file names.
    return ["-device", host.iommu] if host.iommu else []


def _card_arguments(cards: Sequence[str], sockets: Path) -> list[str]:
    words: list[str] = []
    for position, name in enumerate(cards):
        port = f"port{position}"
        # A root port each, so that the cards are 01:00, 02:00, ... as on a real board.
        slot = tables.FIRST_CARD_SLOT + position
        words += [
            "-device", f"pcie-root-port,id={port},bus=pcie.0,addr={slot:#x},chassis={position + 1}"
        ]  # fmt: skip
        for function in tables.card(name).functions:
            device: dict[str, object] = {
                "driver": "vfio-user-pci",
                "bus": port,
                "addr": f"0.{function.number}",
                "multifunction": len(tables.card(name).functions) > 1,
                "socket": {"type": "unix", "path": str(sockets / f"{position}.{function.number}")},
            }
            words += ["-device", json.dumps(device)]
    return words


class Machine:
    """A running virtual host. Starting it is `Machine.start`, ending it `kill` or `wait_off`."""

    def __init__(
        self, boot: Boot, run_dir: Path, sockets: Path, secure_shell: ssh.Ssh,
        qemu: subprocess.Popen[bytes], servers: list[subprocess.Popen[bytes]],
    ) -> None:  # fmt: skip
        self.boot = boot
        self.run_dir = run_dir
        self.ssh = secure_shell
        self._sockets = sockets
        self._qemu = qemu
        self._servers = servers

    @classmethod
    def start(cls, boot: Boot, qemu: Qemu, run_dir: Path) -> Machine:
        """Start the card servers, then QEMU; returns at once, `wait_ready` waits for ssh."""
        run_dir.mkdir(parents=True, exist_ok=True)
        # Not in the run folder: a UNIX socket's path must fit into 107 bytes.
        sockets = Path(tempfile.mkdtemp(prefix="hostpci-lab-"))
        port = ssh.free_port()
        servers: list[subprocess.Popen[bytes]] = []
        try:
            for position, name in enumerate(boot.cards):
                servers.append(_start_card(position, name, sockets, run_dir))
            for position, name in enumerate(boot.cards):
                _wait_for_card(position, name, sockets, servers[position])
            argv = [
                *qemu.system,
                *qemu_arguments(boot, port=port, sockets=sockets, run_dir=run_dir),
            ]
            (run_dir / "qemu-command.txt").write_text(shlex.join(argv) + "\n", encoding="utf-8")
            process_qemu = process.spawn(argv, log=run_dir / "qemu.log", env=qemu.env)
        except BaseException:
            for server in servers:
                process.stop_group(server, grace_s=2)
            raise
        secure_shell = ssh.Ssh(
            port=port, key=images.private_key(), control=sockets / "ssh",
            transcript=run_dir / "ssh-transcript.txt",
        )  # fmt: skip
        return cls(boot, run_dir, sockets, secure_shell, process_qemu, servers)

    @property
    def pids(self) -> list[int]:
        """The leaders of the process groups that belong to this host."""
        return [self._qemu.pid, *(server.pid for server in self._servers)]

    @property
    def sockets(self) -> Path:
        """The folder of the card, monitor and ssh sockets."""
        return self._sockets

    def is_alive(self) -> bool:
        """Whether QEMU still runs."""
        return self._qemu.poll() is None

    def wait_ready(self, *, timeout_s: float) -> None:
        """Wait until the host lets us in."""
        try:
            self.ssh.wait(timeout_s=timeout_s, still_alive=self.is_alive)
        except ScenarioFailedError as error:
            error.hint = self.diagnosis()
            raise

    def wait_off(self, *, timeout_s: float) -> None:
        """Wait until QEMU has ended by itself after the guest powered off, then clean up."""
        deadline_s = time.monotonic() + timeout_s
        while self.is_alive():
            if time.monotonic() > deadline_s:
                raise ScenarioFailedError(f"the host did not power off in {timeout_s:.0f} s")
            time.sleep(0.2)
        self._clean_up()

    def kill(self) -> None:
        """A power cut: QEMU is gone between two instructions."""
        if self.is_alive():
            os.killpg(self._qemu.pid, signal.SIGKILL)
            self._qemu.wait()
        self._clean_up()

    def _clean_up(self) -> None:
        self.ssh.drop_connection()
        for server in self._servers:
            process.stop_group(server, grace_s=2)
        cache.remove(self._sockets)

    def diagnosis(self) -> str:
        """Where to look, and the last lines of the console."""
        console = self.run_dir / "console.log"
        text = console.read_text(errors="replace") if console.exists() else ""
        qemu_log = (self.run_dir / "qemu.log").read_text(errors="replace").strip()
        tail = "\n".join(text.splitlines()[-12:])
        return f"logs in {self.run_dir}\n{qemu_log}\n{tail}".strip()


def _start_card(position: int, name: str, sockets: Path, run_dir: Path) -> subprocess.Popen[bytes]:
    log = run_dir / card_log_name(position)
    return process.spawn(
        [
            sys.executable, "-m", "lab.cards", "--card", name,
            "--sockets", str(sockets / str(position)), "--log", str(log),
        ],
        log=run_dir / "card-servers.log", cwd=_REPOSITORY,
    )  # fmt: skip


def card_log_name(position: int) -> str:
    """The file in the run folder where a card's server writes what happened to it."""
    return f"card-{tables.slot_of(position).replace(':', '-')}.log"


def _wait_for_card(
    position: int, name: str, sockets: Path, server: subprocess.Popen[bytes]
) -> None:
    wanted = [sockets / f"{position}.{each.number}" for each in tables.card(name).functions]
    deadline_s = time.monotonic() + _CARD_START_TIMEOUT_S
    while not all(path.exists() for path in wanted):
        if server.poll() is not None or time.monotonic() > deadline_s:
            raise LabError(f"the server of card {name} did not start")
        time.sleep(0.05)
