"""Every setting that guides tell people to make is found in every file it can be put in."""

from __future__ import annotations

import pytest

from hostpci.facts.settings import GRUB_DROPIN
from hostpci.model.facts import Setting

from ..hosts import RecordedHost

GRUB = "/etc/default/grub"
DROPIN = "/etc/default/grub.d/passthrough.cfg"
CMDLINE = "/etc/kernel/cmdline"
VFIO_CONF = "/etc/modprobe.d/vfio.conf"
RULES = "/etc/udev/rules.d"

WORDS = [
    ("amd_iommu=on", "cmdline-amd-iommu-on"),
    ("intel_iommu=on", "cmdline-intel-iommu-on"),
    ("iommu=pt", "cmdline-iommu-pt"),
    ("iommu=off", "cmdline-iommu-off"),
    ("intel_iommu=off", "cmdline-iommu-off"),
    ("amd_iommu=off", "cmdline-iommu-off"),
    ("intremap=off", "cmdline-iommu-off"),
    ("initcall_blacklist=sysfb_init", "cmdline-sysfb"),
    ("pcie_acs_override=downstream,multifunction", "cmdline-acs-override"),
    ("video=efifb:off,vesafb:off", "cmdline-video-off"),
    ("vfio-pci.ids=10de:2d04,10de:22eb", "vfio-ids"),
    ("vfio_pci.ids=10de:2d04", "vfio-ids"),
    ("vfio_iommu_type1.allow_unsafe_interrupts=1", "unsafe-interrupts"),
    ("kvm.ignore_msrs=1", "kvm-ignore-msrs"),
    ("hostpci=off", "cmdline-hostpci"),
]
# of an option of a module the value is told alone, as it is in modprobe.d
OPTION_VALUES = {
    "vfio-pci.ids=10de:2d04,10de:22eb": "10de:2d04,10de:22eb",
    "vfio_pci.ids=10de:2d04": "10de:2d04",
    "vfio_iommu_type1.allow_unsafe_interrupts=1": "1",
    "kvm.ignore_msrs=1": "1",
}
LOOKALIKES = [
    "amd_iommu=onwards",
    "xamd_iommu=on",
    "iommu=pt2",
    "iommu.strict=0",
    "initcall_blacklist=acpi_init",
    "video=HDMI-A-1:1920x1080",
    "hostpcix=off",
    "quiet",
]


def settings(host: RecordedHost) -> list[tuple[str, str, str]]:
    return [(each.code, each.value, each.where) for each in host.facts().settings]


def found_in(host: RecordedHost, path: str) -> list[tuple[str, str]]:
    return [
        (each.code, each.value)
        for each in host.facts().settings
        if each.where.partition(":")[0] == path
    ]


def test_the_factory_host_has_none(guide: RecordedHost) -> None:
    assert guide.facts().settings == ()


