"""One virtual host: its card servers, its QEMU, and the way into it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from lab import cache, images, process, ssh, tables
from lab.errors import LabError, ScenarioFailedError
from lab.firmware import Firmware
from lab.qemu_build import Qemu

_MEMORY_MIB = 2048
_CARD_START_TIMEOUT_S = 20
_STOP_TIMEOUT_S = 10
_MONITOR_TIMEOUT_S = 20
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
    firmware: Firmware | None = None


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
        *(boot.firmware.arguments() if boot.firmware else ()),
        "-serial", f"file:{run_dir / 'console.log'}",
        "-monitor", f"unix:{sockets / 'monitor'},server=on,wait=off",
        *_iommu_arguments(boot.host),
        "-audiodev", "none,id=sound",
        # In this order: disk, network and cards may be plugged into what `devices` adds.
        *(word for device in boot.host.devices for word in ("-device", device)),
        "-drive", f"if=none,id=disk,file={boot.disk},format={boot.disk_format},cache={caching}",
        "-device", f"virtio-blk-pci,drive=disk,{boot.host.disk_at},bootindex=0",
        "-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-10.0.2.15:22",
        "-device", f"virtio-net-pci,netdev=net,{boot.host.uplink_at},romfile=",
        "-device", "virtio-rng-pci,bus=pcie.0,addr=5",
        *_card_arguments(boot, sockets),
    ]  # fmt: skip


def _iommu_arguments(host: tables.Host) -> list[str]:
    # Before every other device: devices plugged earlier would not be behind it. Its own PCI
    # function, where it has one (AMD-Vi), is pushed off the slots that this file names.
    return ["-device", host.iommu] if host.iommu else []


def _card_arguments(boot: Boot, sockets: Path) -> list[str]:
    words: list[str] = []
    for position, name in enumerate(boot.cards):
        port = boot.host.place_of(position).bus
        if not port:
            port = f"port{position}"
            # A root port each, so that the cards are 01:00, 02:00, ... as on a real board.
            slot = tables.FIRST_CARD_SLOT + position
            words += [
                "-device",
                f"pcie-root-port,id={port},bus=pcie.0,addr={slot:#x},chassis={position + 1}",
            ]
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
                log = run_dir / card_log_name(boot.host, position)
                servers.append(_start_card(position, name, sockets, log))
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
            # A host that stopped in its boot loader has said nothing on the serial port.
            if self.is_alive():
                self.monitor(f"screendump {self.run_dir / 'screen.ppm'}")
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

    def reset(self) -> None:
        """Press the reset button: the host starts anew, its memory is lost."""
        self.monitor("system_reset")

    def monitor(self, command: str) -> str:
        """Give QEMU's monitor a command; what it says to that."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as monitor:
            monitor.settimeout(_MONITOR_TIMEOUT_S)
            monitor.connect(str(self._sockets / "monitor"))
            self._read_prompt(monitor)
            monitor.sendall(f"{command}\n".encode())
            # The monitor echoes what is typed, letter by letter, in a line of its own.
            return self._read_prompt(monitor).partition("\n")[2].rpartition("\n")[0].strip()

    @staticmethod
    def _read_prompt(monitor: socket.socket) -> str:
        answer = b""
        while not answer.rstrip().endswith(b"(qemu)"):
            answer += monitor.recv(4096)
        return answer.decode(errors="replace")

    def wait_console(self, text: str, *, timeout_s: float) -> None:
        """Wait until the serial console has said something."""
        console = self.run_dir / "console.log"
        deadline_s = time.monotonic() + timeout_s
        while text not in console.read_text(errors="replace"):
            if time.monotonic() > deadline_s:
                raise ScenarioFailedError(f"never on the console: {text}", hint=self.diagnosis())
            time.sleep(0.5)

    def kill(self) -> None:
        """A power cut: QEMU is gone between two instructions."""
        if self.is_alive():
            os.killpg(self._qemu.pid, signal.SIGKILL)
            self._qemu.wait()
        self._clean_up()

    def disk_as_after_a_cut(self, folder: Path) -> Path:
        """A copy of the disk, and of the firmware's variables, as `kill` would leave them now.

        The process is stopped for it, not asked: what QEMU still holds in its own memory is as
        lost to the copy as it would be to a cut.
        """
        os.kill(self._qemu.pid, signal.SIGSTOP)
        try:
            _wait_until_stopped(self._qemu.pid)
            disk = folder / self.boot.disk.name
            shutil.copyfile(self.boot.disk, disk)
            if self.boot.firmware:
                variables = self.boot.firmware.variables
                shutil.copyfile(variables, folder / variables.name)
        finally:
            os.kill(self._qemu.pid, signal.SIGCONT)
        return disk

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


def _wait_until_stopped(pid: int) -> None:
    deadline_s = time.monotonic() + _STOP_TIMEOUT_S
    while not all(
        # proc(5): the state is the first field behind the command's closing bracket.
        stat.read_text().rpartition(")")[2].split()[0] == "T"
        for stat in Path(f"/proc/{pid}/task").glob("*/stat")
    ):
        if time.monotonic() > deadline_s:
            raise LabError("QEMU does not stop")
        time.sleep(0.002)


def _start_card(position: int, name: str, sockets: Path, log: Path) -> subprocess.Popen[bytes]:
    return process.spawn(
        [
            sys.executable, "-m", "lab.cards", "--card", name,
            "--sockets", str(sockets / str(position)), "--log", str(log),
        ],
        log=log.with_name("card-servers.log"), cwd=_REPOSITORY,
    )  # fmt: skip


def card_log_name(host: tables.Host, position: int) -> str:
    """The file in the run folder where a card's server writes what happened to it."""
    return f"card-{host.place_of(position).address.replace(':', '-')}.log"


def _wait_for_card(
    position: int, name: str, sockets: Path, server: subprocess.Popen[bytes]
) -> None:
    wanted = [sockets / f"{position}.{each.number}" for each in tables.card(name).functions]
    deadline_s = time.monotonic() + _CARD_START_TIMEOUT_S
    while not all(path.exists() for path in wanted):
        if server.poll() is not None or time.monotonic() > deadline_s:
            raise LabError(f"the server of card {name} did not start")
        time.sleep(0.05)
