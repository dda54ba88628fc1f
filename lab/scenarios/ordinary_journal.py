"""Fifty megabytes of journal that real services wrote, and not one fault of passthrough.

Some of what they do goes wrong, as on any server: wrong passwords, killed programs, disks that
lose data, links that go down, devices that come and go. The card is with vfio-pci all the while.
"""

from __future__ import annotations

import gzip
import json
import time
from collections import Counter
from itertools import cycle
from pathlib import Path

from lab import process
from lab.errors import ScenarioFailedError
from lab.guest import Guest
from lab.kernel_log import Allowed
from lab.scenario import Lab
from lab.scenarios import _steps as steps

DESCRIPTION = "the doctor finds nothing above info in 50 MB of journal made by real services"
HOSTS = ("server-debian12",)

_SERVER = Path(__file__).parents[1] / "standins" / "server"
_HOSTPCI = str(Path(__file__).parents[2] / "hostpci")
_ANYTHING = (Allowed(pattern="", reason="a busy server: what it says is what is judged"),)
_WANTED_BYTES = 50_000_000
_LONGEST_S = 1500
_PLUG_S = 4
# What is plugged in, and out again, while the services are at work.
_PLUGGED = (
    "usb-kbd,bus=usb.0", "usb-tablet,bus=usb.0", "usb-hub,bus=usb.0", "usb-net,bus=usb.0",
    "usb-ccid,bus=usb.0", "e1000e,bus=spare,romfile=", "igb,bus=spare",
    "nvme,serial=lab,bus=spare", "virtio-scsi-pci,bus=spare", "megasas,bus=spare",
)  # fmt: skip
# All that was said since the last time, in the format that people send.
_EXPORT = (
    "journalctl --no-pager --quiet --output=short --cursor-file=/run/cursor >> /root/ordinary.log;"
    " stat -c %s /root/ordinary.log"
)


def run(lab: Lab) -> None:
    """A host with the card bound and proven, all services under load, and then the doctor."""
    host = steps.factory_host(lab)
    steps.claim_apply_reboot(lab, host)
    host.expected_messages = _ANYTHING
    steps.verify_with_reset(lab, host)
    with lab.step("starting the services"):
        _start(host, "prepare")
        host.shell("while ! [ -e /run/services ]; do sleep 2; done", timeout_s=900)
    lab.say(f"{host.shell('cat /run/services').stdout.strip()} services run")
    _start(host, "load")
    _wait_for_enough(lab, host)
    path = _fetch(lab, host)
    lab.check(condition=path.stat().st_size >= _WANTED_BYTES, text=f"{_described(path)}, in {path}")
    argv = [_HOSTPCI, "doctor", "--json", "--log", str(path)]
    _demand_silence(lab, "the whole journal", process.run(argv, timeout_s=300).stdout)
    _demand_silence(lab, "live", host.hostpci(["doctor", "--json"]).stdout)
    host.confirm(steps.BOUND)
    host.kill()


def _start(host: Guest, name: str) -> None:
    host.machine.ssh.run(["tee", f"/run/{name}.sh"], stdin=_SERVER / f"{name}.sh")
    host.shell(f"systemd-run --quiet --unit=lab-{name} bash /run/{name}.sh")


def _wait_for_enough(lab: Lab, host: Guest) -> None:
    devices = cycle(_PLUGGED)
    began, size, told = time.monotonic(), 0, 0
    while size < _WANTED_BYTES:
        if time.monotonic() - began > _LONGEST_S:
            raise ScenarioFailedError(f"after {_LONGEST_S} s the journal has {size} bytes")
        host.machine.monitor(f"device_add {next(devices)},id=plugged")
        time.sleep(_PLUG_S)
        host.machine.monitor("device_del plugged")
        time.sleep(_PLUG_S)
        size = int(host.shell(_EXPORT).stdout)
        if size - told > _WANTED_BYTES // 10:
            told = size
            lab.say(f"{size / 1e6:.0f} MB after {time.monotonic() - began:.0f} s")
    host.shell("touch /run/enough")


def _fetch(lab: Lab, host: Guest) -> Path:
    """The journal, in this run's folder or where `--output` wants it."""
    path = lab.options.output or lab.folder("journal") / "ordinary.log"
    with lab.step("fetching the journal"):
        host.shell("gzip -1 -c /root/ordinary.log > /root/ordinary.log.gz")
        path.write_bytes(gzip.decompress(host.read_file("/root/ordinary.log.gz")))
    return path


def _described(path: Path) -> str:
    """How much it is, and who said most of it."""
    lines, said_by = 0, Counter[str]()
    with path.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            lines += 1
            said_by[" ".join(line.split(maxsplit=5)[4:5]).partition("[")[0].rstrip(":")] += 1
    most = ", ".join(f"{name} {count}" for name, count in said_by.most_common(25))
    size = path.stat().st_size / 1e6
    return f"{size:.1f} MB, {lines} lines by {len(said_by)} programs ({most})"


def _demand_silence(lab: Lab, what: str, answer: str) -> None:
    found = json.loads(answer)["diagnoses"]
    alarms = [each for each in found if each["severity"] != "info"]
    shown = "\n".join(
        f"{each['code']}: {sighting['text']}"
        for each in alarms
        for sighting in each["sightings"][:3]
    )
    lab.check(condition=not alarms, text=f"{what}: nothing above info\n{shown}".strip())