@pytest.mark.parametrize(("word", "code"), WORDS)
@pytest.mark.parametrize(
    ("path", "text", "where"),
    [
        ("/proc/cmdline", "BOOT_IMAGE=/x {} quiet\n", "/proc/cmdline"),
        (CMDLINE, "root=ZFS=rpool/ROOT/pve-1 {}\n", CMDLINE),
        (GRUB, 'GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX_DEFAULT="quiet {}"\n', f"{GRUB}:2"),
        (GRUB, "GRUB_CMDLINE_LINUX='{} quiet'\n", f"{GRUB}:1"),
        (GRUB, "GRUB_CMDLINE_LINUX_DEFAULT={}\n", f"{GRUB}:1"),
        (GRUB, 'GRUB_CMDLINE_LINUX_DEFAULT="{}"\r\n', f"{GRUB}:1"),
        (GRUB, '  export GRUB_CMDLINE_LINUX_DEFAULT="{}"\n', f"{GRUB}:1"),
        (GRUB, 'GRUB_CMDLINE_LINUX_DEFAULT+=" {}"\n', f"{GRUB}:1"),
        (DROPIN, 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX {}"\n', f"{DROPIN}:1"),
    ],
)
def test_a_word_is_found_wherever_the_command_line_is_written(
    guide: RecordedHost, word: str, code: str, path: str, text: str, where: str
) -> None:
    value = OPTION_VALUES.get(word, word)
    assert settings(guide.with_file(path, text.format(word))) == [(code, value, where)]


@pytest.mark.parametrize("word", LOOKALIKES)
def test_a_word_that_only_looks_alike_is_not_found(guide: RecordedHost, word: str) -> None:
    assert settings(guide.with_command_line(word)) == []


@pytest.mark.parametrize(
    "text",
    [
        'GRUB_CMDLINE_LINUX_DEFAULT=""\n',
        "GRUB_CMDLINE_LINUX_DEFAULT=\n",
        "GRUB_CMDLINE_LINUX_DEFAULT",
        '#GRUB_CMDLINE_LINUX_DEFAULT="amd_iommu=on"\n',
        '  # GRUB_CMDLINE_LINUX="amd_iommu=on"\n',
        'GRUB_CMDLINE_LINUX_RECOVERY="amd_iommu=on"\n',
        'OLD_GRUB_CMDLINE_LINUX="amd_iommu=on"\n',
        'GRUB_CMDLINE_XEN="amd_iommu=on"\n',
        "",
        "\r\n\r\n",
    ],
)
def test_a_line_that_sets_nothing_is_no_setting(guide: RecordedHost, text: str) -> None:
    assert settings(guide.with_file(GRUB, text)) == []


def test_settings_are_told_in_the_order_of_files_and_lines(guide: RecordedHost) -> None:
    guide.with_file(
        GRUB,
        'GRUB_CMDLINE_LINUX_DEFAULT="amd_iommu=on iommu=pt"\n\nGRUB_CMDLINE_LINUX="iommu=pt"\n',
    )
    guide.with_file(DROPIN, '# x\nGRUB_CMDLINE_LINUX="intremap=off"\n')
    guide.with_command_line("iommu=pt")
    assert settings(guide) == [
        ("cmdline-iommu-pt", "iommu=pt", "/proc/cmdline"),
        ("cmdline-amd-iommu-on", "amd_iommu=on", f"{GRUB}:1"),
        ("cmdline-iommu-pt", "iommu=pt", f"{GRUB}:1"),
        ("cmdline-iommu-pt", "iommu=pt", f"{GRUB}:3"),
        ("cmdline-iommu-off", "intremap=off", f"{DROPIN}:2"),
    ]


def test_our_own_drop_in_and_files_grub_does_not_read_are_no_settings(
    guide: RecordedHost,
) -> None:
    line = 'GRUB_CMDLINE_LINUX_DEFAULT="amd_iommu=on"\n'
    guide.with_file(GRUB_DROPIN, line).with_file("/etc/default/grub.d/x.cfg.dpkg-old", line)
    assert settings(guide) == []


def test_only_the_first_line_of_the_kernel_command_line_file_counts(guide: RecordedHost) -> None:
    guide.with_file(CMDLINE, "root=ZFS=rpool quiet\namd_iommu=on\n")
    assert settings(guide) == []


@pytest.mark.parametrize(
    ("line", "code", "value"),
    [
        ("options vfio-pci ids=10de:2d04,10de:22eb", "vfio-ids", "10de:2d04,10de:22eb"),
        ("options vfio_pci ids=10de:2d04", "vfio-ids", "10de:2d04"),
        ("options vfio-pci disable_vga=1", "vfio-disable-vga", "1"),
        ("options vfio-pci disable_idle_d3=1", "vfio-disable-idle-d3", "1"),
        ("options vfio_iommu_type1 allow_unsafe_interrupts=1", "unsafe-interrupts", "1"),
        ("options kvm ignore_msrs=1", "kvm-ignore-msrs", "1"),
        ("options kvm report_ignored_msrs=0", "kvm-report-ignored-msrs", "0"),
        ("  options\tkvm\tignore_msrs=Y", "kvm-ignore-msrs", "Y"),
        ("blacklist nouveau", "blacklist", "nouveau"),
        ("blacklist snd-hda-intel", "blacklist", "snd_hda_intel"),
        ("softdep nouveau pre: vfio-pci", "softdep-vfio", "nouveau"),
        ("softdep snd-hda-intel pre: vfio_pci", "softdep-vfio", "snd_hda_intel"),
        ("install nouveau /bin/true", "install-disabled", "nouveau"),
        ("install nvidia /usr/bin/false", "install-disabled", "nvidia"),
        ("alias nouveau off", "alias-off", "nouveau"),
        ("options kvm ignore_msrs", "kvm-ignore-msrs", "1"),
        ("options vfio-pci disable-vga=on", "vfio-disable-vga", "on"),
    ],
)
def test_a_line_of_modprobe_is_found(guide: RecordedHost, line: str, code: str, value: str) -> None:
    guide.with_file(VFIO_CONF, f"# by a guide\n\n{line}\n")
    assert settings(guide) == [(code, value, f"{VFIO_CONF}:3")]


def test_one_line_may_hold_several_options(guide: RecordedHost) -> None:
    guide.with_file(VFIO_CONF, "options vfio-pci ids=10de:2d04 nointxmask=1 disable_vga=1\r\n")
    assert found_in(guide, VFIO_CONF) == [("vfio-ids", "10de:2d04"), ("vfio-disable-vga", "1")]


@pytest.mark.parametrize(
    "line",
    [
        "# options vfio-pci ids=10de:2d04",
        "   #blacklist nouveau",
        "options kvm nested=1",
        "options kvm-intel ignore_msrs=1",
        "options",
        "options vfio-pci",
        "alias char-major-10-200 tun",
        "softdep nouveau pre: drm",
        "softdep vfio-pci post: nouveau",
        "install nouveau modprobe --ignore-install nouveau",
        "alias nouveau nvidia",
        "alias off nouveau",
        "remove nouveau /bin/true",
    ],
)
def test_another_line_of_modprobe_is_no_setting(guide: RecordedHost, line: str) -> None:
    assert settings(guide.with_file(VFIO_CONF, f"{line}\n")) == []


def test_a_file_that_modprobe_does_not_read_is_no_setting(guide: RecordedHost) -> None:
    guide.with_file("/etc/modprobe.d/vfio.conf.bak", "blacklist nouveau\n")
    assert settings(guide) == []


@pytest.mark.parametrize(
    "path", ["/etc/modules", "/etc/initramfs-tools/modules", "/etc/modules-load.d/vfio.conf"]
)
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("vfio", "module-vfio"),
        ("vfio_iommu_type1", "module-vfio"),
        ("vfio_pci", "module-vfio"),
        ("vfio-pci ids=10de:2d04", "module-vfio"),
        ("vfio_virqfd", "module-vfio-virqfd"),
    ],
)
def test_a_module_of_the_guide_is_found_in_every_list(
    guide: RecordedHost, path: str, line: str, code: str
) -> None:
    guide.with_file(path, f"# list\n#vfio_mdev\nloop\n{line}\n")
    module = line.partition(" ")[0].replace("-", "_")
    assert settings(guide) == [(code, module, f"{path}:4")]


