"""Settings of guides: each is named with the weight it has on this host."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import hostpci
from hostpci.checks.leftovers import LEVELS
from hostpci.checks.registry import run_checks
from hostpci.model.finding import Finding, Level, Outcome

from ..hosts import SLOT, RecordedHost

GRUB = "/etc/default/grub"
CONF = "/etc/modprobe.d/guide.conf"


def leftovers(host: RecordedHost) -> list[Finding]:
    found = run_checks(host.facts(), SLOT).findings
    return [each for each in found if each.code.startswith("leftover-")]


def grub(words: str) -> str:
    return f'GRUB_CMDLINE_LINUX_DEFAULT="quiet {words}"\n'


@pytest.mark.parametrize(
    ("path", "text", "code", "level"),
    [
        (GRUB, grub("amd_iommu=on"), "cmdline-amd-iommu-on", Level.INFO),
        (GRUB, grub("intel_iommu=on"), "cmdline-intel-iommu-on-ignored", Level.INFO),
        (GRUB, grub("iommu=pt"), "cmdline-iommu-pt", Level.INFO),
        (GRUB, grub("iommu=off"), "cmdline-iommu-off", Level.WARN),
        (GRUB, grub("initcall_blacklist=sysfb_init"), "cmdline-sysfb", Level.WARN),
        (GRUB, grub("pcie_acs_override=downstream"), "cmdline-acs-override-ignored", Level.INFO),
        (GRUB, grub("video=efifb:off"), "cmdline-video-off-works", Level.WARN),
        (CONF, "options vfio-pci ids=10de:2d04,10de:22eb", "vfio-ids", Level.NOTICE),
        (CONF, "options vfio-pci disable_vga=1", "vfio-disable-vga", Level.INFO),
        (CONF, "options vfio-pci disable_idle_d3=1", "vfio-disable-idle-d3", Level.INFO),
        (
            CONF,
            "options vfio_iommu_type1 allow_unsafe_interrupts=1",
            "unsafe-interrupts-remapped",
            Level.WARN,
        ),
        (CONF, "options kvm ignore_msrs=1", "kvm-ignore-msrs", Level.NOTICE),
        (CONF, "options kvm report_ignored_msrs=0", "kvm-report-ignored-msrs", Level.NOTICE),
        (CONF, "blacklist nouveau", "blacklist", Level.NOTICE),
        (CONF, "softdep nouveau pre: vfio-pci", "softdep-vfio", Level.INFO),
        (CONF, "install nouveau /bin/false", "install-disabled", Level.NOTICE),
        (CONF, "alias nouveau off", "alias-off", Level.NOTICE),
        ("/etc/modules", "vfio\n", "module-vfio", Level.INFO),
        ("/etc/modules", "vfio_virqfd\n", "module-vfio-virqfd-present", Level.INFO),
        (
            "/etc/udev/rules.d/99-x.rules",
            'ATTR{driver_override}="vfio-pci"',
            "foreign-rule",
            Level.WARN,
        ),
        ("/etc/driverctl.d/0000:01:00.0", "vfio-pci\n", "driverctl", Level.WARN),
    ],
)
def test_a_leftover_is_named_with_its_line_and_its_weight(
    guide: RecordedHost, path: str, text: str, code: str, level: Level
) -> None:
    (found,) = leftovers(guide.with_file(path, text))
    assert (found.code, found.level) == (f"leftover-{code}", level)
    assert found.outcome is Outcome.DOES_NOT_HOLD
    assert not found.blocks
    assert found.subject.startswith(path)
    assert found.evidence == (found.params["line"],)
    assert found.params["line"] in text


def test_every_setting_that_can_be_recognised_has_a_weight() -> None:
    path = Path(hostpci.__file__).parent / "facts/settings.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    literals = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert LEVELS.keys() <= literals
    prefixes = ("cmdline-", "vfio-", "kvm-", "module-", "softdep-")
    recognised = {each for each in literals if each.startswith(prefixes) and " " not in each}
    assert recognised - {"cmdline-hostpci"} <= LEVELS.keys() | {"vfio-pci.ids="}


@pytest.mark.parametrize("value", ["off", "on"])
def test_our_own_boot_word_is_no_leftover(guide: RecordedHost, value: str) -> None:
    assert leftovers(guide.with_command_line(f"hostpci={value}")) == []


@pytest.mark.parametrize("word", ["blacklist {}", "install {} /bin/true"])
@pytest.mark.parametrize(
    ("module", "count"),
    [("nouveau", 1), ("snd-hda-intel", 1), ("amdgpu", 1), ("pcspkr", 0), ("snd_pcsp", 0)],
)
def test_only_drivers_of_cards_that_are_given_away_concern_us(
    guide: RecordedHost, word: str, module: str, count: int
) -> None:
    assert len(leftovers(guide.with_file(CONF, word.format(module)))) == count


@pytest.mark.parametrize(
    ("ids", "code", "level", "detail"),
    [
        ("10de:2d04", "-partial", Level.NOTICE, "0000:01:00.1"),
        ("10de:2d04,10de:22eb", "", Level.NOTICE, ""),
        ("10DE:2D04", "-partial", Level.NOTICE, "0000:01:00.1"),
        ("10de:2d04:10b0:205e", "-partial", Level.NOTICE, "0000:01:00.1"),
        ("10de:2d04,8086:2922", "-others", Level.WARN, "0000:00:1f.2"),
        ("8086:2922", "-others", Level.WARN, "0000:00:1f.2"),
        ("ffff:ffff", "-others", Level.WARN, "ffff:ffff"),
    ],
)
@pytest.mark.parametrize("by", ["options vfio-pci ids={}", "vfio-pci.ids={}"])
def test_ids_weigh_more_where_they_name_somebody_else(
    guide: RecordedHost, ids: str, code: str, level: Level, detail: str, by: str
) -> None:
    if by.startswith("options"):
        guide.with_file(CONF, by.format(ids))
    else:
        guide.with_command_line(by.format(ids))
    (found,) = leftovers(guide)
    assert (found.code, found.level) == (f"leftover-vfio-ids{code}", level)
    assert found.params["detail"] == detail


def test_ids_weigh_more_where_a_twin_is_caught_too(guide: RecordedHost) -> None:
    guide.with_twin().with_file(CONF, "options vfio-pci ids=10de:2d04")
    assert [each.level for each in leftovers(guide)] == [Level.WARN]


def test_the_blacklist_that_pve_ships_is_no_leftover(guide: RecordedHost) -> None:
    """pve-manager configs/pve-blacklist.conf, on every PVE host."""
    text = "# This file contains a list of modules which are not supported by Proxmox VE\n\n"
    text += "# nvidiafb see bugreport https://bugzilla.proxmox.com/show_bug.cgi?id=701\n"
    guide.with_file("/etc/modprobe.d/pve-blacklist.conf", f"{text}blacklist nvidiafb\n")
    assert leftovers(guide) == []


@pytest.mark.parametrize("line", ["blacklist nouveau", "install nvidiafb /bin/true"])
def test_what_a_guide_added_to_that_file_is_one(guide: RecordedHost, line: str) -> None:
    guide.with_file("/etc/modprobe.d/pve-blacklist.conf", f"blacklist nvidiafb\n{line}\n")
    assert [each.params["line"] for each in leftovers(guide)] == [line]


# what the same line does on another kernel or host


def only(host: RecordedHost) -> Finding:
    (found,) = leftovers(host)
    return found


def test_the_word_that_switches_the_iommu_on_is_called_so(guide: RecordedHost) -> None:
    guide.as_intel_default_off().with_file(GRUB, grub("intel_iommu=on"))
    assert only(guide).code == "leftover-cmdline-intel-iommu-on-needed"


def test_where_it_is_the_default_the_word_is_harmless(guide: RecordedHost) -> None:
    cpu = guide.data["files"]["/proc/cpuinfo"].replace("AuthenticAMD", "GenuineIntel")
    guide.with_file("/proc/cpuinfo", cpu).with_file(GRUB, grub("intel_iommu=on"))
    assert only(guide).code == "leftover-cmdline-intel-iommu-on"


def as_pve(host: RecordedHost, release: str = "6.8.12-9-pve") -> RecordedHost:
    """The same machine under a kernel of Proxmox's."""
    old = host.release
    tree = f"/lib/modules/{old}"
    for path in (f"/boot/config-{old}", f"{tree}/modules.dep", f"{tree}/modules.alias"):
        host.with_file(path.replace(old, release), host.data["files"][path])
    host.data["times"][f"/boot/initrd.img-{release}"] = 1
    host.data["files"][f"/lib/modules/{release}/modules.dep"] += (
        "kernel/drivers/video/fbdev/nvidia/nvidiafb.ko:\n"
    )
    return host.with_file("/proc/sys/kernel/osrelease", f"{release}\n")


