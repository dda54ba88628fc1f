"""Puts the second guest into a lab host, and speaks with it there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lab import process
from lab.errors import ScenarioFailedError
from lab.guest import Guest
from lab.progress import Reporter
from lab.secondguest import image

FOLDER = "/var/lib/lab"
NODE_FOLDER = "/opt/pvenode"
# What the guest and the node themselves write while they work
OWN_FILES = (f"{FOLDER}/", f"{NODE_FOLDER}/", "/var/lib/pvenode/")
_REPOSITORY = Path(__file__).resolve().parents[2]
_NODE = Path(__file__).parents[1] / "standins/pve_node.py"
_PROGRAM = Path(__file__).parents[1] / "standins/second_guest.py"
_TOOL = ("python3", "-IS", f"{FOLDER}/second_guest.py")
_PING_TIMEOUT_S = 900


def push(host: Guest, folder: Path, reporter: Reporter) -> None:
    """The kernel, a fresh disk (almost all of it a hole) and the program that starts them."""
    files = image.ensure(reporter)
    archive = folder / "second-guest.tar.gz"
    pairs = ((files.disk, "disk.raw"), (files.kernel, "vmlinux"), (_PROGRAM, _PROGRAM.name))
    with reporter.step("putting the second guest into the host"):
        words = [word for path, _ in pairs for word in ("-C", str(path.parent), path.name)]
        process.run(["tar", "-S", "-czf", str(archive), *words], timeout_s=120)
        host.machine.ssh.run(["mkdir", "-p", FOLDER])
        host.machine.ssh.run(["tar", "-xzf", "-", "-C", FOLDER], stdin=archive, timeout_s=600)


def push_node(host: Guest, folder: Path, reporter: Reporter) -> None:
    """The tests' node of Proxmox VE, over the second guest: pvesh and qm, and a machine 100."""
    archive = folder / "pve-node.tar.gz"
    parts = ["tests/__init__.py", "tests/pvenode", "src"]
    words = ["-C", str(_REPOSITORY), *parts, "-C", str(_NODE.parent), _NODE.name]
    with reporter.step("putting a node of Proxmox VE into the host"):
        process.run(["tar", "-czf", str(archive), "--exclude=__pycache__", *words], timeout_s=120)
        host.machine.ssh.run(["mkdir", "-p", NODE_FOLDER])
        host.machine.ssh.run(["tar", "-xzf", "-", "-C", NODE_FOLDER], stdin=archive, timeout_s=300)
        host.shell(
            f"cd {NODE_FOLDER}; chmod 755 {_NODE.name}; python3 -B {_NODE.name} setup;"
            f" for name in pvesh qm; do ln -s {NODE_FOLDER}/{_NODE.name} /usr/bin/$name; done;"
            " printf '#!/bin/sh\\necho pve-manager/9.1.1\\n' > /usr/bin/pveversion;"
            " chmod 755 /usr/bin/pveversion"
        )


class SecondGuest:
    """A guest of the lab host, by its number."""

    def __init__(self, host: Guest, vmid: int, reporter: Reporter) -> None:
        self.vmid = vmid
        self._host = host
        self._reporter = reporter

    def start(self, devices: Sequence[str]) -> None:
        """Start it with these device arguments and wait for its agent."""
        number = str(self.vmid)
        with self._reporter.step(f"starting guest {number} with {len(devices) // 2} devices"):
            self._host.ssh([*_TOOL, "start", number, *devices], timeout_s=360)
        self.wait()

    def wait(self) -> None:
        """Until its agent answers."""
        number = str(self.vmid)
        with self._reporter.step(f"waiting for the agent of guest {number}"):
            done = self._host.ssh([*_TOOL, "ping", number], check=False, timeout_s=_PING_TIMEOUT_S)
        if done.rc != 0:
            console = self._host.ssh(["cat", f"{FOLDER}/console-{number}"], check=False)
            raise ScenarioFailedError(f"its agent is silent: {done.stderr}\n{console.stdout}")

    def run(self, script: str, *, check: bool = True) -> process.Completed:
        """Run a shell script in it, through the agent."""
        return self._host.ssh(
            [*_TOOL, "run", str(self.vmid), script], check=check, timeout_s=_PING_TIMEOUT_S
        )

    def stop(self) -> None:
        """Shut it down through the agent."""
        with self._reporter.step(f"stopping guest {self.vmid}"):
            self._host.ssh([*_TOOL, "stop", str(self.vmid)], timeout_s=300)

    def functions_of(self, bus: str) -> dict[str, str]:
        """What it sees on one bus: `01:00.0` -> `10de:2d04 (10b0:205e)`."""
        script = (
            f"for each in /sys/bus/pci/devices/*:{bus}:*; do cd $each; echo ${{each##*/}}"
            " $(cat vendor device subsystem_vendor subsystem_device); done"
        )
        found = {}
        for line in self.run(script).stdout.splitlines():
            address, *ids = line.replace("0x", "").split()
            vendor, device, sub_vendor, sub_device = ids
            found[address] = f"{vendor}:{device} ({sub_vendor}:{sub_device})"
        return found