def test_the_link_to_the_list_of_modules_is_not_read_twice(guide: RecordedHost) -> None:
    guide.with_file("/etc/modules", "vfio\n").with_file(
        "/etc/modules-load.d/modules.conf", "vfio\n"
    )
    assert settings(guide) == [("module-vfio", "vfio", "/etc/modules:1")]


def test_another_tools_rule_is_found_and_our_own_is_not(guide: RecordedHost) -> None:
    line = 'ATTR{driver_override}="vfio-pci"'
    guide.with_file(f"{RULES}/99-vfio.rules", f"   # driver_override\n\n{line}\n")
    guide.with_file(f"{RULES}/10-hostpci-0000-01-00.rules", f"{line}\n")
    guide.with_file(f"{RULES}/99-vfio.rules.off", f"{line}\n")
    guide.with_file(f"{RULES}/70-net.rules", 'NAME="lan0"\n')
    assert guide.facts().settings == (
        Setting(
            code="foreign-rule", value="99-vfio.rules", where=f"{RULES}/99-vfio.rules:3", line=line
        ),
    )


def test_an_override_of_driverctl_is_found(guide: RecordedHost) -> None:
    guide.with_file("/etc/driverctl.d/0000:01:00.0", "vfio-pci\n")
    assert guide.facts().settings == (
        Setting(
            code="driverctl",
            value="0000:01:00.0",
            where="/etc/driverctl.d/0000:01:00.0",
            line="vfio-pci",
        ),
    )


# other spellings


