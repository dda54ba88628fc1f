"""Names of network interfaces: who relies on them, what keeps them, and pinning them."""

from __future__ import annotations

import json

import pytest

from hostpci.facts.claims import PATH as CLAIMS
from hostpci.facts.state import baseline_of
from hostpci.model.baseline import BASELINE, SCHEMA
from hostpci.model.codec import document
from hostpci.model.finding import Level
from hostpci.model.network import WAS_ASKED, link_path
from hostpci.model.plan import CommandStep, FileStep, Reboot, Step
from hostpci.planner.plan import make_plan

from ..hosts import RecordedHost
from .support import carry_out, claimed, codes, findings

NIC = "enp0s4"
MAC = "aa:bb:cc:00:00:01"
NET = f"/sys/class/net/{NIC}"
LINK = link_path(NIC)
INTERFACES = f"""\
auto lo
iface lo inet loopback

iface {NIC} inet manual

auto vmbr0
iface vmbr0 inet static
\taddress 192.0.2.10/24
\tbridge-ports {NIC}
"""


def bridged(text: str = INTERFACES) -> RecordedHost:
    """A host whose initramfs does not bring the interface's driver."""
    host = RecordedHost()
    for command in host.data["commands"]:
        command["stdout"] = command["stdout"].replace("/virtio_net.ko", "/other.ko")
    host.with_file("/etc/network/interfaces", text)
    return host.with_file(f"{NET}/address", f"{MAC}\n")


def asked(host: RecordedHost, *options: str) -> RecordedHost:
    wanted = ", ".join(f'"{each}"' for each in options or ("pin-nic-names",))
    return host.with_file(CLAIMS, f"[host]\noptions = [{wanted}]\n")


def files(steps: tuple[Step, ...]) -> list[FileStep]:
    return [each for each in steps if isinstance(each, FileStep)]


def linked(host: RecordedHost, text: str, path: str = "/etc/systemd/network/50-mine.link") -> None:
    host.with_file(path, text)


# what is read


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (INTERFACES, [4, 9]),
        (f"auto {NIC}\n", [1]),
        (f"allow-hotplug eth7 {NIC}\n", [1]),
        (f"iface {NIC}:0 inet static\n", [1]),
        (f"iface {NIC}.17 inet manual\n", [1]),
        (f"iface bond0 inet manual\n\tbond_slaves eth7 \\\n\t  {NIC}\n", [2]),
        (f"iface vlan5 inet manual\n vlan-raw-device {NIC}\n", [2]),
        (f"# auto {NIC}\n", []),
        (f"auto {NIC}2\n", []),
        ("iface vmbr0 inet manual\n bridge_ports regex en.* none\n", []),
        ("", []),
    ],
)
def test_a_mention_in_the_configuration_is_found_with_its_line(text: str, lines: list[int]) -> None:
    (nic,) = bridged(text).facts().network.interfaces
    assert nic.references == tuple(f"/etc/network/interfaces:{line}" for line in lines)


def test_networkd_is_read_where_it_says_a_whole_name() -> None:
    host = bridged("")
    host.with_file("/etc/systemd/network/20-a.network", f"[Match]\nName={NIC} eth*\n")
    (nic,) = host.facts().network.interfaces
    assert nic.references == ("/etc/systemd/network/20-a.network:2",)


@pytest.mark.parametrize(
    "text",
    [
        f"[Match]\nMACAddress={MAC}\n[Link]\nName=nic0\n",
        f"[Match]\nMACAddress=00:00:00:00:00:07 {MAC.upper()}\nType=ether\n[Link]\nName=nic0\n",
        f"# mine\n[Match]\nPermanentMACAddress = {MAC.replace(':', '-')}\n\n[Link]\nName=nic0\n",
    ],
)
@pytest.mark.parametrize(
    "path",
    ["/etc/systemd/network/50-mine.link", "/usr/local/lib/systemd/network/50-pmx-nic0.link"],
)
def test_a_link_file_pins(text: str, path: str) -> None:
    host = bridged().with_file(path, text)
    (nic,) = host.facts().network.interfaces
    assert (nic.pinned_by, nic.pinned_to) == (path, "nic0")


