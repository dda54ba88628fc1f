"""Kernel words and images on hosts that boot from ESPs: written, read back, and taken back."""

from __future__ import annotations

from pathlib import Path

import pytest

from hostpci.errors import ConflictError, EnvironmentFault
from hostpci.executor.apply import Executor
from hostpci.executor.journal import Journal
from hostpci.executor.undo import Undoer
from hostpci.facts.collect import collect
from hostpci.facts.loader import GRUB_CONFIG
from hostpci.model.facts import Facts
from hostpci.model.plan import FileStep, Plan, RefreshStep, Step
from hostpci.planner.commandline import command_line_refusals, command_line_steps

from ..esp_world import EspHost
from ..hosts import RecordedHost
from ..loaders import CMDLINE, ROOT, grub_on_esp, systemd_boot_on_esp, with_esps

A, B = "AAAA-1111", "BBBB-2222"
WORD = "iommu=pt"
DROPIN = "/etc/default/grub.d/90-hostpci.cfg"


def sd_host(directory: Path) -> EspHost:
    host = systemd_boot_on_esp(RecordedHost(), AAAA_1111="uefi", BBBB_2222="uefi")
    return EspHost(directory, host, A, B)


def grub_host(directory: Path) -> EspHost:
    host = grub_on_esp(RecordedHost(), efi=True, AAAA_1111="grub", BBBB_2222="grub")
    return EspHost(directory, host, A, B)


def facts_of(host: EspHost) -> Facts:
    return collect(host.root, host.runner, history=lambda: Journal(host.machine.files).history())


def steps(host: EspHost, *words: str) -> tuple[Step, ...]:
    return command_line_steps(facts_of(host), words)


def apply(host: EspHost, *words: str) -> None:
    Executor(host.machine).apply(Plan(steps=steps(host, *words)), "apply")


def undo(host: EspHost) -> tuple[str, ...]:
    """Undo everything; return the files of which only our words were taken."""
    runs = Undoer(host.machine).undo(Journal(host.machine.files).history())
    return tuple(path for run in runs for path in run.merged)


def test_a_word_gets_onto_every_partition_and_off_it_again_byte_for_byte(tmp_path: Path) -> None:
    host = sd_host(tmp_path)
    root, esps = host.root_print(), host.esp_print()
    assert [type(step) for step in steps(host, WORD)] == [FileStep, RefreshStep]
    apply(host, WORD)
    assert host.file(CMDLINE).read_text() == f"{ROOT} {WORD}\n"
    assert host.options(A) == host.options(B) == [f"{ROOT} {WORD}"]
    assert steps(host, WORD) == ()
    undo(host)
    assert (host.root_print(), host.esp_print()) == (root, esps)


def test_under_grub_the_word_goes_through_our_own_file(tmp_path: Path) -> None:
    host = grub_host(tmp_path)
    root, esps = host.root_print(), host.esp_print()
    apply(host, WORD)
    assert host.file(CMDLINE).read_text() == f"{ROOT}\n"
    for uuid in (A, B):
        assert (host.esps / uuid / "grub/grub.cfg").read_text().count(f"quiet {WORD}\n") == 1
    assert steps(host, WORD) == ()
    undo(host)
    assert (host.root_print(), host.esp_print()) == (root, esps)


def test_each_partition_is_mounted_read_only_and_let_go(tmp_path: Path) -> None:
    host = sd_host(tmp_path)
    apply(host, WORD)
    mounts = [call for call in host.runner.calls if call[0] == "mount"]
    assert [call[4] for call in mounts] == ["ro,nosuid,nodev,noexec"] * 2
    points = {call[-1] for call in mounts}
    assert len(points) == 1
    assert all(point.startswith("/run/.hostpci-") for point in points)
    assert [call[1] for call in host.runner.calls if call[0] == "umount"] == [*points, *points]
    assert list(host.file("/run").glob(".hostpci-*")) == []


def test_a_partition_that_is_mounted_anyway_is_read_where_it_is(tmp_path: Path) -> None:
    host = sd_host(tmp_path)
    (host.esps / A).rename(host.file("/boot/efi"))
    (host.esps / A).symlink_to(host.file("/boot/efi"))
    mounts = host.file("/proc/self/mounts")
    device = (host.tree / "dev/disk/by-uuid" / A).resolve()
    mounts.write_text(f"{mounts.read_text()}{device} /boot/efi vfat rw 0 0\n")
    apply(host, WORD)
    assert host.options(A) == host.options(B) == [f"{ROOT} {WORD}"]
    mounted = [call[-2].rpartition("/")[2] for call in host.runner.calls if call[0] == "mount"]
    assert mounted == [B]
    assert not [call for call in host.runner.calls if call == ("umount", "/boot/efi")]
    assert host.file("/boot/efi").is_dir()


