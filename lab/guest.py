"""A booted host as a scenario sees it."""

from __future__ import annotations

import base64
import secrets
import shlex
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lab import kernel_log
from lab.build import BOOT_TIMEOUT_S
from lab.errors import EnvironmentUnfitError, ScenarioFailedError
from lab.machine import Machine, card_log_name
from lab.process import Completed
from lab.progress import Reporter

_REPOSITORY = Path(__file__).resolve().parent.parent
_TOOL_FOLDER = "/run/hostpci"
# Through the interpreter, as its first line asks: /run is mounted noexec.
TOOL = ("python3", "-IS", f"{_TOOL_FOLDER}/hostpci")
_POWER_OFF_TIMEOUT_S = 180
_DEVICES = PurePosixPath("/sys/bus/pci/devices")


@dataclass(frozen=True, kw_only=True)
class CardEvent:
    """One line of a card server's log."""

    time_s: float
    function: int
    event: str


def full_address(address: str) -> str:
    """`01:00.1` with the domain that sysfs has in front."""
    return address if address.count(":") == 2 else f"0000:{address}"


class Guest:
    """The host under test. Every method that asks, asks the guest itself."""

    def __init__(self, machine: Machine, reporter: Reporter) -> None:
        self.machine = machine
        self.confirmed = False
        self.expected_messages: tuple[kernel_log.Allowed, ...] = ()
        self._reporter = reporter
        self._boot_id = ""
        self._tool_is_pushed = False

    def ssh(self, argv: Sequence[str], *, check: bool = True, timeout_s: float = 300) -> Completed:
        """Run a command on the host."""
        return self.machine.ssh.run(argv, check=check, timeout_s=timeout_s)

    def shell(self, script: str, *, check: bool = True, timeout_s: float = 300) -> Completed:
        """Run a shell script on the host, stopping at its first failure."""
        return self.ssh(["sh", "-euc", script], check=check, timeout_s=timeout_s)

    def wait_booted(self) -> None:
        """Wait for ssh, for a boot that is not the last one, and until the host is at rest."""
        for _ in range(100):
            self.machine.wait_ready(timeout_s=BOOT_TIMEOUT_S)
            answer = self.ssh(["cat", "/proc/sys/kernel/random/boot_id"], check=False)
            boot_id = answer.stdout.strip()
            if answer.rc == 0 and boot_id != self._boot_id:
                break
            # The old system's ssh server still answers while it shuts down.
            self.machine.ssh.drop_connection()
        else:
            raise ScenarioFailedError("the host did not come back", hint=self.machine.diagnosis())
        self._boot_id, self.confirmed = boot_id, False
        state = self.ssh(["systemctl", "is-system-running", "--wait"], check=False, timeout_s=600)
        self.ssh(["udevadm", "settle", "--timeout=120"])
        if state.stdout.strip() != "running":
            failed = self.ssh(["systemctl", "--failed", "--plain", "--no-legend"]).stdout
            raise ScenarioFailedError(f"the host booted {state.stdout.strip()}:\n{failed}")
        if self._tool_is_pushed:
            self.push_tool()

    def reboot(self) -> None:
        """Reboot in an orderly way and wait for the next boot."""
        with self._reporter.step("reboot"):
            self.check_logs()
            self.ssh(["systemctl", "reboot"], check=False)
            self.machine.ssh.drop_connection()
            self.wait_booted()

    def power_off(self) -> None:
        """Power off in an orderly way and wait until QEMU has ended."""
        with self._reporter.step("power off"):
            self.check_logs()
            self.ssh(["systemctl", "poweroff"], check=False)
            self.machine.wait_off(timeout_s=_POWER_OFF_TIMEOUT_S)
            console = (self.machine.run_dir / "console.log").read_text(errors="replace")
            self._fail_on(kernel_log.alarms(console))

    def kill(self) -> None:
        """Cut the power."""
        self.machine.kill()

    def check_logs(self) -> None:
        """Fail on warnings of the kernel and of udev in this boot that no table explains."""
        raw = self.ssh(["dmesg", "--raw"]).stdout
        with (self.machine.run_dir / "kernel.log").open("a", encoding="utf-8") as log:
            log.write(f"--- boot {self._boot_id}\n{raw}")
        allowed = kernel_log.allowed_messages() + self.expected_messages
        # udev says here when it does not understand a rule, or could not do what one asks for.
        udev = self.ssh(
            ["journalctl", "-b", "-u", "systemd-udevd", "-p", "warning", "-o", "cat", "-q"]
        ).stdout.splitlines()
        self._fail_on(kernel_log.unexpected(raw, allowed) + kernel_log.unexplained(udev, allowed))

    @staticmethod
    def _fail_on(messages: list[str]) -> None:
        if messages:
            shown = "\n".join(messages[:20])
            raise ScenarioFailedError(
                f"{len(messages)} unexpected messages of the kernel or udev:\n{shown}",
                hint="if one is harmless, say why in lab/kernel_messages.toml",
            )

    def push_tool(self) -> None:
        """Put the checkout's hostpci into /run, which is memory: nothing of it stays on disk."""
        archive = self.machine.run_dir / "tool.tar"
        _pack_tool(archive)
        self.machine.ssh.run(["mkdir", "-p", _TOOL_FOLDER])
        self.machine.ssh.run(["tar", "-x", "-f", "-", "-C", _TOOL_FOLDER], stdin=archive)
        self._tool_is_pushed = True

    def hostpci(
        self, argv: Sequence[str], *, expect: Sequence[int] = (0,), timeout_s: float = 600
    ) -> Completed:
        """Run hostpci on the host and demand one of the statuses in `expect`."""
        with self._reporter.step(f"hostpci {shlex.join(argv)}"):
            done = self.ssh([*TOOL, *argv], check=False, timeout_s=timeout_s)
        if done.rc not in expect:
            wanted = " or ".join(map(str, expect))
            raise ScenarioFailedError(
                f"hostpci {shlex.join(argv)} ended with status {done.rc}, expected {wanted}\n"
                f"{done.stdout}{done.stderr}"
            )
        return done

    def driver_of(self, address: str) -> str | None:
        """The driver a PCI function is bound to."""
        link = str(_DEVICES / full_address(address) / "driver")
        target = self.ssh(["readlink", link], check=False).stdout.strip()
        return PurePosixPath(target).name if target else None

    def iommu_group_of(self, address: str) -> str | None:
        """The IOMMU group a PCI function is in."""
        link = str(_DEVICES / full_address(address) / "iommu_group")
        target = self.ssh(["readlink", link], check=False).stdout.strip()
        return PurePosixPath(target).name if target else None

    def card_log(self, slot: str) -> list[CardEvent]:
        """What the card in a slot (`01:00`) says has happened to it, since QEMU was started."""
        host, count = self.machine.boot.host, len(self.machine.boot.cards)
        positions = {host.place_of(at).address: at for at in range(count)}
        log = self.machine.run_dir / card_log_name(host, positions[slot])
        text = log.read_text(encoding="utf-8")
        words = (line.split(maxsplit=2) for line in text.splitlines())
        return [CardEvent(time_s=float(at), function=int(no), event=what) for at, no, what in words]

    def read_file(self, path: str) -> bytes:
        """A file of the host, byte for byte."""
        return base64.b64decode(self.ssh(["base64", "-w0", path]).stdout)

    def confirm(self, drivers: Mapping[str, str | None], *, also: str = "true") -> None:
        """Let the guest re-check the end state and report success itself.

        A scenario that merely ran out of things to do has proved nothing; this does.
        """
        nonce = secrets.token_hex(8)
        script = "\n".join(
            [
                'driver() { basename "$(readlink "$1/driver" || echo none)"; }',
                *(
                    f'test "$(driver {_DEVICES / full_address(address)})" = {driver or "none"}'
                    for address, driver in drivers.items()
                ),
                also,
                f"echo LAB-SUCCESS {nonce}",
            ]
        )
        answer = self.shell(script, check=False)
        if answer.stdout.splitlines()[-1:] != [f"LAB-SUCCESS {nonce}"]:
            state = {address: self.driver_of(address) for address in drivers}
            raise ScenarioFailedError(
                f"the host does not confirm: drivers are {state}, expected {dict(drivers)}\n"
                f"{answer.stdout}{answer.stderr}"
            )
        self._reporter.line(f"the host confirms: {_describe(drivers)}")
        self.confirmed = True


def _describe(drivers: Mapping[str, str | None]) -> str:
    return ", ".join(f"{address} on {driver or 'no driver'}" for address, driver in drivers.items())


def _pack_tool(archive: Path) -> None:
    parts = [_REPOSITORY / "hostpci", _REPOSITORY / "src"]
    missing = [str(part) for part in parts if not part.exists()]
    if missing:
        raise EnvironmentUnfitError(f"there is no hostpci in this checkout: {', '.join(missing)}")
    with tarfile.open(archive, "w") as tar:
        for part in parts:
            tar.add(part, arcname=part.name, filter=_plain)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if PurePosixPath(member.name).name == "__pycache__":
        return None
    member.uid = member.gid = 0
    return member
