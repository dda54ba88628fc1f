"""What is planted anywhere on a host is nowhere in its capture, and the capture answers like it."""

from __future__ import annotations

import base64
import json
import random
import string
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hostpci.checks.registry import run_checks
from hostpci.errors import ToolError
from hostpci.facts.capture import Maker, dump_capture
from hostpci.facts.collect import collect
from hostpci.facts.logs import journal_command, read_logs, task_path
from hostpci.facts.look import Look
from hostpci.facts.redact import Redactor
from hostpci.facts.vocabulary import Vocabulary
from hostpci.host.capture import CaptureRoot
from hostpci.host.recording import RecordingRoot
from hostpci.host.runner import RecordingRunner, ReplayRunner
from hostpci.model.address import parse_slot
from hostpci.model.facts import Facts
from hostpci.model.journal import History
from hostpci.planner.plan import make_plan

from .. import recorded_hosts
from ..recorded_hosts import BuiltHost

NAMES = recorded_hosts.names()
VOCABULARY = Vocabulary()
UPID = "UPID:{node}:0009A4C1:0123ABCD:6921F00E:qmstart:100:{user}@pve!{token}:"
LOG = [
    "[    0.000000] kernel: Linux version 6.8.12-9-pve (build@proxmox) (gcc 12.2.0)",
    "[    0.000000] kernel: Command line: BOOT_IMAGE=/boot/vmlinuz-6.8.12-9-pve root=/dev/sda1",
    "[    0.120000] kernel: DMAR: IOMMU enabled",
    "[    1.000000] kernel: pci 0000:01:00.0: BAR 1: can't reserve [mem 0xd0000000]",
    "[   10.000000] pvedaemon[1]: start UPID:pve:0009A4C1:0123ABCD:6921F00E:qmstart:1:root@pam:",
    "[   12.000000] QEMU[77]: kvm: vfio 0000:01:00.0: failed to open /dev/vfio/16: no such file",
]


# what is planted: the line, and what must not be seen again


HEX = "0123456789abcdef"
BASE64 = string.ascii_letters + string.digits + "+/"


def secrets_of(seed: int) -> dict[str, tuple[str, str]]:
    """Kind -> (what stands in a line, the part that must not). Random as real ones are: what
    shrinks to zeros and the letter a is no secret of anybody."""
    dice = random.Random(seed)  # noqa: S311  (not to keep a secret)

    def of(characters: str, size: int) -> str:
        return "".join(dice.choices(characters, k=size))

    def name() -> str:
        words = (of(string.ascii_lowercase, dice.randint(7, 12)) for _ in range(99))
        return next(word for word in words if not VOCABULARY.knows(word))

    some = {kind: name() for kind in ("host", "user", "guest", "storage", "label", "pool")}
    domain, second = name(), name()
    serial = of(string.ascii_uppercase, 4) + of(string.digits, 7) + of("XYZQ", 2)
    ipv4 = ".".join(["10", *(str(dice.randint(2, 250)) for _ in range(3))])
    groups = [of("abcdef", 4) for _ in range(4)]
    key = of(BASE64, 43)
    mac = ":".join(of("abcdef", 2) for _ in range(6))
    uuid = f"{of(HEX, 8)}-abcd-4bcd-9bcd-{of('abcdef', 12)}"
    token = of(HEX, 31) + "a"
    phone = "17" + of(string.digits, 9)
    wwn = "5" + of("abcdef", 15)
    password = of(string.ascii_letters + string.digits, 12)
    return {
        "host name": (f"{some['host']}.{domain}.example", some["host"]),
        "domain": (f"search {domain}.example", domain),
        "user": (f"by {some['user']}", some["user"]),
        "guest": (f"-name '{some['guest']},debug-threads=on'", some["guest"]),
        "storage": (f"{some['storage']}:vm-100-disk-0", some["storage"]),
        "label": (f"LABEL={some['label']}", some["label"]),
        "pool": (f"{some['pool']}/data/vm-100", some["pool"]),
        "serial": (f"ata-{serial}", serial),
        "serial behind its key": (f'ATTRS{{serial}}=="{serial}"', serial),
        "ipv4": (f"addr {ipv4}", ipv4),
        "ipv6": (f"2001:67c:{':'.join(groups)}:1:2", ":".join(groups)),
        "mac": (f"hwaddr {mac}", mac),
        "mac without colons": (f"MAC {mac.replace(':', '')}", mac.replace(":", "")),
        "e-mail": (f"{second}@{domain}.example", second),
        "ssh key": (f"ssh-ed25519 {key} {second}@{some['host']}", key),
        "wireguard": (f"PrivateKey = {key}=", key),
        "private key": (f"-----BEGIN PRIVATE KEY-----\\n{key}", key),
        "bare key": (f"{key}=", key),
        "pve token": (f"PVEAPIToken={some['user']}@pve!{second}={uuid}", second),
        "bearer": (f"Authorization: Bearer {password}", password),
        "jwt": (f"eyJhbGciOiJI.{key[:30].replace('+', '-').replace('/', '_')}.abc", key[:20]),
        "password in a url": (f"https://{second}:{password}@host/x", password),
        "password behind its key": (f"cifs password={password}", password),
        "uuid": (f"UUID={uuid}", uuid),
        "hexadecimal token": (token, token),
        "number": (f"call {phone}", phone),
        "wwn": (f"wwn-0x{wwn}", wwn),
        "ssid": (f'wpa-ssid "{second} home"', second),
        "name in Chinese": ("机架四号张伟", "张伟"),
    }