def test_the_override_counts_only_on_kernels_that_have_the_patch(guide: RecordedHost) -> None:
    as_pve(guide).with_file(GRUB, grub("pcie_acs_override=downstream"))
    found = only(guide)
    assert (found.code, found.level) == ("leftover-cmdline-acs-override", Level.WARN)


def test_old_framebuffer_words_do_nothing_where_the_drivers_are_not_built(
    guide: RecordedHost,
) -> None:
    guide.with_file(f"/boot/config-{guide.release}", "CONFIG_VFIO_PCI=m\n")
    assert only(guide.with_file(GRUB, grub("video=efifb:off"))).code == "leftover-cmdline-video-off"


def test_a_module_that_is_gone_is_called_gone(guide: RecordedHost) -> None:
    as_pve(guide)
    path = "/lib/modules/6.8.12-9-pve/modules.dep"
    lines = guide.data["files"][path].splitlines(keepends=True)
    kept = "".join(line for line in lines if not line.startswith("kernel/drivers/vfio/vfio_virq"))
    guide.with_file(path, kept).with_file("/etc/modules", "vfio_virqfd\n")
    found = only(guide)
    assert (found.code, found.level) == ("leftover-module-vfio-virqfd", Level.NOTICE)


def test_without_remapping_the_guard_is_what_is_lost(guide: RecordedHost) -> None:
    guide.without_remapping()
    guide.with_file(CONF, "options vfio_iommu_type1 allow_unsafe_interrupts=1")
    assert only(guide).code == "leftover-unsafe-interrupts"


@pytest.mark.parametrize(
    ("driver", "code", "detail"),
    [
        ("nouveau", "leftover-blacklist", ""),
        ("nvidia", "leftover-blacklist-absent", ""),
        ("nvidia_drm", "leftover-blacklist-absent", ""),
        ("snd_hda_intel", "leftover-blacklist-needed", "0000:00:1b.0"),
    ],
)
def test_a_blacklist_says_whom_it_hits_here(
    guide: RecordedHost, driver: str, code: str, detail: str
) -> None:
    found = only(guide.with_file(CONF, f"blacklist {driver}"))
    assert (found.code, found.params["detail"]) == (code, detail)
