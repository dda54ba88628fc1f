"""Every finding, in each of its outcomes, on a host where it is so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hostpci.checks.registry import require_assignable, run_checks
from hostpci.errors import UsageError
from hostpci.facts.claims import PATH as CLAIMS
from hostpci.facts.claims import with_claim
from hostpci.model.finding import Finding, Findings, Level, Outcome
from hostpci.model.rule import rule_path
from hostpci.planner.plan import make_plan

from ..hosts import AUDIO, DEVICES, SLOT, VGA, RecordedHost
from ..loaders import grub_on_esp, systemd_boot_on_esp, with_efi
from .support import (
    claim_of,
    claimed,
    codes,
    existing,
    findings,
    on_vfio,
    with_block,
    with_class_device,
    with_mounts,
    with_rule,
)

HOLDS, FAILS, UNKNOWN = Outcome.HOLDS, Outcome.DOES_NOT_HOLD, Outcome.NOT_MEASURED
Change = Callable[[RecordedHost], RecordedHost]
NIC, DISK, SATA, HOST_BRIDGE = "0000:00:04.0", "0000:00:03.0", "0000:00:1f.2", "0000:00:00.0"
BOOT_DISPLAY = "0000:00:02.0"
CONFIG = "/boot/config-6.1.0-56-amd64"
MODULES_DEP = "/lib/modules/6.1.0-56-amd64/modules.dep"
GROUP_8 = "/sys/kernel/iommu_groups/8"
IMAGE = "/boot/initrd.img-6.1.0-56-amd64"


def same(host: RecordedHost) -> RecordedHost:
    return host


def with_pve(host: RecordedHost) -> RecordedHost:
    host.data["commands"].append({"argv": ["pveversion"], "stdout": "pve-manager/9.1.1\n"})
    return existing(host, "/usr/bin/pveversion")


def cpu(vendor: str, flags: str | None) -> Change:
    text = f"vendor_id\t: {vendor}\nmodel name\t: CPU\n"
    return lambda host: host.with_file(
        "/proc/cpuinfo", text if flags is None else f"{text}flags\t: {flags}\n"
    )


def attribute(address: str, name: str, text: str) -> Change:
    def change(host: RecordedHost) -> RecordedHost:
        host.data["errors"].pop(f"{DEVICES}/{address}/{name}", None)
        host.data["files"][f"{DEVICES}/{address}/{name}"] = text
        return host

    return change


def absent(path: str) -> Change:
    return lambda host: host.without(path)


def unreadable(path: str) -> Change:
    return lambda host: host.unreadable(path)


def words(*added: str) -> Change:
    return lambda host: host.with_command_line(*added)


def driver(address: str, name: str | None, *, built_in: bool = False) -> Change:
    return lambda host: host.with_driver(address, name, built_in=built_in)


def group(address: str, number: int) -> Change:
    return lambda host: host.with_group(address, number)


def holders(path: str, *names: str) -> Change:
    def change(host: RecordedHost) -> RecordedHost:
        host.data["holders"][path] = list(names)
        return host

    return change


def on_card(kind: str, node: str, address: str = VGA) -> Change:
    path = f"pci0000:00/0000:00:08.0/{address}/{kind}/{node}"
    return lambda host: with_class_device(host, kind, node, path)


def chain(*changes: Change) -> Change:
    def change(host: RecordedHost) -> RecordedHost:
        for each in changes:
            host = each(host)
        return host

    return change


def mounted_on_card(host: RecordedHost) -> RecordedHost:
    with_block(host, "sdz", f"pci0000:00/0000:00:08.0/{VGA}/usb2/host9/block/sdz")
    return with_mounts(host, "/dev/sdz /backup ext4 rw 0 0")


def no_methods(host: RecordedHost) -> RecordedHost:
    return host.without(f"{DEVICES}/{VGA}/reset_method")


def unlisted(address: str) -> Change:
    def change(host: RecordedHost) -> RecordedHost:
        host.data["directories"][DEVICES].remove(address)
        return host

    return change


def beside(address: str) -> Change:
    """Another device on the bus of the card."""

    def change(host: RecordedHost) -> RecordedHost:
        host._clone(AUDIO, address)
        return host

    return change


def on_the_root_bus(host: RecordedHost) -> RecordedHost:
    return host.with_link(f"{DEVICES}/{VGA}", f"../../../devices/pci0000:00/{VGA}")


def with_uefi(host: RecordedHost) -> RecordedHost:
    return with_efi(host, "systemd-boot 257")


def image_not_listed(host: RecordedHost) -> RecordedHost:
    host.data["commands"] = []
    return host


def no_iommu_and(*changes: Change) -> Change:
    return chain(lambda host: host.without_iommu(), *changes)


def with_table(name: str) -> Change:
    def change(host: RecordedHost) -> RecordedHost:
        host.data["directories"]["/sys/firmware/acpi/tables"].append(name)
        return host

    return change


def identity_change(host: RecordedHost) -> RecordedHost:
    return claimed(host).with_identity(AUDIO, device="2882")


CASES: list[tuple[Change, str, Outcome, Level, str, bool]] = [
    # platform
    (with_pve, "pve", HOLDS, Level.PASS, "", False),
    (same, "pve", FAILS, Level.NOTICE, "", False),
    (same, "cpu-virtualization", HOLDS, Level.PASS, "", False),
    (cpu("GenuineIntel", "vmx"), "cpu-virtualization", HOLDS, Level.PASS, "", False),
    (cpu("GenuineIntel", "fpu"), "cpu-virtualization", FAILS, Level.FAIL, "", False),
    (cpu("AuthenticAMD", None), "cpu-virtualization", UNKNOWN, Level.WARN, "", False),
    (same, "iommu-table", HOLDS, Level.PASS, "", False),
    (no_iommu_and(), "iommu-table", FAILS, Level.FAIL, "", False),
    (unreadable("/sys/firmware/acpi/tables"), "iommu-table", UNKNOWN, Level.WARN, "", False),
    (same, "iommu-on", HOLDS, Level.PASS, "", False),
    (no_iommu_and(), "iommu-on", FAILS, Level.FAIL, "", True),
    (no_iommu_and(with_table("IVRS")), "iommu-on", FAILS, Level.FAIL, "", True),
    (no_iommu_and(words("iommu=off")), "iommu-off-word", FAILS, Level.FAIL, "", True),
    (no_iommu_and(words("amd_iommu=off")), "iommu-off-word", FAILS, Level.FAIL, "", True),
    (no_iommu_and(words("intel_iommu=off")), "iommu-off-word", FAILS, Level.FAIL, "", True),
    (lambda h: h.as_intel_default_off(), "iommu-default-off", FAILS, Level.FAIL, "", False),
    (same, "interrupt-remapping", HOLDS, Level.PASS, "", False),
    (lambda h: h.without_remapping(), "interrupt-remapping", FAILS, Level.FAIL, "", True),
    (no_iommu_and(), "interrupt-remapping", FAILS, Level.FAIL, "", False),
    (unreadable("/sys/kernel/irq"), "interrupt-remapping", UNKNOWN, Level.WARN, "", False),
    (same, "vfio-module", HOLDS, Level.PASS, "", False),
    (lambda h: h.with_file(MODULES_DEP, ""), "vfio-module", FAILS, Level.FAIL, "", True),
    (absent(MODULES_DEP), "vfio-module", UNKNOWN, Level.WARN, "", False),
    (same, "loader", HOLDS, Level.PASS, "", False),
    (with_uefi, "loader", FAILS, Level.NOTICE, "", False),
    (with_uefi, "loader-two-loaders", FAILS, Level.NOTICE, "", False),
    (systemd_boot_on_esp, "loader", HOLDS, Level.PASS, "", False),
    (grub_on_esp, "loader", HOLDS, Level.PASS, "", False),
    (systemd_boot_on_esp, "secure-boot", FAILS, Level.INFO, "", False),
    (
        lambda h: with_efi(h, secure_boot=True),
        "secure-boot", HOLDS, Level.PASS, "", False,
    ),
    (same, "command-line-source", HOLDS, Level.INFO, "", False),
    (same, "command-line-next", HOLDS, Level.PASS, "", False),
    (words("iommu=pt"), "command-line-next", FAILS, Level.NOTICE, "", False),
    (systemd_boot_on_esp, "command-line-next", UNKNOWN, Level.INFO, "", False),
    # device
    (claimed, "identity", HOLDS, Level.PASS, VGA, False),
    (identity_change, "identity", FAILS, Level.FAIL, AUDIO, True),
    (absent(f"{DEVICES}/{VGA}/iommu_group"), "group", FAILS, Level.FAIL, VGA, True),
    (same, "group-isolated", HOLDS, Level.PASS, SLOT, False),
    (group(NIC, 8), "group-shared", FAILS, Level.FAIL, NIC, True),
    (group(DISK, 8), "group-shared", FAILS, Level.FAIL, DISK, True),
    (group(SATA, 8), "group-shared", FAILS, Level.FAIL, SATA, True),
    (
        lambda h: h.with_file(f"{GROUP_8}/reserved_regions", "0xdf000000 0xdf7fffff direct\n"),
        "reserved-direct", FAILS, Level.FAIL, "group 8", True,
    ),
    (same, "host-use", HOLDS, Level.PASS, SLOT, False),
    (mounted_on_card, "host-needs-it", FAILS, Level.FAIL, VGA, True),
    (
        holders("/dev/snd/controlC1", "pipewire[7]"),
        "host-has-it-open", FAILS, Level.FAIL, SLOT, True,
    ),
    (same, "boot-vga", HOLDS, Level.PASS, VGA, False),
    (attribute(VGA, "boot_vga", "1\n"), "boot-vga", FAILS, Level.NOTICE, VGA, False),
    (
        chain(attribute(VGA, "boot_vga", "1\n"), attribute(BOOT_DISPLAY, "class", "0x020000\n")),
        "boot-vga", FAILS, Level.WARN, VGA, False,
    ),
    (unreadable(f"{DEVICES}/{VGA}/boot_vga"), "boot-vga", UNKNOWN, Level.WARN, VGA, False),
    (attribute(VGA, "sriov_numvfs", "4\n"), "sriov-vfs", FAILS, Level.FAIL, VGA, True),
    (same, "reset", HOLDS, Level.PASS, AUDIO, False),
    (absent(f"{DEVICES}/{VGA}/reset_method"), "reset-with-slot", FAILS, Level.INFO, VGA, False),
    (chain(no_methods, unlisted(AUDIO)), "reset", FAILS, Level.WARN, VGA, False),
    (chain(no_methods, beside("0000:01:01.0")), "reset", FAILS, Level.WARN, VGA, False),
    (chain(no_methods, on_the_root_bus), "reset", FAILS, Level.WARN, VGA, False),
    (attribute(VGA, "power_state", "D3cold\n"), "power-state", FAILS, Level.WARN, VGA, False),
    (attribute(VGA, "power_state", "error\n"), "power-state", FAILS, Level.WARN, VGA, False),
    # binding
    (driver(VGA, "vfio-pci"), "driver", HOLDS, Level.PASS, VGA, False),
    (same, "driver-competes", HOLDS, Level.INFO, AUDIO, False),
    (
        driver(VGA, "nouveau", built_in=True),
        "driver-built-in", FAILS, Level.FAIL, VGA, True,
    ),
    (same, "driver-in-initramfs", HOLDS, Level.PASS, IMAGE, False),
    (
        lambda h: h.with_modules_in_initramfs("gpu/drm/nouveau/nouveau"),
        "driver-in-initramfs", FAILS, Level.NOTICE, IMAGE, False,
    ),
    (image_not_listed, "driver-in-initramfs", UNKNOWN, Level.WARN, IMAGE, False),
    (words("hostpci=off"), "escape-active", FAILS, Level.NOTICE, "", False),
    (
        lambda h: with_rule(claimed(h), after_image_s=1),
        "persisted", HOLDS, Level.PASS, SLOT, False,
    ),
    (claimed, "persisted", FAILS, Level.NOTICE, SLOT, False),
    (lambda h: on_vfio(claimed(h)), "bound", HOLDS, Level.PASS, SLOT, False),
    (claimed, "bound", FAILS, Level.NOTICE, SLOT, False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "code", "outcome", "level", "subject", "blocks"),
    CASES,
    ids=[f"{code}-{outcome}-{number}" for number, (_, code, outcome, *_rest) in enumerate(CASES)],
)
def test_a_finding_says_what_is_so(
    guide: RecordedHost,
    change: Change,
    code: str,
    outcome: Outcome,
    level: Level,
    subject: str,
    *,
    blocks: bool,
) -> None:
    found = [each for each in findings(change(guide), code) if each.subject == subject]
    assert [(each.outcome, each.level, each.blocks) for each in found] == [(outcome, level, blocks)]


# findings that are only there when something is to be said
@pytest.mark.parametrize(
    ("change", "code"),
    [
        (same, "identity"),
        (same, "persisted"),
        (same, "bound"),
        (same, "group"),
        (same, "group-shared"),
        (group(NIC, 8), "group-isolated"),
        (same, "reserved-direct"),
        (same, "host-needs-it"),
        (mounted_on_card, "host-use"),
        (holders("/dev/snd/controlC1", "pipewire[7]"), "host-use"),
        (holders("/dev/snd/controlC0", "pipewire[7]"), "host-has-it-open"),
        (same, "sriov-vfs"),
        (attribute(VGA, "sriov_numvfs", "0\n"), "sriov-vfs"),
        (same, "power-state"),
        (attribute(VGA, "power_state", "D3hot\n"), "power-state"),
        (driver(VGA, "nouveau"), "driver-built-in"),
        (driver(VGA, "vfio-pci", built_in=True), "driver-built-in"),
        (same, "escape-active"),
        (same, "secure-boot"),
        (with_uefi, "command-line-source"),
        (same, "esp"),
        (same, "kernel-pinned"),
        (words("hostpci=on"), "escape-active"),
        (words("xhostpci=off"), "escape-active"),
        (words("hostpci=offline"), "escape-active"),
        (no_iommu_and(), "group"),
        (no_iommu_and(), "group-isolated"),
        (
            lambda h: h.with_file(f"{GROUP_8}/reserved_regions", "0x1 0x2 direct-relaxable\n"),
            "reserved-direct",
        ),
        (
            lambda h: h.with_file(
                "/sys/kernel/iommu_groups/7/reserved_regions", "0x1 0x2 direct\n"
            ),
            "reserved-direct",
        ),
        (group("0000:00:08.0", 8), "group-shared"),
    ],
)
def test_a_finding_is_left_out_where_there_is_nothing_to_say(
    guide: RecordedHost, change: Change, code: str
) -> None:
    assert findings(change(guide), code) == []


def test_the_factory_host_has_nothing_that_blocks(guide: RecordedHost) -> None:
    found = run_checks(guide.facts(), SLOT)
    assert found.blocking == ()
    assert found.worst is Level.NOTICE


def test_nothing_found_is_a_pass() -> None:
    assert Findings(slot=SLOT, findings=()).worst is Level.PASS


# what findings say


def params_of(host: RecordedHost, code: str, subject: str) -> dict[str, str]:
    (found,) = (each for each in findings(host, code) if each.subject == subject)
    return found.params


def test_an_identity_that_changed_says_expected_and_found(guide: RecordedHost) -> None:
    assert params_of(identity_change(guide), "identity", AUDIO) == {
        "expected": "10de:22eb (10b0:205e)",
        "found": "10de:2882 (10b0:205e)",
    }


@pytest.mark.parametrize(
    "ids", [{"vendor": "1002"}, {"subsystem_vendor": "1043"}, {"subsystem_device": "0001"}]
)
def test_every_id_of_the_identity_counts(guide: RecordedHost, ids: dict[str, str]) -> None:
    host = claimed(guide).with_identity(VGA, **ids)
    assert codes(run_checks(host.facts(), SLOT).blocking) == ["identity"]


def test_a_function_that_is_gone_and_one_that_is_new_are_both_named(guide: RecordedHost) -> None:
    claimed(guide)
    guide._clone(AUDIO, "0000:01:00.2")
    listed = guide.data["directories"][DEVICES]
    guide.data["directories"][DEVICES] = [each for each in listed if each != AUDIO]
    assert params_of(guide, "identity", AUDIO)["found"] == "-"
    assert params_of(guide, "identity", "0000:01:00.2")["expected"] == "-"
    assert codes(run_checks(guide.facts(), SLOT).blocking) == ["identity", "identity"]


def test_a_claimed_slot_that_is_empty_is_looked_at_and_blocked(guide: RecordedHost) -> None:
    claimed(guide).without_device(SLOT)
    found = run_checks(guide.facts(), SLOT)
    assert [each.subject for each in found.blocking] == [VGA, AUDIO]


@pytest.mark.parametrize(
    ("vendor", "flags_switch", "table_switch"),
    [("AuthenticAMD", "SVM", "AMD IOMMU (AMD-Vi)"), ("GenuineIntel", "VT-x", "VT-d")],
)
def test_the_firmware_switch_is_named_as_the_vendor_names_it(
    guide: RecordedHost, vendor: str, flags_switch: str, table_switch: str
) -> None:
    no_iommu_and(cpu(vendor, "fpu"))(guide)
    assert params_of(guide, "cpu-virtualization", "")["switch"] == flags_switch
    assert params_of(guide, "iommu-table", "")["switch"] == table_switch


def test_the_word_that_switches_the_iommu_off_is_named(guide: RecordedHost) -> None:
    no_iommu_and(words("quiet", "intel_iommu=off"))(guide)
    assert params_of(guide, "iommu-off-word", "")["word"] == "intel_iommu=off"


def test_a_word_that_would_switch_off_is_no_finding_while_the_iommu_is_on(
    guide: RecordedHost,
) -> None:
    host = words("intel_iommu=off")(guide)
    assert findings(host, "iommu-off-word") == []
    assert [each.outcome for each in findings(host, "iommu-on")] == [HOLDS]


@pytest.mark.parametrize(
    ("config", "extra", "code"),
    [
        ("CONFIG_VFIO_PCI=m\n", (), "iommu-default-off"),
        ("CONFIG_INTEL_IOMMU_DEFAULT_ON=y\n", (), "iommu-on"),
        ("CONFIG_INTEL_IOMMU_DEFAULT_ON_INTGPU_OFF=y\n", (), "iommu-on"),
        ("CONFIG_VFIO_PCI=m\n", ("intel_iommu=on",), "iommu-on"),
        ("CONFIG_VFIO_PCI=m\n", ("intel_iommu=off",), "iommu-off-word"),
        (None, (), "iommu-on"),
        ("CONFIG_VFIO_PCI=m\n", ("intel_iommu=on,sm_on",), "iommu-on"),
        ("CONFIG_VFIO_PCI=m\n", ("intel_iommu=sm_off,off",), "iommu-off-word"),
    ],
)  # fmt: skip
def test_an_intel_iommu_that_is_off_has_the_reason_that_fits(
    guide: RecordedHost, config: str | None, extra: tuple[str, ...], code: str
) -> None:
    guide.as_intel_default_off().with_command_line(*extra)
    guide.without(CONFIG) if config is None else guide.with_file(CONFIG, config)
    found = codes(run_checks(guide.facts(), SLOT).findings)
    assert [
        each for each in found if each in {"iommu-on", "iommu-off-word", "iommu-default-off"}
    ] == [code]


def test_two_tables_of_which_one_is_intels_can_be_switched_on_only_with_dmar(
    guide: RecordedHost,
) -> None:
    guide.as_intel_default_off().data["directories"]["/sys/firmware/acpi/tables"].remove("DMAR")
    assert findings(guide, "iommu-default-off") == []


@pytest.mark.parametrize("slot", ["0000:02:00", "10000:01:00"])
def test_a_twin_is_looked_at_by_its_own_address(guide: RecordedHost, slot: str) -> None:
    guide.with_twin(slot).with_driver(f"{slot}.0", "nouveau")
    (mine,) = (each for each in findings(guide, "driver-competes") if each.subject == VGA)
    (twin,) = (
        each for each in findings(guide, "driver-competes", slot) if each.subject == f"{slot}.0"
    )
    assert (mine.params["driver"], twin.params["driver"]) == ("-", "nouveau")
    assert findings(guide, "group-isolated", slot)[0].params == {"group": "42"}


def test_a_group_shared_with_an_idle_usb_controller_can_be_accepted(guide: RecordedHost) -> None:
    attribute(SATA, "class", "0x0c0330\n")(guide)
    (found,) = findings(group(SATA, 8)(guide), "group-shared")
    assert (found.level, found.blocks) == (Level.FAIL, True)
    assert found.consent == "group-shares-usb"
    assert found.params["group"] == "8"


def test_a_group_shared_with_a_usb_controller_with_a_mounted_disk_blocks(
    guide: RecordedHost,
) -> None:
    with_block(guide, "sdz", f"pci0000:00/{SATA}/usb2/2-1/2-1:1.0/host9/block/sdz")
    with_mounts(guide, "/dev/sdz / ext4 rw 0 0")
    (found,) = findings(group(SATA, 8)(guide), "group-shared")
    assert (found.level, found.blocks, found.consent) == (Level.FAIL, True, "")
    assert found.evidence == ("disk sdz /",)


def test_a_built_in_driver_is_no_hindrance_for_a_function_it_does_not_hold(
    guide: RecordedHost,
) -> None:
    assert (
        run_checks(driver("0000:00:08.0", "pcieport", built_in=True)(guide).facts(), SLOT).blocking
        == ()
    )


def test_the_initramfs_is_searched_for_the_modules_of_this_slot_only(guide: RecordedHost) -> None:
    guide.with_modules_in_initramfs("gpu/drm/amd/amdgpu", "sound/pci/hda/snd-hda-intel")
    (found,) = findings(guide, "driver-in-initramfs")
    assert (found.outcome, found.params) == (FAILS, {"modules": "snd_hda_intel"})


def test_a_rule_that_somebody_edited_is_not_in_place(guide: RecordedHost) -> None:
    with_rule(claimed(guide), after_image_s=1)
    guide.data["files"][rule_path(SLOT)] += "# mine\n"
    assert [each.outcome for each in findings(guide, "persisted")] == [FAILS]


# which slots can be asked about at all


@pytest.mark.parametrize(
    ("slot", "code"), [("0000:05:00", "no-such-device"), ("0000:00:08", "is-a-bridge")]
)
def test_a_slot_that_cannot_be_given_away_is_a_wrong_call(
    guide: RecordedHost, slot: str, code: str
) -> None:
    with pytest.raises(UsageError) as caught:
        require_assignable(guide.facts(), slot)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "slot",
    ["0000:00:00", "0000:00:1f"],
    ids=["a host bridge", "an ISA bridge"],
)
def test_a_bridge_of_the_board_belongs_to_the_host(guide: RecordedHost, slot: str) -> None:
    with pytest.raises(UsageError, match="is-a-bridge"):
        require_assignable(guide.facts(), slot)


def bridge_claimed(guide: RecordedHost) -> RecordedHost:
    """A claims file written by hand, or bus numbers that moved: the slot holds a bridge."""
    return guide.with_file(CLAIMS, with_claim(None, claim_of(guide.facts(), "0000:00:08")))


def test_a_claimed_slot_that_holds_a_bridge_is_a_finding_that_blocks(guide: RecordedHost) -> None:
    found = run_checks(bridge_claimed(guide).facts(), "0000:00:08")
    assert "is-a-bridge" in [each.code for each in found.blocking]


def test_a_claim_of_a_bridge_is_refused_by_the_plan(guide: RecordedHost) -> None:
    plan = make_plan(bridge_claimed(guide).facts())
    assert "is-a-bridge" in [each.code for each in plan.refusals]
    assert plan.steps == ()


# not measured is not the same as good


def outcomes(host: RecordedHost, code: str) -> set[Outcome]:
    return {each.outcome for each in findings(host, code)}


def test_a_3d_controller_is_not_the_boot_display(guide: RecordedHost) -> None:
    """drivers/pci/pci-sysfs.c shows boot_vga for class 0300 only (pci_dev_attrs_are_visible)."""
    attribute(VGA, "class", "0x030200\n")(guide)
    assert UNKNOWN not in outcomes(guide.without(f"{DEVICES}/{VGA}/boot_vga"), "boot-vga")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/proc/self/mounts", "host-use"),
        ("/sys/class/block", "host-use"),
        ("/sys/class/net", "host-use"),
        ("/sys/class/iommu", "iommu-on"),
        ("/sys/kernel/iommu_groups", "iommu-on"),
        (f"{DEVICES}/{VGA}/reset_method", "reset"),
        (f"{DEVICES}/{VGA}/sriov_numvfs", "sriov-vfs"),
    ],
)
def test_what_could_not_be_read_is_told_as_not_measured(
    guide: RecordedHost, path: str, code: str
) -> None:
    assert UNKNOWN in outcomes(guide.unreadable(path), code)


def test_a_neighbour_whose_group_is_unreadable_is_not_taken_for_no_neighbour(
    guide: RecordedHost,
) -> None:
    guide.with_group(NIC, 8).unreadable(f"{DEVICES}/{NIC}/iommu_group")
    assert HOLDS not in outcomes(guide, "group-isolated")


def test_every_evidence_and_parameter_is_text(guide: RecordedHost) -> None:
    host = with_pve(claimed(guide)).unreadable(CLAIMS + ".d")
    for each in run_checks(host.facts(), SLOT).findings:
        assert isinstance(each, Finding)
        assert all(isinstance(value, str) for value in each.params.values())
        assert all(isinstance(value, str) for value in each.evidence)