@cache
def _texts_of(name: str) -> tuple[str, ...]:
    """Every file that is read on this host and that a person, or what they run, can write."""
    host = _with_logs(BuiltHost(recorded_hosts.describe(name)))
    recording = RecordingRoot(host.root)
    runner = RecordingRunner(ReplayRunner(host.commands))
    collect(recording, runner)
    read_logs(Look(recording), runner)
    by_kernel = ("/sys/", "/proc/", "/lib/modules/", "/usr/share/", "/run/", "/boot/config-")
    strict = ("/etc/kernel/proxmox-boot-uuids", "/etc/os-release", "/var/lib/hostpci/")
    return tuple(
        path
        for path in recording.data["files"]
        if not path.startswith((*by_kernel, *strict)) or path == "/proc/self/mounts"
    )


def _with_logs(host: BuiltHost, node: str = "pve", user: str = "root", ci: str = "x") -> BuiltHost:
    root = host.root
    config = "hostpci0: 0000:01:00,pcie=1\nmachine: q35\nnet0: virtio,bridge=vmbr0\n"
    root.file("/etc/pve/qemu-server/100.conf", config)
    upid = UPID.format(node=node, user=user, token=ci)
    root.file("/var/log/pve/tasks/index", f"{upid} 6921F020 got timeout\n")
    root.file(task_path(upid), "starting\nTASK ERROR: start failed: QEMU exited with code 1\n")
    for boot in range(2):
        host.answer(list(journal_command(-boot)), "".join(f"{line}\n" for line in LOG))
    return host


def _planted(name: str, found: dict[str, tuple[str, str]]) -> BuiltHost:
    host = BuiltHost(recorded_hosts.describe(name))
    _with_logs(host, found["host name"][1], found["user"][1], found["pve token"][1])
    lines = [line for line, _ in found.values()]
    for path in _texts_of(name):
        real = path if "UPID" not in path else task_path(
            UPID.format(
                node=found["host name"][1], user=found["user"][1], token=found["pve token"][1]
            )
        )  # fmt: skip
        before = host.root.read_text(real)
        sign = "# " if path.startswith("/etc/") else ""
        host.root.file(real, before + "".join(f"{sign}{line}\n" for line in lines))
    _plant_elsewhere(host, found, lines)
    return host


