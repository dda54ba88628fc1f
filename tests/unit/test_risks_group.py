"""The whole group that PVE binds at VM start, one answer for each who is in it."""

from __future__ import annotations

import pytest

from hostpci.checks.registry import run_checks
from hostpci.facts.claims import PATH, with_host_options
from hostpci.model.finding import Finding, Level, Outcome
from hostpci.model.pci import UseKind
from hostpci.planner.claim import claim_step
from hostpci.planner.plan import make_plan

from ..hosts import AUDIO, DEVICES, SLOT, VGA, RecordedHost
from .support import claimed, codes, findings, with_block, with_class_device, with_mounts

SATA, NIC, DISK, HDA = "0000:00:1f.2", "0000:00:04.0", "0000:00:03.0", "0000:00:1b.0"
ISA, SMBUS, BRIDGE, HOST_BRIDGE = "0000:00:1f.0", "0000:00:1f.3", "0000:00:08.0", "0000:00:00.0"


def classed(host: RecordedHost, address: str, class_code: str) -> RecordedHost:
    host.data["files"][f"{DEVICES}/{address}/class"] = f"{class_code}\n"
    return host


def stranger(host: RecordedHost, address: str) -> Finding:
    (found,) = (each for each in findings(host, "group-shared") if each.subject == address)
    return found


# never


@pytest.mark.parametrize("address", [NIC, DISK, ISA, SMBUS])
def test_what_the_host_cannot_be_without_has_no_consent(guide: RecordedHost, address: str) -> None:
    found = stranger(guide.with_group(address, 8), address)
    assert (found.blocks, found.consent, found.level) == (True, "", Level.FAIL)


def test_a_physical_function_with_virtual_ones_on_has_no_consent(guide: RecordedHost) -> None:
    classed(guide, SATA, "0x020000").with_group(SATA, 8)
    assert stranger(guide, SATA).consent == "group-shares-nic"
    guide.with_file(f"{DEVICES}/{SATA}/sriov_numvfs", "4\n")
    found = stranger(guide, SATA)
    assert (found.blocks, found.consent, found.evidence) == (True, "", ("sriov_numvfs=4",))


def test_a_bridge_of_the_group_stays_with_the_host(guide: RecordedHost) -> None:
    guide.with_group(BRIDGE, 8).with_group(HOST_BRIDGE, 8)
    assert findings(guide, "group-shared") == []
    assert run_checks(guide.facts(), SLOT).blocking == ()


@pytest.mark.parametrize(
    ("address", "path"),
    [
        (SATA, "/proc/self/mounts"), (SATA, "/proc/swaps"), (SATA, "/sys/class/block"),
        (NIC, "/sys/class/net"), (NIC, "/proc/net/route"),
        (NIC, "/sys/class/net/enp0s4/operstate"), (NIC, "/sys/class/net/enp0s4/master"),
    ],
)  # fmt: skip
def test_what_could_not_be_read_of_a_disk_or_a_network_is_refused(
    guide: RecordedHost, address: str, path: str
) -> None:
    found = stranger(guide.with_group(address, 8).unreadable(path), address)
    assert (found.outcome, found.blocks, found.consent) == (Outcome.NOT_MEASURED, True, "")


def test_what_could_not_be_read_of_disks_does_not_hinder_a_sound_device(
    guide: RecordedHost,
) -> None:
    guide.with_group(HDA, 8).unreadable("/proc/self/mounts")
    assert stranger(guide, HDA).consent == "group-shares-audio"


@pytest.mark.parametrize("path", ["/proc/self/mounts", "/sys/class/block"])
def test_a_disk_controller_of_which_nothing_is_known_is_refused_itself(
    guide: RecordedHost, path: str
) -> None:
    classed(guide, VGA, "0x010802").unreadable(path)
    assert codes(run_checks(guide.facts(), SLOT).blocking) == ["host-needs-it"]


def test_a_card_is_not_refused_for_what_is_unknown_of_disks(guide: RecordedHost) -> None:
    guide.unreadable("/proc/self/mounts")
    assert run_checks(guide.facts(), SLOT).blocking == ()
    assert [each.outcome for each in findings(guide, "host-use")] == [Outcome.NOT_MEASURED]


def test_members_of_a_group_that_cannot_be_listed_are_refused(guide: RecordedHost) -> None:
    guide.unreadable(f"{DEVICES}/{NIC}/iommu_group")
    assert "group-isolated" in codes(run_checks(guide.facts(), SLOT).blocking)


# by name


def test_an_idle_network_card_goes_by_name_and_one_in_use_does_not(guide: RecordedHost) -> None:
    with_class_device(guide, "net", "eth7", f"pci0000:00/{SATA}/net/eth7")
    guide.without("/sys/class/net/eth7/master").with_file("/sys/class/net/eth7/operstate", "down\n")
    classed(guide, SATA, "0x020000").with_group(SATA, 8)
    assert stranger(guide, SATA).consent == "group-shares-nic"
    guide.with_file("/sys/class/net/eth7/operstate", "up\n")
    assert stranger(guide, SATA).consent == ""


