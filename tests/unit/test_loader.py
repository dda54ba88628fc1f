"""Who loaded this kernel: decided from what it left behind, and ambiguity is an answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hostpci.facts.loader import GRUB_CONFIG, highest, parse_status
from hostpci.model.facts import Esp, Loader, LoaderFacts

from ..hosts import RecordedHost
from ..loaders import (
    CMDLINE,
    LOADER_INFO,
    ROOT,
    SECURE_BOOT,
    STATUS,
    UUIDS,
    grub_on_esp,
    systemd_boot_on_esp,
    with_copied,
    with_efi,
    with_esps,
)
from .support import codes, findings, missing, with_mounts

GRUB_WORD = "BOOT_IMAGE=/boot/vmlinuz-6.8.12-9-pve"
ESP_GRUB_WORD = "BOOT_IMAGE=/vmlinuz-6.8.12-9-pve"
SD_WORD = r"initrd=\EFI\proxmox\6.8.12-9-pve\initrd.img-6.8.12-9-pve"
SD = "systemd-boot 252.39-1~deb12u1"


def booted_with(host: RecordedHost, first_word: str) -> RecordedHost:
    return host.with_file("/proc/cmdline", f"{first_word} root=/dev/mapper/pve-root ro quiet\n")


def loader(host: RecordedHost) -> LoaderFacts:
    return host.facts().loader


# pve-facts B.1, each row with the ESPs that proxmox-boot-tool would tell of ("" none)
@pytest.mark.parametrize(
    ("word", "info", "efi", "esp", "expected"),
    [
        (GRUB_WORD, None, False, "", Loader.GRUB),
        (GRUB_WORD, None, True, "", Loader.GRUB),
        (GRUB_WORD, "GRUB 2.12-9+deb13u2", True, "", Loader.GRUB),
        (ESP_GRUB_WORD, None, False, "grub", Loader.GRUB_ON_ESP),
        (ESP_GRUB_WORD, None, True, "grub", Loader.GRUB_ON_ESP),
        (ESP_GRUB_WORD, "GRUB 2.12", True, "grub", Loader.GRUB_ON_ESP),
        (ESP_GRUB_WORD, "GRUB 2.12", True, "uefi grub", Loader.GRUB_ON_ESP),
        (SD_WORD, SD, True, "uefi", Loader.SYSTEMD_BOOT_ON_ESP),
        (SD_WORD, SD, True, "uefi grub", Loader.SYSTEMD_BOOT_ON_ESP),
        (SD_WORD, "systemd-boot 257.13-1~deb13u1", True, "", Loader.SYSTEMD_BOOT),
    ],
)
def test_every_loader_of_proxmox_ve_is_known_by_its_traces(
    guide: RecordedHost, word: str, info: str | None, esp: str, expected: Loader, *, efi: bool
) -> None:
    booted_with(guide, word)
    if efi:
        with_efi(guide, info)
    if esp:
        with_esps(guide, {"AAAA-1111": esp})
    found = loader(guide)
    assert (found.loader, found.doubt) == (expected, "")
    assert found.firmware == ("UEFI" if efi else "BIOS")


@pytest.mark.parametrize(
    ("word", "info", "esp", "doubt"),
    [
        (SD_WORD, None, "", "no-traces"),
        (SD_WORD, None, "uefi", "no-traces"),
        (GRUB_WORD, "rEFInd 0.14", "", "no-traces"),
        ("root=/dev/vda2", None, "", "no-traces"),
        (GRUB_WORD, SD, "", "two-loaders"),
        (ESP_GRUB_WORD, SD, "uefi grub", "two-loaders"),
        (GRUB_WORD, "GRUB 2.12", "grub", "foreign-entry"),
        (r"initrd=\EFI\debian\initrd.img", SD, "uefi", "foreign-entry"),
        (ESP_GRUB_WORD, "GRUB 2.12", "uefi", "not-on-esps"),
        (SD_WORD, SD, "grub", "not-on-esps"),
    ],
)
def test_evidence_that_disagrees_is_no_loader(
    guide: RecordedHost, word: str, info: str | None, esp: str, doubt: str
) -> None:
    with_efi(booted_with(guide, word), info)
    if esp:
        with_esps(guide, {"AAAA-1111": esp})
    found = loader(guide)
    assert (found.loader, found.doubt) == (Loader.UNKNOWN, doubt)
    assert codes(findings(guide, f"loader-{doubt}")) == [f"loader-{doubt}"]


def test_a_boot_partition_of_its_own_and_listed_esps_cannot_be_told_apart(
    guide: RecordedHost,
) -> None:
    with_esps(booted_with(guide, ESP_GRUB_WORD), {"AAAA-1111": "grub"})
    with_mounts(guide, "/dev/vda2 / ext4 rw 0 0", "/dev/vda1 /boot ext4 rw 0 0")
    assert (loader(guide).loader, loader(guide).doubt) == (Loader.UNKNOWN, "boot-partition")


def test_a_kernel_command_line_file_alone_proves_nothing(guide: RecordedHost) -> None:
    """PVE's installer writes it for every ZFS or btrfs root, whatever boots the host."""
    before = loader(guide)
    after = loader(guide.with_file(CMDLINE, f"{ROOT}\n"))
    assert (after.loader, after.persisted) == (Loader.GRUB, before.persisted)


