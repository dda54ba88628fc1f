"""Captures: nothing that identifies a host gets in, and nothing in one is believed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from hostpci.checks.registry import run_checks
from hostpci.errors import CorruptError, ToolError, UsageError
from hostpci.facts.capture import dump_capture, make_capture
from hostpci.facts.claims import PATH as CLAIMS
from hostpci.facts.redact import Redactor
from hostpci.host.capture import CaptureRoot, load_capture
from hostpci.host.runner import ReplayRunner
from hostpci.model.codec import decode
from hostpci.model.facts import Facts
from hostpci.model.journal import Begin, History, Run
from hostpci.model.plan import FileStep, Plan
from hostpci.planner.plan import make_plan

from ..hosts import DEVICES, SLOT, VGA, RecordedHost
from . import support
from .support import claimed, with_class_device

HOST = "hal9000"
PEM = """\
-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAA
-----END OPENSSH PRIVATE KEY-----"""
SSH = "AAAAC3NzaC1lZDI1NTE5AAAAIJXf3k1tQz0bnt0pXo0c1"
GRUB = "/etc/default/grub"


def capture_of(host: RecordedHost, history: History | None = None) -> dict[str, Any]:
    return make_capture(CaptureRoot(host.data), host.runner(), history or History(runs=()))


def captured_text(host: RecordedHost) -> str:
    return dump_capture(capture_of(host.with_file("/proc/sys/kernel/hostname", f"{HOST}\n")))


# what is planted: (text, what must not be seen again)
SECRETS = [
    pytest.param("hwaddr 3c:7c:3f:aa:bb:cc", "3c:7c:3f:aa:bb:cc", id="mac"),
    pytest.param("hwaddr 3C-7C-3F-AA-BB-CC", "AA-BB-CC", id="mac with dashes"),
    pytest.param(f"# host {HOST}, rack 4", HOST, id="host name"),
    pytest.param(f"ip=dhcp:{HOST}:eth0", HOST, id="host name between colons"),
    pytest.param("resume=UUID=3f1e2d4c-aaaa-bbbb-cccc-0123456789ab", "0123456789ab", id="uuid"),
    pytest.param("serial=S4EWNX0R123456", "S4EWNX0R123456", id="serial"),
    pytest.param("disk_serial: 'S4EW NX0R'", "S4EW NX0R", id="serial in quotes"),
    pytest.param("password=hunter2", "hunter2", id="password"),
    pytest.param('grub_passwd = "correct horse"', "correct horse", id="password in quotes"),
    pytest.param("luks_passphrase=opensesame", "opensesame", id="passphrase"),
    pytest.param("PVEAPIToken=root@pam!ci=aa-bb", "root@pam!ci", id="token"),
    pytest.param("API_KEY=AKIAIOSFODNN7", "AKIAIOSFODNN7", id="api key"),
    pytest.param("client_secret=s3cr3t", "s3cr3t", id="secret"),
    pytest.param("wpa_psk=deadbeefcafe", "deadbeefcafe", id="psk"),
    pytest.param(f"ssh-ed25519 {SSH} me@x", SSH, id="ssh key"),
    pytest.param(PEM, "b3BlbnNzaC1rZXktdjEAAAAA", id="pem"),
    pytest.param("nameserver 10.20.30.40", "10.20.30.40", id="ipv4"),
    pytest.param("ip=10.20.30.40::10.20.30.1:255.255.255.0", "10.20.30", id="ipv4 with colons"),
    pytest.param("auto enx3c7c3faabbcc", "3c7c3faabbcc", id="interface name"),
    pytest.param("auto wlx3c7c3faabbcc.100", "3c7c3faabbcc", id="wireless interface name"),
    pytest.param(
        f"# {HOST}.corp.example.org",
        "corp.example.org",
        id="fqdn",
    ),
    pytest.param(
        'ATTRS{serial}=="4C530001230722"',
        "4C530001230722",
        id="serial in a udev match",
    ),
    pytest.param(
        'serial=="4C530001230722"',
        "4C530001230722",
        id="serial compared",
    ),
    pytest.param(
        '{"token": "abcdef012345"}',
        "abcdef012345",
        id="token in json",
    ),
    pytest.param(
        "password s3cr3t-words",
        "s3cr3t-words",
        id="password after a space",
    ),
    pytest.param(
        "nameserver 2001:db8:1234:5678::53",
        "1234:5678",
        id="ipv6",
    ),
    pytest.param("at fe80::3e7c:3fff:feaa:bbcc: up", "feaa", id="ipv6 before a colon"),
    pytest.param("[2001:db8:1:2:3:4:5:aaaa]:22", "5:aaaa", id="ipv6 written out"),
    pytest.param("::ffff:10.20.30.40", "10.20.30.40", id="ipv4 within ipv6"),
    pytest.param('ENV{ID_SERIAL}!="WD-X123"', "WD-X123", id="serial that must differ"),
    pytest.param('\\"token\\": \\"abcdef012345\\"', "abcdef012345", id="token in json in quotes"),
    pytest.param('password="hunter2', "hunter2", id="quote that is not closed"),
    pytest.param("password=hunter,seven", "seven", id="password with a comma"),
    pytest.param(f"# {HOST.upper()} in the rack", HOST, id="host name in capitals"),
    pytest.param(f"# {HOST}.smith", "smith", id="domain of one word"),
]
PLACES = [
    GRUB,
    "/etc/kernel/cmdline",
    "/etc/modprobe.d/local.conf",
    "/etc/modules",
    "/etc/udev/rules.d/99-disk.rules",
    "/proc/cmdline",
    "/etc/driverctl.d/0000:01:00.0",
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_a_secret_does_not_survive(guide: RecordedHost, text: str, secret: str) -> None:
    for place in PLACES:
        guide.with_file(place, f"# a\n{text}\n")
    seen = captured_text(guide)
    assert secret not in seen
    assert secret.lower() not in seen.lower()


@pytest.mark.parametrize("place", PLACES)
def test_every_file_that_is_read_is_redacted(guide: RecordedHost, place: str) -> None:
    seen = captured_text(guide.with_file(place, "password=hunter2 10.20.30.40\n"))
    assert "hunter2" not in seen
    assert "10.20.30.40" not in seen
    assert "password=REDACTED" in seen


def test_a_host_name_that_is_fully_qualified_leaves_nothing(guide: RecordedHost) -> None:
    guide.with_file("/proc/sys/kernel/hostname", "hal9000.corp.example.org\n")
    guide.with_file(GRUB, "# hal9000.corp.example.org and hal9000\n")
    seen = json.dumps(capture_of(guide))
    assert "hal9000" not in seen
    assert "example" not in seen


def test_names_of_files_and_directories_and_interfaces_are_redacted_alike(
    guide: RecordedHost,
) -> None:
    name = "enx3c7c3faabbcc"
    with_class_device(guide, "net", name, f"pci0000:00/0000:00:08.0/{VGA}/net/{name}")
    guide.with_file(f"/sys/class/net/{name}/operstate", "up\n")
    guide.without(f"/sys/class/net/{name}/master")
    guide.with_file("/proc/net/route", f"Iface\tDestination\tGateway\n{name}\t00000000\t0102A8C0\n")
    guide.with_file(f"/etc/modprobe.d/{HOST}.conf", "blacklist nouveau\n")
    capture = capture_of(guide.with_file("/proc/sys/kernel/hostname", f"{HOST}\n"))
    assert "3c7c3faabbcc" not in dump_capture(capture)
    facts = facts_of(capture)
    card = facts.inventory.function(VGA)
    assert card is not None
    (network,) = (use for use in card.uses if use.kind == "network")
    assert network.detail == "up, default route"
    assert [each.where for each in facts.settings] == ["/etc/modprobe.d/host.conf:1"]


def test_comments_in_the_claims_file_are_redacted(guide: RecordedHost) -> None:
    claimed(guide)
    guide.with_file(CLAIMS, f"# password=hunter2 on {HOST}\n{guide.data['files'][CLAIMS]}")
    guide.with_file("/proc/sys/kernel/hostname", f"{HOST}\n")
    again = CaptureRoot(capture_of(guide)).read_text(CLAIMS)
    assert "hunter2" not in again
    assert HOST not in again


def test_the_history_is_redacted_too(guide: RecordedHost) -> None:
    step = FileStep(code="claim-write", path=CLAIMS, before="# password=hunter2\n", after=None)
    begin = Begin(verb="apply", version="0", started="", boot_id="", plan=Plan(steps=(step,)))
    seen = json.dumps(capture_of(guide, History(runs=(Run(number=1, entries=(begin,)),))))
    assert "# password=REDACTED" in seen
    assert "hunter2" not in seen


def test_gateways_are_not_in_a_capture(guide: RecordedHost) -> None:
    table = "Iface\tDestination\tGateway\nenp0s4\t00000000\t0102A8C0\nenp0s4\t0002A8C0\t00000000\n"
    files = capture_of(guide.with_file("/proc/net/route", table))["files"]
    assert files["/proc/net/route"] == "Iface\tDestination\nenp0s4\t00000000\n"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("3c:7c:3f:aa:bb:cc", "3C:7C:3F:AA:BB:CC"),
        ("3f1e2d4c-aaaa-bbbb-cccc-0123456789ab", "3F1E2D4C-AAAA-BBBB-CCCC-0123456789AB"),
        ("10.20.30.40", "10.20.30.40"),
        ("enx3c7c3faabbcc", "enx3c7c3faabbcc"),
    ],
)
def test_equal_things_get_equal_replacements_and_others_do_not(first: str, second: str) -> None:
    redactor = Redactor("")
    replaced = redactor.text(first)
    other = redactor.text(first.replace("aa", "ab").replace("30", "31"))
    assert redactor.text(f"<{second}>") == f"<{replaced}>"
    assert replaced not in (first, other)


def test_three_hundred_addresses_get_three_hundred_replacements() -> None:
    redactor = Redactor("")
    macs = {redactor.text(f"3c:7c:3f:aa:{n >> 8:02x}:{n & 255:02x}") for n in range(300)}
    assert len(macs) == 300
    addresses = {redactor.text(f"10.20.{n >> 8}.{n & 255}") for n in range(300)}
    assert len(addresses) == 300
    assert len({redactor.text(f"fe80::{n:x}") for n in range(1, 70_000)}) == 69_999


@pytest.mark.parametrize(
    "text",
    [
        "0000:01:00.0",
        "10000:e1:00.0 10de:2d04 (10b0:205e)",
        "pci:v000010DEd00002D04sv000010B0sd0000205Ebc03sc00i00",
        "vfio-pci.ids=10de:2d04,10de:22eb",
        "console=ttyS0,115200n8 console=tty0",
        "0x00000000d0000000 0x00000000dfffffff 0x000000000014220c",
        "/dev/mapper/pve-root / ext4 rw,relatime,errors=remount-ro 0 0",
        "enp0s4",
        "/etc/udev/rules.d/10-hostpci-0000-01-00.rules",
        "/sys/class/net/enp0s4/operstate",
        "serial --speed=115200",
        "ip=:::::eth0:dhcp ip=::::h PVE::SysFSTools ::1",
    ],
)
def test_what_the_checks_need_is_left_alone(text: str) -> None:
    assert Redactor("hal9000").text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "pve-manager/8.4.1/2a5fa54a8503f96d (running kernel: 6.8.12-9-pve)",
        "hal90001 myhal9000 hal9000_x",
        "TG9hZGVyS0VZ a2V5== c2VyaWFsKEY==",
    ],
)
def test_what_has_no_form_of_its_own_is_no_pattern(text: str) -> None:
    assert Redactor("hal9000").patterns(text) == text


@pytest.mark.parametrize("name", ["pve", "debian", "proxmox", "localhost", "root", ""])
def test_a_name_that_says_nothing_is_left_alone(name: str) -> None:
    text = f"/etc/{name} PRETTY_NAME=debian proxmox-boot-tool root=/dev/mapper/pve-root"
    assert Redactor(name).text(text) == text


def facts_of(capture: dict[str, Any]) -> Facts:
    host = RecordedHost()
    host.data = json.loads(dump_capture(capture))
    return host.facts()


@pytest.mark.parametrize(
    "name",
    [
        "hal9000",
        "pve",
        "vda2",
        "dev",
        "kernel",
        "boot",
        "nouveau",
        "pci",
        "modules",
        "class",
        "snd-hda-intel",
        "snd_hda_intel",
        "files",
        "links",
        "apply",
        "vfio",
        "claim",
        "functions",
        "2d04",
        "0000",
        "PCI",
    ],
)
def test_a_capture_answers_like_the_host_whatever_its_name(guide: RecordedHost, name: str) -> None:
    guide.data = json.loads(dump_capture(capture_of(claimed(guide))))
    facts = guide.facts()
    guide.with_file("/proc/sys/kernel/hostname", f"{name}\n")
    again = facts_of(capture_of(guide))
    assert support.without_hashes(again) == support.without_hashes(facts)
    assert run_checks(again, SLOT) == run_checks(facts, SLOT)
    assert make_plan(again) == make_plan(facts)


def test_a_kernel_named_after_the_host_does_not_give_it_away(guide: RecordedHost) -> None:
    text = json.dumps(guide.data).replace("6.1.0-56-amd64", f"6.1.0-56-{HOST}")
    guide.data = json.loads(text)
    assert HOST not in captured_text(guide)


@pytest.mark.parametrize("path", ["/etc/modprobe.d/{}.conf", "/sys/class/net/{}/operstate"])
def test_a_name_that_an_administrator_gave_is_no_word_of_the_system(
    guide: RecordedHost, path: str
) -> None:
    where = path.format(HOST)
    with_class_device(guide, "net", HOST, f"pci0000:00/0000:00:08.0/{VGA}/net/{HOST}")
    guide.with_file(where, "up\n")
    assert HOST not in captured_text(guide)


def test_what_follows_the_name_of_a_file_stays(guide: RecordedHost) -> None:
    redactor = Redactor(HOST)
    assert redactor.text(f"{HOST}.conf {HOST}.rules {HOST}.lan") == "host.conf host.rules host"


@pytest.mark.parametrize("verb", ["apply", "undo", "claim"])
def test_a_history_is_read_again_whatever_the_host_is_called(
    guide: RecordedHost, verb: str
) -> None:
    begin = Begin(verb=verb, version="0", started="", boot_id="", plan=Plan(steps=()))
    history = History(runs=(Run(number=1, entries=(begin,)),))
    guide.with_file("/proc/sys/kernel/hostname", f"{verb}\n")
    assert decode(History, capture_of(guide, history)["history"]) == history


def test_a_capture_of_a_capture_is_the_same(guide: RecordedHost) -> None:
    once = capture_of(guide)
    guide.data = json.loads(dump_capture(once))
    assert capture_of(guide) == once


def test_a_tree_and_its_recording_give_the_same_facts(guide: RecordedHost, tmp_path: Path) -> None:
    guide.data = json.loads(dump_capture(capture_of(guide)))
    capture = make_capture(guide.tree(tmp_path / "host"), guide.runner(), History(runs=()))
    assert support.without_hashes(facts_of(capture)) == support.without_hashes(guide.facts())


# somebody else's capture


def loaded(data: object, path: Path) -> dict[str, Any]:
    path.write_text(json.dumps(data), encoding="utf-8")
    return load_capture(str(path))


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("schema", "hostpci.capture/2"),
        ("schema", None),
        ("files", None),
        ("files", []),
        ("files", {"/etc/x": 1}),
        ("files", {"/etc/x": None}),
        ("files", {"/etc/x": ["a"]}),
        ("files", {"etc/x": ""}),
        ("files", {"": ""}),
        ("files", {"/etc/../../x": ""}),
        ("files", {"/..": ""}),
        ("files", {"../x": ""}),
        ("files", {"/etc/a\0b": ""}),
        ("binary", {"/x": "%%%"}),
        ("binary", {"/x": "YQ"}),
        ("binary", {"/x": "é"}),
        ("binary", {"/../x": "YQ=="}),
        ("links", {"/x": None}),
        ("links", {"/x/../../y": "z"}),
        ("directories", {"/x": "name"}),
        ("directories", {"/x": [1]}),
        ("directories", {"x": []}),
        ("holders", {"/dev/x": [None]}),
        ("times", {"/x": "now"}),
        ("times", {"/x": True}),
        ("times", {"/x": 1.5}),
        ("times", {"/../x": 1}),
        ("errors", {"/x": 2}),
        ("commands", None),
        ("commands", {}),
        ("commands", [1]),
        ("commands", [{"argv": ["a"]}]),
        ("commands", [{"argv": "a", "stdout": ""}]),
        ("commands", [{"argv": ["a"], "stdout": None}]),
        ("commands", [{"argv": ["a"], "stdout": "", "stderr": ""}]),
    ],
)
def test_a_capture_with_anything_unexpected_is_refused(
    guide: RecordedHost, tmp_path: Path, section: str, value: object
) -> None:
    guide.data[section] = value
    with pytest.raises(CorruptError) as caught:
        loaded(guide.data, tmp_path / "capture.json")
    assert caught.value.code == "capture-corrupt"
    assert caught.value.params["path"] == str(tmp_path / "capture.json")


@pytest.mark.parametrize(
    "section", ["files", "binary", "links", "directories", "holders", "times", "errors", "commands"]
)
def test_a_capture_without_a_section_is_refused(
    guide: RecordedHost, tmp_path: Path, section: str
) -> None:
    del guide.data[section]
    with pytest.raises(CorruptError):
        loaded(guide.data, tmp_path / "capture.json")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"\xff\xfe{}",
        b'{"schema": "hostpci.capture/1\xff"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"times": {"/x": ' + b"9" * 5000 + b"}}",
    ],
)
def test_a_file_that_is_no_json_of_ours_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "capture.json"
    path.write_bytes(content)
    with pytest.raises(CorruptError) as caught:
        load_capture(str(path))
    assert len(str(caught.value.params["reason"])) <= 200


def test_a_capture_that_would_fill_the_memory_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "capture.json"
    path.touch()
    os.truncate(path, (64 << 20) + 1)
    with pytest.raises(CorruptError, match="64 MiB"):
        load_capture(str(path))


def test_a_capture_that_is_not_there_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_capture(str(tmp_path / "none"))
    assert caught.value.code == "no-such-file"


def look_at_everything(data: dict[str, Any]) -> None:
    facts = ReplayedHost(data).facts()
    run_checks(facts, SLOT)
    make_plan(facts, bind_now=True)


class ReplayedHost(RecordedHost):
    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    def runner(self) -> ReplayRunner:
        return ReplayRunner(self.data["commands"])


ALIASES = "/lib/modules/6.1.0-56-amd64/modules.alias"
GROUPS = "/sys/kernel/iommu_groups"


@pytest.mark.parametrize(
    ("section", "path", "value"),
    [
        ("files", f"{DEVICES}/{VGA}/class", "zebra"),
        ("files", f"{DEVICES}/{VGA}/vendor", "\x1b[2J"),
        ("files", "/etc/modprobe.d/x.conf", "options\nblacklist\ninstall\nsoftdep\n \\\n"),
        ("files", "/proc/self/mounts", "/dev/\n/dev/x\n"),
        ("files", "/proc/swaps", "/dev/\n"),
        ("files", "/proc/net/route", "\n\nx\n"),
        ("files", "/proc/cpuinfo", "flags"),
        ("files", "/proc/cmdline", ""),
        ("links", f"{DEVICES}/{VGA}/driver", "///"),
        ("links", f"{DEVICES}/{VGA}/iommu_group", "../99999999999999999999"),
        ("directories", DEVICES, [VGA, VGA, "0000:01:3f.0"]),
        ("errors", "/etc/default/grub", "EWHATEVER"),
        ("files", f"{DEVICES}/{VGA}/resource", "x"),
        ("files", f"{DEVICES}/{VGA}/resource", "0 0"),
        ("files", ALIASES, "alias pci:v"),
        ("files", ALIASES, "alias pci:v*d*sv*sd*bc*sc*i*"),
        ("files", "/proc/modules", "\n"),
        ("links", f"{DEVICES}/{VGA}/iommu_group", "../²"),
        ("directories", GROUPS, ["²"]),
        ("errors", "/etc/hostpci.toml", "errorcode"),
        ("errors", "/etc/hostpci.toml", "__doc__"),
        ("files", f"{DEVICES}/{VGA}/resource", "0" * 5000 + " 1 1"),
        ("files", f"{DEVICES}/{VGA}/current_link_width", "9" * 5000),
        ("files", f"{DEVICES}/{VGA}/class", "0x" + "f" * 9000),
        ("files", ALIASES, "alias pci:v\nalias pci:v*\nalias\n\n"),
        ("links", f"{DEVICES}/{VGA}/iommu_group", "../" + "9" * 5000),
        ("directories", GROUPS, ["9" * 5000, "٣", "-1", "1_0"]),
    ],
)
def test_a_hostile_answer_does_not_end_in_a_traceback(
    guide: RecordedHost, tmp_path: Path, section: str, path: str, value: object
) -> None:
    for other in ("files", "links", "directories", "errors"):
        guide.data[other].pop(path, None)
    guide.data[section][path] = value
    if path.startswith("/etc/modprobe.d"):
        guide.data["directories"]["/etc/modprobe.d"] = ["x.conf"]
    data = loaded(guide.data, tmp_path / "capture.json")
    try:
        look_at_everything(data)
    except ToolError as error:
        assert error.code  # noqa: PT017  (a refusal in our own words is as good an answer)