def test_a_network_adapter_on_usb_makes_its_controller_one_that_is_needed(
    guide: RecordedHost,
) -> None:
    with_class_device(guide, "net", "enx1", f"pci0000:00/{SATA}/usb2/2-1/2-1:1.0/net/enx1")
    guide.with_file("/sys/class/net/enx1/operstate", "up\n").without("/sys/class/net/enx1/master")
    assert stranger(classed(guide, SATA, "0x0c0330").with_group(SATA, 8), SATA).consent == ""


def test_a_stranger_that_is_claimed_itself_is_no_loss(guide: RecordedHost) -> None:
    guide.with_group(HDA, 8)
    step = claim_step(guide.facts(), SLOT, ("group-shares-audio",))
    assert step is not None
    assert step.after is not None
    claimed(guide.with_file(PATH, step.after), "0000:00:1b")
    assert [each.outcome for each in findings(guide, "group-shared")] == [Outcome.HOLDS]
    assert [each.outcome for each in findings(guide, "group-shared", "0000:00:1b")] == [
        Outcome.HOLDS,
        Outcome.HOLDS,
    ]
    assert make_plan(guide.facts()).refusals == ()


def test_a_claim_of_somebody_else_at_its_address_is_none(guide: RecordedHost) -> None:
    claimed(guide.with_group(HDA, 8), "0000:00:1b").with_identity(HDA, device="ffff")
    assert stranger(guide, HDA).blocks


def test_a_claimed_stranger_that_the_host_needs_is_refused_all_the_same(
    guide: RecordedHost,
) -> None:
    claimed(guide.with_group(NIC, 8), SLOT, "0000:00:04")
    assert stranger(guide, NIC).blocks


# refusals that came after the claim


def test_what_the_host_began_to_need_after_the_claim_stops_the_plan(guide: RecordedHost) -> None:
    claimed(guide)
    assert make_plan(guide.facts()).refusals == ()
    with_block(guide, "sdz", f"pci0000:00/0000:00:08.0/{VGA}/usb2/host9/block/sdz")
    with_mounts(guide, "/dev/sdz /backup ext4 rw 0 0")
    plan = make_plan(guide.facts())
    assert (plan.steps, codes(plan.refusals)) == ((), ["host-needs-it"])


def test_processes_are_named_and_their_loss_goes_by_name(guide: RecordedHost) -> None:
    guide.data["holders"]["/dev/snd/controlC1"] = ["ollama[2210]", "nvidia-persiste[811]"]
    (found,) = findings(guide, "host-has-it-open")
    assert found.evidence == ("nvidia-persiste[811]", "ollama[2210]")
    assert found.consent == "in-use-by-host"


# slots with more in them than a card


def with_functions(host: RecordedHost, *classes: str) -> RecordedHost:
    for number, class_code in enumerate(classes, start=2):
        host._clone(AUDIO, f"{SLOT}.{number}")
        classed(host.with_group(f"{SLOT}.{number}", 8), f"{SLOT}.{number}", class_code)
    return host


def test_the_slot_of_an_apu_holds_ports_and_the_security_processor_of_the_host(
    guide: RecordedHost,
) -> None:
    """Renoir, Phoenix: VGA, audio, PSP, two USB controllers, ACP and HDA in one slot."""
    with_functions(guide, "0x108000", "0x0c0330", "0x0c0330", "0x048000", "0x040300")
    (found,) = findings(guide, "slot-of-processor")
    assert (found.level, found.params) == (Level.WARN, {"others": "6", "usb": "2"})


def test_a_card_with_usb_and_ucsi_functions_is_no_apu(guide: RecordedHost) -> None:
    """RTX 20, RX 6000: VGA, audio, xHCI, UCSI."""
    with_functions(guide, "0x0c0330", "0x0c8000")
    assert findings(guide, "slot-of-processor") == []
    assert run_checks(guide.facts(), SLOT).blocking == ()


def test_a_keyboard_on_the_cards_own_usb_port_is_seen(guide: RecordedHost) -> None:
    usb = f"pci0000:00/0000:00:08.0/{SLOT}.2/usb3/3-1/3-1:1.0/0003:1.1/input/input9"
    with_functions(guide, "0x0c0330", "0x0c8000")
    with_class_device(guide, "input", "input9", usb)
    function = guide.facts().inventory.function(f"{SLOT}.2")
    assert function is not None
    assert [use.kind for use in function.uses] == [UseKind.INPUT]


# isolation that is only asserted


def with_override(host: RecordedHost, release: str = "6.8.12-9-pve") -> RecordedHost:
    host.with_file("/proc/sys/kernel/osrelease", f"{release}\n")
    return host.with_command_line("pcie_acs_override=downstream,multifunction")


def test_a_group_that_an_override_made_goes_by_name(guide: RecordedHost) -> None:
    (found,) = findings(with_override(guide), "acs-asserted")
    assert (found.level, found.blocks, found.consent) == (Level.FAIL, True, "acs-asserted")


def test_a_kernel_without_the_patch_asserts_nothing(guide: RecordedHost) -> None:
    assert findings(with_override(guide, guide.release), "acs-asserted") == []


def test_who_chose_the_override_for_this_host_has_said_so(guide: RecordedHost) -> None:
    text = with_host_options(None, ("acs-override=downstream",))
    assert text is not None
    (found,) = findings(with_override(guide).with_file(PATH, text), "acs-asserted")
    assert (found.level, found.blocks) == (Level.WARN, False)