def test_zfs_under_uefi_with_secure_boot_is_grub_though_there_is_a_command_line_file(
    guide: RecordedHost,
) -> None:
    found = loader(grub_on_esp(guide, efi=True))
    assert (found.loader, found.secure_boot) == (Loader.GRUB_ON_ESP, True)
    assert found.kernel_cmdline == f"{ROOT}\n"


def test_an_empty_list_of_boot_partitions_is_not_proxmox_boot_tool(guide: RecordedHost) -> None:
    assert loader(guide.with_file(UUIDS, "\n")).loader is Loader.GRUB


def test_grub_without_its_configuration_file_is_not_called_grub(guide: RecordedHost) -> None:
    missing(guide, GRUB_CONFIG)
    assert (loader(guide).loader, loader(guide).doubt) == (Loader.UNKNOWN, "no-grub-config")


def test_the_tool_is_asked_only_where_it_has_partitions(guide: RecordedHost) -> None:
    assert "proxmox-boot-tool status" not in [each.what for each in guide.facts().unmeasured]


def test_a_tool_that_does_not_answer_is_a_gap_and_not_an_answer(guide: RecordedHost) -> None:
    systemd_boot_on_esp(guide)
    guide.data["commands"] = [each for each in guide.data["commands"] if each["argv"] != STATUS]
    facts = guide.facts()
    assert facts.loader.loader is Loader.SYSTEMD_BOOT_ON_ESP
    assert facts.loader.esps == (Esp(uuid="AAAA-1111", present=True),)
    assert "proxmox-boot-tool status" in [each.what for each in facts.unmeasured]
    assert codes(findings(guide, "esp")) == ["esp"]


def test_an_unreadable_loader_variable_is_remembered(guide: RecordedHost) -> None:
    with_efi(guide).unreadable(LOADER_INFO)
    assert LOADER_INFO in [gap.what for gap in guide.facts().unmeasured]


@pytest.mark.parametrize(("content", "expected"), [(b"\1", True), (b"\0", False), (b"", False)])
def test_secure_boot_is_one_byte_after_the_attributes(
    guide: RecordedHost, content: bytes, *, expected: bool
) -> None:
    with_efi(guide, secure_boot=content == b"\1")
    assert loader(guide).secure_boot is expected


def test_secure_boot_that_cannot_be_read_is_not_off(guide: RecordedHost) -> None:
    with_efi(guide).unreadable(SECURE_BOOT)
    assert loader(guide).secure_boot is None