def test_a_trailing_comment_of_grub_is_no_setting(guide: RecordedHost) -> None:
    guide.with_file(GRUB, 'GRUB_CMDLINE_LINUX_DEFAULT="quiet" # was: amd_iommu=on\n')
    assert settings(guide) == []


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("intel_iommu=on,sm_on", "cmdline-intel-iommu-on"),
        ("intel_iommu=sm_off,off", "cmdline-iommu-off"),
        ("iommu=soft,pt", "cmdline-iommu-pt"),
        ("vfio_iommu_type1.allow_unsafe_interrupts=Y", "unsafe-interrupts"),
        ("kvm.report_ignored_msrs=0", "kvm-report-ignored-msrs"),
        ("vfio-pci.disable_vga=1", "vfio-disable-vga"),
        ("vfio_pci.disable_idle_d3=1", "vfio-disable-idle-d3"),
        ("modprobe.blacklist=nouveau", "blacklist"),
        ("module_blacklist=nouveau", "install-disabled"),
        ("intel-iommu=on", "cmdline-intel-iommu-on"),
        ("kvm.ignore_msrs", "kvm-ignore-msrs"),
    ],
)
def test_another_spelling_of_a_known_setting_is_found(
    guide: RecordedHost, word: str, code: str
) -> None:
    assert [each[0] for each in settings(guide.with_command_line(word))] == [code]


def test_every_module_of_a_list_is_found(guide: RecordedHost) -> None:
    guide.with_command_line("modprobe.blacklist=nouveau,snd-hda-intel")
    found = [each[:2] for each in settings(guide)]
    assert found == [("blacklist", "nouveau"), ("blacklist", "snd_hda_intel")]


@pytest.mark.parametrize(
    "text",
    [
        "GRUB_CMDLINE_LINUX_DEFAULT='quiet' # was: amd_iommu=on\n",
        "GRUB_CMDLINE_LINUX_DEFAULT=quiet  # amd_iommu=on\n",
        'GRUB_CMDLINE_LINUX_DEFAULT="" #amd_iommu=on;\n',
        'GRUB_CMDLINE_LINUX_DEFAULT="a \\" b" # amd_iommu=on\n',
    ],
)
def test_a_comment_behind_any_quotes_is_no_setting(guide: RecordedHost, text: str) -> None:
    assert settings(guide.with_file(GRUB, text)) == []


@pytest.mark.parametrize(
    "text",
    [
        'GRUB_CMDLINE_LINUX_DEFAULT="a \\" amd_iommu=on"\n',
        'GRUB_CMDLINE_LINUX_DEFAULT="quiet amd_iommu=on\n',
        'GRUB_CMDLINE_LINUX_DEFAULT="quiet \\\n  amd_iommu=on"\n',
        'GRUB_CMDLINE_LINUX_DEFAULT="quiet amd_iommu=on\\\n',
    ],
)
def test_a_word_within_quotes_is_found(guide: RecordedHost, text: str) -> None:
    assert settings(guide.with_file(GRUB, text)) == [
        ("cmdline-amd-iommu-on", "amd_iommu=on", f"{GRUB}:1")
    ]


def test_a_continued_line_of_modprobe_is_one_line(guide: RecordedHost) -> None:
    guide.with_file(VFIO_CONF, "options vfio-pci \\\n  ids=10de:2d04\n")
    assert found_in(guide, VFIO_CONF) == [("vfio-ids", "10de:2d04")]


def test_a_continued_comment_goes_on_and_lines_keep_their_numbers(guide: RecordedHost) -> None:
    guide.with_file(VFIO_CONF, "# a \\\nblacklist nouveau\nblacklist \\\nnvidia\nblacklist xe\\")
    assert settings(guide) == [
        ("blacklist", "nvidia", f"{VFIO_CONF}:3"),
        ("blacklist", "xe", f"{VFIO_CONF}:5"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "options vfio_iommu_type1 allow_unsafe_interrupts=0",
        "options kvm ignore_msrs=N",
        "options kvm ignore_msrs=off report_ignored_msrs=Y",
        "options kvm report_ignored_msrs",
        "options vfio-pci disable_vga=0 disable_idle_d3=n ids=",
    ],
)
def test_an_option_set_to_its_default_is_no_leftover(guide: RecordedHost, line: str) -> None:
    assert settings(guide.with_file(VFIO_CONF, f"{line}\n")) == []


@pytest.mark.parametrize(
    "word",
    [
        "kvm.ignore_msrs=0",
        "kvm.report_ignored_msrs=1",
        "vfio_iommu_type1.allow_unsafe_interrupts=N",
        "vfio-pci.ids=",
        "allow_unsafe_interrupts=1",
        "modprobe.blacklist=",
        "intel_iommu=sm_on",
    ],
)
def test_a_word_that_sets_nothing_is_no_leftover(guide: RecordedHost, word: str) -> None:
    assert settings(guide.with_command_line(word)) == []