def _plant_elsewhere(host: BuiltHost, found: dict[str, tuple[str, str]], lines: list[str]) -> None:
    """Where there is no line of one's own: command line, logs, names of files, a guest's keys."""
    root, secret = host.root, {kind: part for kind, (_, part) in found.items()}
    root.file("/proc/sys/kernel/hostname", f"{secret['host name']}\n")
    one_line = " ".join(line.replace("\n", " ") for line in lines)
    root.file("/proc/cmdline", root.read_text("/proc/cmdline").strip() + f" {one_line}\n")
    guest = [f"name: {secret['guest']}", f"args: {one_line}", f"scsi0: {found['storage'][0]}"]
    guest += [f"description: {one_line}", f"#{one_line}", f"sshkeys: {secret['ssh key']}"]
    config = root.read_text("/etc/pve/qemu-server/100.conf")
    root.file("/etc/pve/qemu-server/100.conf", config + "".join(f"{each}\n" for each in guest))
    root.file(f"/etc/modprobe.d/{secret['user']}.conf", f"options it87 x={secret['serial']}\n")
    root.file("/etc/passwd", f"{secret['user']}:x:1000:1000:{secret['user']}:/home:/bin/sh\n")
    for boot in range(2):
        said = [f"{line} {extra}" for line in LOG for extra in ("", *one_line.split("  "), *lines)]
        host.answer(list(journal_command(-boot)), "".join(f"{line}\n" for line in said))
    for each in host.commands:
        if each["argv"][0] == "lsinitramfs":
            each["stdout"] += f"usr/lib/modules/{secret['pool']}/updates/it87.ko\n"


def _seen(capture: dict[str, Any]) -> str:
    hidden = [
        base64.b64decode(each).decode("utf-8", "replace") for each in capture["binary"].values()
    ]
    return "\n".join([json.dumps(capture, ensure_ascii=False), *hidden]).lower()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from(NAMES), seed=st.integers(0, 1 << 32))
def test_what_is_planted_anywhere_is_nowhere_in_the_capture(name: str, seed: int) -> None:
    found = secrets_of(seed)
    host = _planted(name, found)
    maker = Maker(host.root, ReplayRunner(host.commands), History(runs=()))
    seen = _seen(maker.capture)
    leaked = {kind for kind, (_, part) in found.items() if part.lower() in seen}
    assert not leaked, {kind: found[kind] for kind in leaked}


def _codes(facts: Facts, slot: str) -> list[str]:
    try:
        return [each.code for each in run_checks(facts, slot).findings]
    except ToolError as error:
        return [error.code]


def _plan(facts: Facts) -> list[tuple[str, str]]:
    plan = make_plan(facts)
    steps = [(each.code, getattr(each, "path", "")) for each in plan.steps]
    return steps + [(each.code, "") for each in (*plan.refusals, *plan.notes)]


@pytest.mark.parametrize("name", NAMES)
def test_a_capture_has_the_findings_and_the_plan_of_its_host(name: str) -> None:
    host = _with_logs(BuiltHost(recorded_hosts.describe(name)))
    slots = [
        parse_slot(each["address"]) for each in host.description.data["ask"] if "address" in each
    ]
    if slots and host.facts().claims.of_slot(slots[0]) is None:
        host.claim(slots[0])
    runner = ReplayRunner(host.commands)
    capture = json.loads(dump_capture(Maker(host.root, runner, History(runs=())).capture))
    again, replay = CaptureRoot(capture), ReplayRunner(capture["commands"])
    before, after = host.facts(), collect(again, replay)
    for slot in slots:
        assert _codes(after, slot) == _codes(before, slot)
    assert _plan(after) == _plan(before)
    assert [each.what for each in after.unmeasured] == [each.what for each in before.unmeasured]
    logs = read_logs(Look(again), replay)
    assert [each.lines for each in logs if "journal" in each.source] == [tuple(LOG)] * 2
    assert len(logs) == len(read_logs(Look(host.root), runner))


def test_what_belongs_together_still_does() -> None:
    redactor = Redactor("hal9000")
    text = redactor.text(
        "iface enx3c7c3faabbcc 192.168.7.10/24 via 192.168.7.1, other 10.0.0.1 192.168.7.10\n"
        "alice@pam alice@pve!ci UPID:hal9000:0009A4C1:0123ABCD:6921F00E:qmstart:100:alice@pam:\n"
        "2001:67c:1:2::10 2001:67c:1:2::1 2001:67c:1:3::1 fe80::1 tank/data tank\n"
    )
    assert text == (
        "iface enx000000000001 198.18.1.0/24 via 198.18.1.1, other 198.18.2.0 198.18.1.0\n"
        "user1@pam user1@pve!token1 UPID:host:0009A4C1:0123ABCD:6921F00E:qmstart:100:user1@pam:\n"
        "2001:db8:0:1::0:1 2001:db8:0:1::0:2 2001:db8:0:2::0:1 fe80::0:1 name1/data name1\n"
    )