def test_the_evidence_names_every_trace(guide: RecordedHost) -> None:
    with_efi(booted_with(guide, GRUB_WORD), "GRUB 2.12-9+deb13u2")
    with_esps(guide, {"AAAA-1111": "uefi"}, missing=["CCCC-3333"])
    assert loader(guide).evidence[:5] == (
        f"/proc/cmdline: {GRUB_WORD}",
        "LoaderInfo: GRUB 2.12-9+deb13u2",
        f"{UUIDS}: AAAA-1111 (uefi)",
        f"{UUIDS}: CCCC-3333 (not there)",
        GRUB_CONFIG,
    )


def test_the_running_words_are_held_against_each_file_that_may_be_their_source(
    guide: RecordedHost,
) -> None:
    systemd_boot_on_esp(guide)
    assert f"{CMDLINE} == /proc/cmdline" in loader(guide).evidence
    guide.with_file(CMDLINE, f"{ROOT} iommu=pt\nquiet\n")
    assert f"{CMDLINE}: +iommu=pt" in loader(guide).evidence
    guide.with_file(CMDLINE, "boot=zfs root=ZFS=rpool/ROOT/pve-1\n")
    assert f"{CMDLINE}: boot=zfs root=ZFS=rpool/ROOT/pve-1" in loader(guide).evidence


# the two facts of a word: active in this boot, persisted for the next


def test_what_grub_will_really_read_is_the_next_boots_command_line(guide: RecordedHost) -> None:
    text = guide.data["files"][GRUB_CONFIG]
    guide.with_file(GRUB_CONFIG, text.replace("quiet", "quiet iommu=pt"))
    assert loader(guide).persisted is not None
    assert (loader(guide).persisted or ())[-2:] == ("quiet", "iommu=pt")
    (found,) = findings(guide, "command-line-next")
    assert found.evidence == ("+iommu=pt",)


def test_a_file_under_etc_that_grub_was_not_told_of_is_not_persisted(guide: RecordedHost) -> None:
    before = loader(guide).persisted
    guide.with_file("/etc/default/grub.d/x.cfg", 'GRUB_CMDLINE_LINUX="iommu=pt"\n')
    assert loader(guide).persisted == before


@pytest.mark.parametrize("make", [systemd_boot_on_esp, grub_on_esp])
def test_what_lies_on_an_esp_is_not_guessed(
    guide: RecordedHost, make: Callable[[RecordedHost], RecordedHost]
) -> None:
    assert loader(make(guide)).persisted is None
    assert findings(guide, "command-line-next")[0].outcome == "not-measured"


# which kernel


def with_kernels(host: RecordedHost, *releases: str) -> RecordedHost:
    host.data["directories"]["/boot"] += [f"vmlinuz-{each}" for each in releases]
    return host


def test_the_next_kernel_is_what_grub_boots_by_default(guide: RecordedHost) -> None:
    assert loader(with_kernels(guide, "6.99.0-1-amd64")).next_release == guide.release


@pytest.mark.parametrize("make", [systemd_boot_on_esp, grub_on_esp])
def test_a_kernel_that_is_not_copied_does_not_boot_from_an_esp(
    guide: RecordedHost, make: Callable[[RecordedHost], RecordedHost]
) -> None:
    """A Debian kernel beside PVE's has the higher version and is in no menu."""
    make(with_kernels(guide, "6.8.12-9-pve", "6.99.0-1-amd64"))
    with_copied(guide, "6.8.12-9-pve")
    assert loader(guide).next_release == "6.8.12-9-pve"