@pytest.mark.parametrize(
    "text",
    [
        "[Match]\nMACAddress=00:00:00:00:00:07\n[Link]\nName=nic0\n",
        f"[Match]\nMACAddress={MAC}\n[Link]\nMTUBytes=9000\n",
        f"#[Match]\n#MACAddress={MAC}\n[Link]\nName=nic0\n",
    ],
)
def test_a_link_file_that_does_not_pin(text: str) -> None:
    host = bridged().with_file("/etc/systemd/network/50-mine.link", text)
    assert host.facts().network.interfaces[0].pinned_by == ""


def test_the_old_persistent_rules_pin() -> None:
    rule = f'SUBSYSTEM=="net", ACTION=="add", ATTR{{address}}=="{MAC}", NAME="{NIC}"\n'
    host = bridged().with_file("/etc/udev/rules.d/70-persistent-net.rules", rule)
    assert host.facts().network.interfaces[0].pinned_by.startswith("/etc/udev/rules.d/70-")


def test_a_port_of_a_bond_is_known_by_its_own_address() -> None:
    host = bridged().with_file(f"{NET}/addr_assign_type", "3\n")
    assert host.facts().network.interfaces[0].mac is None
    host.with_file(f"{NET}/bonding_slave/perm_hwaddr", "AA:BB:CC:00:00:09\n")
    assert host.facts().network.interfaces[0].mac == "aa:bb:cc:00:00:09"


# findings


def test_a_name_that_nothing_keeps_is_a_notice() -> None:
    (found,) = findings(bridged(), "nic-name-not-pinned")
    assert (found.level, found.subject) == (Level.NOTICE, NIC)
    assert "/etc/network/interfaces:4" in found.evidence


def test_and_a_warning_once_something_has_moved() -> None:
    host = claimed(bridged())
    for function in ("0", "1"):
        host._clone(f"0000:01:00.{function}", f"0000:02:00.{function}")
    host.without_device("0000:01:00")
    (found,) = findings(host, "nic-name-not-pinned")
    assert found.level is Level.WARN
    assert "0000:01:00.0 -> 0000:02:00.0" in found.evidence


def test_a_kept_name_and_an_unused_one_are_fine() -> None:
    host = bridged().with_file(LINK, f"[Match]\nMACAddress={MAC}\n[Link]\nName={NIC}\n")
    assert codes(findings(host, "nic-names")) == ["nic-names"]
    assert findings(host, "nic-name-not-pinned") == []
    assert findings(bridged("auto lo\n"), "nic-name-not-pinned") == []


def test_a_configuration_that_cannot_be_read_is_not_taken_for_none() -> None:
    host = bridged().unreadable("/etc/network/interfaces")
    (found,) = findings(host, "nic-names")
    assert found.outcome == "not-measured"


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        (INTERFACES, []),
        (INTERFACES.replace(f"bridge-ports {NIC}", "bridge-ports enp9s0"), ["enp9s0"]),
        ("iface vmbr0 inet manual\n bridge_ports enp9s0.5\n", ["enp9s0"]),
        ("iface bond0 inet manual\n bond-slaves enp9s0 enp0s4\n", ["enp9s0"]),
        ("iface bond0\n bond-slaves enp0s4\niface vmbr0\n bridge-ports bond0\n", []),
        ("iface vmbr0 inet manual\n bridge-ports none\n", []),
        ("iface vmbr0\n bridge-ports vx1\n pre-up ip link add vx1 type vxlan id 1\n", []),
        ("iface enp9s0 inet manual\n", []),
        ("iface vmbr0\n bridge-ports enx001122334455\n", []),
    ],
)
def test_a_port_that_no_interface_is_fails(text: str, missing: list[str]) -> None:
    host = bridged(text)
    host.with_file("/run/udev/data/n2", "E:ID_NET_NAME_MAC=enx001122334455\n")
    found = findings(host, "bridge-port-missing")
    assert [each.subject for each in found] == missing
    assert all(each.level is Level.FAIL for each in found)