def test_a_partition_that_was_skipped_stops_the_run_and_is_named(tmp_path: Path) -> None:
    host = sd_host(tmp_path)
    host.runner.skips.add(B)
    with pytest.raises(ConflictError) as caught:
        apply(host, WORD)
    assert (caught.value.code, caught.value.params["esp"]) == ("esp-differs", B)
    assert list(host.file("/run").glob(".hostpci-*")) == []
    with pytest.raises(ConflictError):
        finish(host)
    host.runner.skips.clear()
    finish(host)
    assert host.options(B) == [f"{ROOT} {WORD}"]


def finish(host: EspHost) -> None:
    run = Journal(host.machine.files).interrupted()
    assert run is not None
    Executor(host.machine).finish(run)


def test_an_undo_that_a_partition_does_not_follow_is_not_done(tmp_path: Path) -> None:
    host = sd_host(tmp_path)
    root, esps = host.root_print(), host.esp_print()
    apply(host, WORD)
    host.runner.skips.add(B)
    with pytest.raises(ConflictError, match=B):
        undo(host)
    host.runner.skips.clear()
    undo(host)
    assert (host.root_print(), host.esp_print()) == (root, esps)


@pytest.mark.parametrize("make", [sd_host, grub_host])
def test_a_copy_that_is_not_the_kernel_of_now_stops_the_run(tmp_path: Path, make: object) -> None:
    assert callable(make)
    host: EspHost = make(tmp_path)
    release = host.root.read_text("/proc/sys/kernel/osrelease").strip()
    host.runner.skips |= {A, B}
    host.file(f"/boot/initrd.img-{release}").write_text("rebuilt")
    with pytest.raises(ConflictError) as caught:
        Executor(host.machine).apply(Plan(steps=(refresh(),)), "apply")
    assert (caught.value.code, caught.value.params["esp"]) == ("esp-old-copy", A)


def refresh(*words: str, releases: tuple[str, ...] = ()) -> RefreshStep:
    argv = ("proxmox-boot-tool", "refresh")
    return RefreshStep(code="esp-refresh", argv=argv, words=words, releases=releases)


def test_a_kernel_that_boots_next_and_has_no_entry_stops_the_run(tmp_path: Path) -> None:
    host = sd_host(tmp_path)
    with pytest.raises(ConflictError) as caught:
        Executor(host.machine).apply(Plan(steps=(refresh(releases=("9.9-pve",)),)), "apply")
    assert caught.value.code == "esp-no-entry"


def test_a_kernel_without_an_initramfs_keeps_its_old_entry_and_that_is_seen(
    tmp_path: Path,
) -> None:
    """Transcript: "No initrd-image ... found - skipping", exit code 0."""
    host = sd_host(tmp_path)
    release = host.root.read_text("/proc/sys/kernel/osrelease").strip()
    plan = Plan(steps=steps(host, WORD))
    host.file(f"/boot/initrd.img-{release}").unlink()
    with pytest.raises(ConflictError, match="esp-differs"):
        Executor(host.machine).apply(plan, "apply")


def test_entries_of_others_on_a_partition_are_theirs(tmp_path: Path) -> None:
    host = sd_host(tmp_path)
    other = host.esps / A / "loader/entries/windows.conf"
    other.write_text("title Windows\nefi /EFI/Microsoft/Boot/bootmgfw.efi\n")
    apply(host, WORD)
    assert other.exists()


def test_no_partition_at_all_is_no_success(tmp_path: Path) -> None:
    host = sd_host(tmp_path)
    plan = Plan(steps=steps(host, WORD))
    for uuid in (A, B):
        (host.tree / "dev/disk/by-uuid" / uuid).unlink()
    with pytest.raises(EnvironmentFault, match="esp-none"):
        Executor(host.machine).apply(plan, "apply")


# the line is everybody's


def test_a_line_that_somebody_changed_since_loses_our_word_alone(tmp_path: Path) -> None:
    host = sd_host(tmp_path)
    apply(host, WORD)
    host.file(CMDLINE).write_text(f"{ROOT} quiet {WORD} console=ttyS0\n# mine\n")
    assert undo(host) == (CMDLINE,)
    assert host.file(CMDLINE).read_text() == f"{ROOT} quiet console=ttyS0\n# mine\n"
    assert host.options(A) == host.options(B) == [f"{ROOT} quiet console=ttyS0"]