@pytest.mark.parametrize(
    ("pin", "once", "expected"),
    [
        (None, None, "6.14.11-1-pve"),
        ("6.8.12-9-pve", None, "6.8.12-9-pve"),
        ("6.8.12-9-pve", "6.14.8-2-pve", "6.14.8-2-pve"),
        (None, "6.14.8-2-pve", "6.14.8-2-pve"),
        ("6.5.0-1-pve", None, "6.14.11-1-pve"),
    ],
)
def test_a_pin_goes_before_the_highest_version_and_one_boot_before_the_pin(
    guide: RecordedHost, pin: str | None, once: str | None, expected: str
) -> None:
    releases = ("6.8.12-9-pve", "6.14.8-2-pve", "6.14.11-1-pve")
    with_copied(systemd_boot_on_esp(with_kernels(guide, *releases)), *releases)
    if pin:
        guide.with_file("/etc/kernel/proxmox-boot-pin", f"{pin}\n")
    if once:
        guide.with_file("/etc/kernel/next-boot-pin", f"{once}\n")
    assert loader(guide).next_release == expected
    shown = [*findings(guide, "kernel-pinned"), *findings(guide, "kernel-pinned-once")]
    assert [each.params["release"] for each in shown] == [each for each in (pin, once) if each]


def test_versions_are_compared_as_numbers() -> None:
    assert highest(["6.8.12-9-pve", "6.8.12-10-pve", "6.8.4-11-pve"]) == "6.8.12-10-pve"
    assert highest([]) is None


# grub.cfg's own default


def grub_cfg(default: str, *, saved: str = "") -> str:
    return f"""\
if [ "${{next_entry}}" ] ; then
   set default="${{next_entry}}"
else
   set default="{default}"
fi
function savedefault {{
  echo
}}
menuentry 'PVE' $menuentry_id_option 'simple' {{
	linux	/boot/vmlinuz-6.14.11-1-pve root=/dev/sda1 ro first
}}
submenu 'Advanced' $menuentry_id_option 'adv' {{
	menuentry "PVE, 6.14" $menuentry_id_option 'adv-6.14' {{
		linux	/boot/vmlinuz-6.14.11-1-pve root=/dev/sda1 ro second
	}}
	menuentry 'PVE, 6.8' $menuentry_id_option 'adv-6.8' {{
		linux	/boot/vmlinuz-6.8.12-9-pve root=/dev/sda1 ro third
	}}
}}
menuentry 'Firmware' --id uefi-firmware {{
	fwsetup
}}
"""


@pytest.mark.parametrize(
    ("default", "environment", "word"),
    [
        ("0", "", "first"),
        ("simple", "", "first"),
        ("PVE", "", "first"),
        ("", "", "first"),
        ("1", "", "second"),
        ("1>1", "", "third"),
        ("adv>adv-6.8", "", "third"),
        ("Advanced>PVE, 6.8", "", "third"),
        ("${saved_entry}", "saved_entry=adv>adv-6.8\n", "third"),
        ("${saved_entry}", "", "first"),
        ("0", "next_entry=adv>adv-6.8\n", "third"),
        ("${other}", "", None),
        ("gone", "", None),
        ("uefi-firmware", "", None),
    ],
)
def test_the_default_entry_is_found_as_grub_finds_it(
    guide: RecordedHost, default: str, environment: str, word: str | None
) -> None:
    guide.with_file(GRUB_CONFIG, grub_cfg(default))
    guide.with_file("/boot/grub/grubenv", f"# GRUB Environment Block\n{environment}####")
    words = loader(guide).persisted
    assert words == (None if word is None else ("root=/dev/sda1", "ro", word))


def test_quotes_of_grubs_shell_are_no_part_of_a_word(guide: RecordedHost) -> None:
    text = grub_cfg("0").replace("root=/dev/sda1 ro first", 'root=ZFS="x/y" \'a\' dyndbg="b c"')
    guide.with_file(GRUB_CONFIG, text)
    assert loader(guide).persisted == ("root=ZFS=x/y", "a", 'dyndbg="b c"')


def test_passwords_of_grub_do_not_get_into_a_capture(guide: RecordedHost) -> None:
    from hostpci.facts.capture import dump_capture, make_capture
    from hostpci.host.capture import CaptureRoot
    from hostpci.model.journal import History

    secret = "password_pbkdf2 root grub.pbkdf2.sha512.10000.C0FFEE"
    guide.data["files"][GRUB_CONFIG] += f'set superusers="root"\n{secret}\n'
    capture = make_capture(CaptureRoot(guide.data), guide.runner(), History(runs=()))
    assert "C0FFEE" not in dump_capture(capture)