# pinning


def test_nothing_is_pinned_unasked() -> None:
    assert make_plan(bridged().facts()).steps == ()
    assert [step.code for step in make_plan(claimed(bridged()).facts()).steps] == ["rule-write"]


def test_the_option_pins_what_the_configuration_names() -> None:
    (step,) = make_plan(asked(bridged()).facts()).steps
    assert isinstance(step, FileStep)
    assert (step.code, step.path, step.before) == ("nic-pin", LINK, None)
    assert f"\nPermanentMACAddress={MAC}\nType=ether\n" in (step.after or "")
    assert f"\nName={NIC}\n" in (step.after or "")


def test_after_it_the_plan_is_empty_and_without_the_option_it_is_taken_back() -> None:
    host = asked(bridged())
    host = carry_out(host, make_plan(host.facts()))
    assert host.facts().network.interfaces[0].pinned_by == LINK
    assert make_plan(host.facts()).steps == ()
    (step,) = make_plan(host.with_file(CLAIMS, "").facts()).steps
    assert isinstance(step, FileStep)
    assert (step.code, step.after) == ("nic-unpin", None)
    assert make_plan(carry_out(host, make_plan(host.facts())).facts()).steps == ()


@pytest.mark.parametrize("text", ["auto lo\n", "auto eth7\n"])
def test_what_nobody_names_is_not_pinned(text: str) -> None:
    assert make_plan(asked(bridged(text)).facts()).steps == ()


def test_what_somebody_else_pins_stays_theirs() -> None:
    host = asked(bridged())
    linked(host, f"[Match]\nMACAddress={MAC}\n[Link]\nName={NIC}\n")
    assert make_plan(host.facts()).steps == ()


def test_an_address_that_is_not_the_hardware_s_is_not_pinned() -> None:
    host = asked(bridged()).with_file(f"{NET}/addr_assign_type", "1\n")
    assert make_plan(host.facts()).steps == ()


def test_an_image_that_names_the_interface_itself_is_built_anew_once() -> None:
    host = asked(bridged()).with_modules_in_initramfs("net/virtio_net")
    plan = make_plan(host.facts())
    assert [step.code for step in plan.steps] == ["nic-pin", "initramfs-rebuild"]
    host = carry_out(host, plan)
    assert host.facts().images[0].links == (LINK.rpartition("/")[2],)
    assert make_plan(host.facts()).steps == ()
    gone = make_plan(host.with_file(CLAIMS, "").facts())
    assert [step.code for step in gone.steps] == ["nic-unpin", "initramfs-rebuild"]
    assert any(isinstance(step, CommandStep) for step in gone.steps)


def test_a_pin_that_was_written_unasked_is_not_taken_back_by_a_plan() -> None:
    host = asked(bridged())
    (step,) = files(make_plan(host.facts()).steps)
    text = (step.after or "").replace(WAS_ASKED, "# for a reason")
    host = host.with_file(LINK, text).with_file(CLAIMS, "")
    host.data["times"][LINK] = 1
    assert make_plan(host.facts()).steps == ()


def moved_since(host: RecordedHost) -> RecordedHost:
    text = json.dumps(document(SCHEMA, baseline_of(host.facts(), "2026-01-01")))
    host.with_file(BASELINE, text)
    host._clone("0000:00:05.0", "0000:00:06.0")
    return host.without_device("0000:00:05")


def test_a_reboot_after_a_move_pins_unasked() -> None:
    plan = make_plan(moved_since(claimed(bridged())).facts())
    assert [step.code for step in plan.steps] == ["rule-write", "nic-pin"]
    (_, pin) = files(plan.steps)
    assert WAS_ASKED not in (pin.after or "")


def test_a_move_without_a_reboot_does_not() -> None:
    assert make_plan(moved_since(bridged()).facts()).steps == ()


def test_a_reboot_without_a_move_does_not() -> None:
    plan = make_plan(claimed(bridged()).facts())
    assert plan.reboot is Reboot.ONE
    assert [step.code for step in plan.steps] == ["rule-write"]