def test_a_word_that_was_there_before_is_nobodys_but_theirs(tmp_path: Path) -> None:
    host = sd_host(tmp_path)
    host.file(CMDLINE).write_text(f"{ROOT} {WORD}\n")
    (step,) = steps(host, WORD)  # and whoever put it there may have forgotten the refresh
    assert isinstance(step, RefreshStep)
    apply(host, WORD)
    assert host.options(B) == [f"{ROOT} {WORD}"]
    assert steps(host, WORD) == ()
    assert steps(host) == ()


def test_a_word_that_is_not_wanted_any_more_goes_and_undo_brings_both_states(
    tmp_path: Path,
) -> None:
    host = sd_host(tmp_path)
    esps = host.esp_print()
    apply(host, WORD, "intel_iommu=on")
    apply(host, "intel_iommu=on")
    assert host.file(CMDLINE).read_text() == f"{ROOT} intel_iommu=on\n"
    apply(host)
    assert host.file(CMDLINE).read_text() == f"{ROOT}\n"
    assert facts_of(host).loader.own_words == ()
    undo(host)
    assert host.esp_print() == esps


@pytest.mark.parametrize("edit", ["# mine\n", 'GRUB_TIMEOUT="9"\n'])
def test_our_own_file_that_somebody_changed_is_in_the_way_and_its_words_are_named(
    tmp_path: Path, edit: str
) -> None:
    """It is no shared line: its first line is a comment, and the words stand further down."""
    host = grub_host(tmp_path)
    apply(host, WORD)
    host.file(DROPIN).write_text(edited := host.file(DROPIN).read_text() + edit)
    with pytest.raises(ConflictError, match="in-the-way"):
        undo(host)
    assert host.file(DROPIN).read_text() == edited
    history = Journal(host.machine.files).history()
    (run,) = Undoer(host.machine, skip_changed=True).undo(history)
    assert (run.kept, run.merged) == ((DROPIN,), ())
    assert host.file(DROPIN).read_text() == edited


def test_our_own_file_that_is_gone_is_taken_back_already(tmp_path: Path) -> None:
    host = grub_host(tmp_path)
    esps = host.esp_print()
    apply(host, WORD)
    apply(host, WORD, "quiet2")
    host.file(DROPIN).unlink()
    undo(host)
    assert not host.file(DROPIN).exists()
    assert host.esp_print() == esps


def test_a_line_that_is_gone_is_not_brought_back(tmp_path: Path) -> None:
    host = sd_host(tmp_path)
    apply(host, WORD)
    host.file(CMDLINE).unlink()
    undo(host)
    assert not host.file(CMDLINE).exists()


def test_a_file_that_we_made_goes_again(tmp_path: Path) -> None:
    host = sd_host(tmp_path)
    host.file(CMDLINE).unlink()
    apply(host, WORD)
    assert host.file(CMDLINE).read_text() == f"{ROOT} {WORD}\n"
    undo(host)
    assert not host.file(CMDLINE).exists()
    assert host.options(A) == [ROOT]


def test_a_file_that_we_made_stays_without_our_words_while_they_run(tmp_path: Path) -> None:
    """Without it the tool would take them from /proc/cmdline and make them last."""
    host = sd_host(tmp_path)
    host.file(CMDLINE).unlink()
    apply(host, WORD)
    running = host.file("/proc/cmdline")
    running.write_text(f"{running.read_text().strip()} {WORD}\n")
    assert undo(host) == (CMDLINE,)
    assert host.file(CMDLINE).read_text() == f"{ROOT}\n"
    assert host.options(A) == [ROOT]


def test_our_own_grub_file_goes_also_while_its_words_run(tmp_path: Path) -> None:
    host = grub_host(tmp_path)
    root = host.root_print()
    apply(host, WORD)
    running = host.file("/proc/cmdline")
    before = running.read_text()
    running.write_text(f"{before.strip()} {WORD}\n")
    assert undo(host) == ()
    running.write_text(before)
    assert host.root_print() == root


def test_our_own_grub_file_that_somebody_edited_is_in_the_way(tmp_path: Path) -> None:
    host = grub_host(tmp_path)
    apply(host, WORD)
    host.file(DROPIN).write_text("# mine\n")
    with pytest.raises(ConflictError, match="in-the-way"):
        undo(host)


# images


def test_an_image_that_was_rebuilt_is_on_the_partitions_and_its_old_bytes_after_undo(
    tmp_path: Path,
) -> None:
    from hostpci.planner.commandline import loader_update
    from hostpci.planner.plan import rebuild_step

    host = sd_host(tmp_path)
    root, esps = host.root_print(), host.esp_print()
    release = host.root.read_text("/proc/sys/kernel/osrelease").strip()
    rebuilt = (rebuild_step(release), *loader_update(facts_of(host)))
    Executor(host.machine).apply(Plan(steps=rebuilt), "apply")
    assert host.esp_print() != esps
    undo(host)
    assert (host.root_print(), host.esp_print()) == (root, esps)