# ESPs


def test_status_is_understood_in_each_of_its_forms() -> None:
    text = (
        "Re-executing '/usr/sbin/proxmox-boot-tool' in new private mount namespace..\n"
        "System currently booted with uefi\n"
        "AAAA-1111 is configured with: uefi (versions: 6.14.11-1-pve, 6.8.12-9-pve)\n"
        "BBBB-2222 is configured with: uefi (versions: )\n"
        "DDDD-4444 is configured with: uefi (versions: 6.8.12-9-pve), grub (versions: 6.5.1-pve)\n"
        "WARN: /dev/disk/by-uuid/CCCC-3333 does not exist - clean"
        " '/etc/kernel/proxmox-boot-uuids'! - skipping\n"
    )
    assert parse_status(text) == {
        "AAAA-1111": {"uefi": ("6.14.11-1-pve", "6.8.12-9-pve")},
        "BBBB-2222": {"uefi": ()},
        "DDDD-4444": {"uefi": ("6.8.12-9-pve",), "grub": ("6.5.1-pve",)},
    }


def test_each_trouble_of_an_esp_is_named(guide: RecordedHost) -> None:
    systemd_boot_on_esp(guide)
    esps = {"AAAA-1111": "uefi", "BBBB-2222": "grub", "DDDD-4444": "uefi grub"}
    with_esps(guide, esps, missing=["CCCC-3333", "garbage"])
    found = {
        each.subject: code
        for code in ("esp", "esp-missing", "esp-other-loader", "esp-two-loaders")
        for each in findings(guide, code)
    }
    assert found == {
        "AAAA-1111": "esp",
        "BBBB-2222": "esp-other-loader",
        "CCCC-3333": "esp-missing",
        "DDDD-4444": "esp-two-loaders",
        "garbage": "esp-missing",
    }


def test_a_uuid_that_is_none_is_no_path(guide: RecordedHost) -> None:
    systemd_boot_on_esp(guide).with_file(UUIDS, "../../sda\n")
    assert loader(guide).esps == (Esp(uuid="../../sda", present=False),)


# one boot only


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        ("/dev/sda2 / ext4 rw 0 0", "grub-env"),
        ("/dev/nvme0n1p2 / xfs rw 0 0", "grub-env"),
        ("/dev/mapper/pve-root / ext4 rw 0 0", ""),
        ("/dev/md0 / ext4 rw 0 0", ""),
        ("/dev/sda2 / btrfs rw 0 0", ""),
        ("rpool/ROOT/pve-1 / zfs rw 0 0", ""),
        ("/dev/mapper/pve-root / ext4 rw 0 0|/dev/sda1 /boot ext4 rw 0 0", "grub-env"),
        ("/dev/sda2 / ext4 rw 0 0|/dev/mapper/x-boot /boot ext4 rw 0 0", ""),
        ("/dev/sda2 / ext4 rw 0 0|/dev/sda1 /boot/grub2 btrfs rw 0 0", "grub-env"),
        ("overlay / overlay rw 0 0", ""),
    ],
)
def test_grub_boots_once_only_from_where_it_can_write(
    guide: RecordedHost, mounts: str, expected: str
) -> None:
    found = loader(with_mounts(guide, *mounts.split("|")))
    assert found.one_shot == expected
    assert any(line.startswith("/boot/grub: ") for line in found.evidence) is (expected == "")


@pytest.mark.parametrize(
    ("make", "expected"),
    [(systemd_boot_on_esp, "systemd-boot"), (grub_on_esp, "grub-env-esp")],
)
def test_an_esp_takes_a_boot_of_once(
    guide: RecordedHost, make: Callable[[RecordedHost], RecordedHost], expected: str
) -> None:
    assert loader(make(guide)).one_shot == expected
