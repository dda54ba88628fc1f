"""Fifty megabytes of journal that real services wrote, and not one fault of passthrough.

Some of what they do goes wrong, as on any server: wrong passwords, killed programs, disks that
lose data, links that go down, devices that come and go. First in a host, for what its kernel says
of all that while the card is with vfio-pci; then, since software emulation would take hours to
write so much, in a container of this machine.
"""

from __future__ import annotations

import gzip
import json
import time
from collections import Counter
from itertools import cycle
from pathlib import Path

from lab import cache, container, process
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
_IN_HOST_S = 300
_IN_CONTAINER_S = 1200
_PLUG_S = 4
_IN_HOST = "logins web mail names databases shares filesystems volumes networks machines programs"
_IN_CONTAINER = "logins web mail names databases programs"
# What is plugged in, and out again, while the services are at work.
_PLUGGED = (
    "usb-kbd,bus=usb.0", "usb-tablet,bus=usb.0", "usb-hub,bus=usb.0", "usb-net,bus=usb.0",
    "usb-ccid,bus=usb.0", "e1000e,bus=spare,romfile=", "igb,bus=spare",
    "nvme,serial=lab,bus=spare", "virtio-scsi-pci,bus=spare", "megasas,bus=spare",
)  # fmt: skip
_JOURNAL = "/root/ordinary.log.gz"


def run(lab: Lab) -> None:
    """A host with the card bound and proven, all services under load, and then the doctor."""
    host = steps.factory_host(lab)
    steps.claim_apply_reboot(lab, host)
    host.expected_messages = _ANYTHING
    steps.verify_with_reset(lab, host)
    journal = lab.options.output or lab.folder("journal") / "ordinary.log"
    journal.write_bytes(_of_host(lab, host))
    lab.say(_described(journal))
    _demand_silence(lab, "live", host.hostpci(["doctor", "--json"]).stdout)
    host.confirm(steps.BOUND)
    host.kill()
    _add_of_container(lab, journal)
    lab.say(f"{_described(journal)}, in {journal}")
    argv = [_HOSTPCI, "doctor", "--json", "--log", str(journal)]
    _demand_silence(lab, "the whole journal", process.run(argv, timeout_s=300).stdout)


def _of_host(lab: Lab, host: Guest) -> bytes:
    """What the services and the kernel of the host say, in the format that people send."""
    with lab.step("starting the services"):
        _start(host, "prepare")
        host.shell("while ! [ -e /run/services ]; do sleep 2; done", timeout_s=900)
    lab.say(f"{host.shell('cat /run/services').stdout.strip()} services run")
    with lab.step("using them"):
        _start(host, "load", _IN_HOST)
        _plug(host, time.monotonic() + _IN_HOST_S)
        host.shell("systemctl stop lab-load")
    with lab.step("fetching the journal"):
        host.shell(f"journalctl --no-pager --quiet --output=short | gzip -1 > {_JOURNAL}")
        return gzip.decompress(host.read_file(_JOURNAL))


def _start(host: Guest, name: str, words: str = "") -> None:
    host.machine.ssh.run(["tee", f"/run/{name}.sh"], stdin=_SERVER / f"{name}.sh")
    host.shell(f"systemd-run --quiet --unit=lab-{name} bash /run/{name}.sh {words}")


def _plug(host: Guest, until_s: float) -> None:
    """One device after the other, in and out."""
    for device in cycle(_PLUGGED):
        host.machine.monitor(f"device_add {device},id=plugged")
        time.sleep(_PLUG_S)
        host.machine.monitor("device_del plugged")
        time.sleep(_PLUG_S)
        if time.monotonic() > until_s:
            return


def _add_of_container(lab: Lab, journal: Path) -> None:
    files = {f"root/{name}.sh": _SERVER / f"{name}.sh" for name in ("prepare", "load")}
    files["etc/systemd/system/default.target"] = _SERVER / "default.target"
    folder = lab.folder("container")
    with lab.step("services in a container"):
        container.write_journal(
            lab.root_tar(), files, f"bash /root/prepare.sh; bash /root/load.sh {_IN_CONTAINER}",
            journal, wanted_bytes=_WANTED_BYTES, longest_s=_IN_CONTAINER_S, folder=folder,
        )  # fmt: skip
    cache.remove(folder)


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