# refusals


def refused(host: RecordedHost, *words: str) -> list[tuple[str, str]]:
    found = command_line_refusals(host.facts(), words or (WORD,))
    return [(each.code, each.subject) for each in found if each.blocks]


def test_partitions_that_a_refresh_would_leave_behind_are_refused(guide: RecordedHost) -> None:
    systemd_boot_on_esp(guide)
    with_esps(guide, {A: "uefi", B: "grub", "DDDD-4444": "uefi grub"})
    assert refused(guide) == [("esp-other-loader", B), ("esp-two-loaders", "DDDD-4444")]


def test_a_partition_that_is_not_there_is_no_reason_to_refuse(guide: RecordedHost) -> None:
    with_esps(systemd_boot_on_esp(guide), {A: "uefi"}, missing=[B])
    assert refused(guide) == []
    with_esps(guide, {}, missing=[A, B])
    assert refused(guide) == [("esp-none", "")]


def test_nothing_is_refused_where_nothing_is_to_be_edited(guide: RecordedHost) -> None:
    with_esps(systemd_boot_on_esp(guide), {A: "uefi", B: "grub"})
    guide.with_file(CMDLINE, f"{ROOT} {WORD}\n").with_command_line(WORD)
    assert refused(guide) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [("quiet\n", "edit-cmdline-root"), ("# x root=y\n", "edit-cmdline-comment")],
)
def test_a_line_that_cannot_be_edited_is_a_finding(
    guide: RecordedHost, text: str, code: str
) -> None:
    systemd_boot_on_esp(guide).with_file(CMDLINE, text)
    assert refused(guide) == [(code, f"{CMDLINE}:1")]
    assert command_line_steps(guide.facts(), (WORD,)) == ()


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("zz.cfg", 'GRUB_CMDLINE_LINUX_DEFAULT="splash"\n', "grub-overridden"),
        ("zz.cfg", 'GRUB_CMDLINE_LINUX_DEFAULT="$(x)"\n', "edit-grub-computed"),
        ("zz.cfg", 'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT x"\n', None),
        ("00.cfg", 'GRUB_CMDLINE_LINUX_DEFAULT="splash"\n', None),
        ("00.cfg", 'GRUB_CMDLINE_LINUX_DEFAULT="$(x)"\n', None),
    ],
)
def test_only_a_file_that_is_read_after_ours_can_take_our_words_away(
    guide: RecordedHost, name: str, text: str, expected: str | None
) -> None:
    guide.with_file(f"/etc/default/grub.d/{name}", text)
    assert [code for code, _ in refused(guide)] == ([expected] if expected else [])


def test_a_word_that_is_not_in_our_file_is_not_lost_with_it(guide: RecordedHost) -> None:
    """The host's own GRUB_CMDLINE_LINUX gives it, whatever becomes of the other variable."""
    guide.with_file("/etc/default/grub", f'GRUB_CMDLINE_LINUX="{WORD}"\n')
    guide.with_file("/etc/default/grub.d/zz.cfg", 'GRUB_CMDLINE_LINUX_DEFAULT="splash"\n')
    assert refused(guide) == []
    assert refused(guide, WORD, "intel_iommu=on") == [
        ("grub-overridden", "/etc/default/grub.d/zz.cfg")
    ]


@pytest.mark.parametrize("value", ["'quiet iommu=pt'", '"iommu=pt" # note', "iommu=pt"])
def test_a_word_that_grubs_own_files_give_is_not_added_again(
    guide: RecordedHost, value: str
) -> None:
    guide.with_file("/etc/default/grub", f"GRUB_CMDLINE_LINUX_DEFAULT={value}\n")
    (update,) = command_line_steps(guide.facts(), (WORD,))
    assert update.code == "grub-update"  # it is not in grub.cfg: somebody forgot
    text = guide.data["files"][GRUB_CONFIG]
    guide.with_file(GRUB_CONFIG, text.replace("quiet", WORD))
    assert command_line_steps(guide.facts(), (WORD,)) == ()


def test_a_word_that_is_only_commented_or_more_than_ours_is_added(guide: RecordedHost) -> None:
    text = '#GRUB_CMDLINE_LINUX_DEFAULT="iommu=pt"\nGRUB_CMDLINE_LINUX_DEFAULT="iommu=pt,x"\n'
    guide.with_file("/etc/default/grub", text)
    (edit, update) = command_line_steps(guide.facts(), (WORD,))
    assert isinstance(edit, FileStep)
    assert (edit.path, edit.adds) == (DROPIN, (WORD,))
    assert update.code == "grub-update"
