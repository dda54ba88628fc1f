"""What a guide left by hand: taken over with the same effect, or taken out, with undo."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hostpci.errors import UsageError
from hostpci.facts.claims import PATH as CLAIMS
from hostpci.facts.claims import parse_claims_file
from hostpci.model.knob import MODPROBE_CONF, MODULES_CONF
from hostpci.model.plan import CommandStep, FileStep, Plan, Reboot, RefreshStep
from hostpci.planner.adopt import adopt_plan
from hostpci.planner.plan import make_plan

from ..hosts import SLOT, RecordedHost
from ..loaders import CMDLINE, ROOT, grub_on_esp, systemd_boot_on_esp
from .support import carry_out, claimed, codes, findings, on_vfio
from .test_leftovers import as_pve

GRUB = "/etc/default/grub"
VFIO, KVM = "/etc/modprobe.d/vfio.conf", "/etc/modprobe.d/kvm.conf"
UNSAFE = "/etc/modprobe.d/iommu_unsafe_interrupts.conf"
GRUB_UPDATE = "grub-mkconfig -o /var/lib/hostpci/grub.cfg"
BLACKLIST = "/etc/modprobe.d/blacklist.conf"
WORDS = "quiet amd_iommu=on iommu=pt initcall_blacklist=sysfb_init pcie_acs_override=downstream"


def with_guide(host: RecordedHost) -> RecordedHost:
    """Every file as the guide's commands leave it on Debian's defaults."""
    text = host.data["files"][GRUB].replace('DEFAULT="quiet"', f'DEFAULT="{WORDS}"')
    assert WORDS in text
    host.with_file(GRUB, text)
    modules = host.data["files"]["/etc/modules"]
    host.with_file("/etc/modules", f"{modules}vfio\nvfio_iommu_type1\nvfio_pci\nvfio_virqfd\n")
    host.with_file(VFIO, "options vfio-pci ids=10de:2d04 disable_vga=1\n")
    drivers = ["nouveau", "nvidia", "nvidiafb", "nvidia_drm"]
    lines = "".join(f"blacklist {each}\n" for each in drivers)
    host.with_file(BLACKLIST, f"# NVIDIA\n{lines}\n")
    host.with_file(UNSAFE, "options vfio_iommu_type1 allow_unsafe_interrupts=1\n")
    host.with_file(KVM, "options kvm ignore_msrs=1 report_ignored_msrs=0\n")
    return host.with_command_line(*WORDS.split()[1:])


def files_of(host: RecordedHost) -> dict[str, str]:
    return {path: text for path, text in host.data["files"].items() if path.startswith("/etc/")}


def edits(plan: Plan) -> dict[str, str | None]:
    return {step.path: step.after for step in plan.steps if isinstance(step, FileStep)}


def commands(plan: Plan) -> list[str]:
    return [" ".join(step.argv) for step in plan.steps if isinstance(step, CommandStep)]


def test_taking_out_gives_the_files_that_were_there_before_the_guide(guide: RecordedHost) -> None:
    factory = files_of(guide)
    plan = adopt_plan(with_guide(guide).facts(), remove=True)
    assert plan.notes == ()
    assert commands(plan) == [GRUB_UPDATE]
    assert edits(plan)[VFIO] is edits(plan)[KVM] is edits(plan)[UNSAFE] is None
    carry_out(guide, plan)
    assert files_of(guide) == {**factory, BLACKLIST: "# NVIDIA\n\n"}
    left = [each for each in guide.facts().settings if each.where != "/proc/cmdline"]
    assert left == []
    assert adopt_plan(guide.facts(), remove=True).steps == ()


def test_every_edit_can_be_taken_back(guide: RecordedHost) -> None:
    before = files_of(with_guide(guide))
    plan = adopt_plan(guide.facts(), remove=True)
    for step in plan.steps:
        if isinstance(step, FileStep):
            assert before[step.path] == step.before


def test_the_words_of_this_boot_wait_for_the_reboot(guide: RecordedHost) -> None:
    plan = adopt_plan(with_guide(guide).facts(), remove=True)
    assert plan.reboot is Reboot.ONE
    assert set(plan.pending) == set(WORDS.split()[1:])


def test_taking_over_keeps_the_effect_and_changes_the_owner(guide: RecordedHost) -> None:
    host = as_pve(claimed(with_guide(guide)))
    plan = adopt_plan(host.facts(), remove=False)
    carry_out(host, plan)
    owned = parse_claims_file(host.data["files"][CLAIMS])
    assert set(owned.host_options) == {
        "iommu-pt", "acs-override=downstream", "disable-vga", "kvm-ignore-msrs", "kvm-quiet-msrs",
        "vfio-modules=vfio,vfio_iommu_type1,vfio_pci",
    }  # fmt: skip
    assert owned.claims[0].options == ("blacklist=nouveau,nvidiafb", "bind-by-ids")
    assert {each.subject.rpartition(":")[0]: each.code for each in plan.notes} == {
        GRUB: "adopt-needs-claim", UNSAFE: "adopt-refused",
    }  # fmt: skip
    host.data["times"][f"/boot/initrd.img-{host.release}"] = 1
    written = edits(make_plan(on_vfio(host).facts()))
    assert "iommu=pt" in (written["/etc/default/grub.d/90-hostpci.cfg"] or "")
    assert (written[MODULES_CONF] or "").splitlines()[1:] == [
        "vfio", "vfio_iommu_type1", "vfio_pci",
    ]  # fmt: skip
    assert (written[MODPROBE_CONF] or "").splitlines()[1:] == [
        "options vfio-pci ids=10de:2d04,10de:22eb",
        "options vfio-pci disable_vga=1",
        "blacklist nouveau",
        "blacklist nvidiafb",
        "options kvm ignore_msrs=1",
        "options kvm report_ignored_msrs=0",
    ]


def test_what_belongs_to_a_claim_waits_for_one(guide: RecordedHost) -> None:
    plan = adopt_plan(with_guide(guide).facts(), remove=False)
    waiting = {each.params["value"] for each in plan.notes if each.code == "adopt-needs-claim"}
    assert waiting >= {"nouveau", "10de:2d04"}
    carry_out(guide, plan)
    assert "ids=10de:2d04" in guide.data["files"][VFIO]
    assert "disable_vga" not in guide.data["files"][VFIO]


def test_only_what_was_named_is_touched(guide: RecordedHost) -> None:
    with_guide(guide)
    plan = adopt_plan(guide.facts(), remove=True, codes=("kvm-ignore-msrs",))
    assert edits(plan) == {KVM: "options kvm report_ignored_msrs=0\n"}
    assert commands(plan) == []
    plan = adopt_plan(guide.facts(), remove=True, codes=("leftover-kvm-ignore-msrs",))
    assert list(edits(plan)) == [KVM]
    with pytest.raises(UsageError, match="adopt-not-found"):
        adopt_plan(guide.facts(), remove=True, codes=("warp-drive",))


def test_the_distribution_s_own_lines_are_not_touched(guide: RecordedHost) -> None:
    path = "/etc/modprobe.d/pve-blacklist.conf"
    guide.with_file(path, "# shipped\nblacklist nvidiafb\n")
    assert adopt_plan(guide.facts(), remove=True).steps == ()
    guide.with_file(path, "# shipped\nblacklist nvidiafb\nblacklist nouveau\n")
    plan = adopt_plan(guide.facts(), remove=True)
    assert edits(plan) == {path: "# shipped\nblacklist nvidiafb\n"}


@pytest.mark.parametrize(
    ("path", "text", "code"),
    [
        ("/etc/udev/rules.d/99-x.rules", 'ATTR{driver_override}="vfio-pci"\n', "adopt-not-ours"),
        ("/etc/driverctl.d/0000:01:00.0", "vfio-pci\n", "adopt-not-ours"),
        (GRUB, 'GRUB_CMDLINE_LINUX_DEFAULT="intel_iommu=on,sm_on"\n', "adopt-not-safe"),
        (GRUB, 'GRUB_CMDLINE_LINUX_DEFAULT="iommu=pt $(extra)"\neval x\n', "adopt-not-safe"),
        (GRUB, 'GRUB_CMDLINE_LINUX_DEFAULT="modprobe.blacklist=nouveau,xe"\n', "adopt-not-safe"),
        (GRUB, 'GRUB_CMDLINE_LINUX_DEFAULT="initcall_blacklist=sysfb_init,x"\n', "adopt-not-safe"),
    ],
)
def test_what_cannot_be_edited_safely_is_named_and_left(
    guide: RecordedHost, path: str, text: str, code: str
) -> None:
    plan = adopt_plan(guide.with_file(path, text).facts(), remove=True)
    assert plan.steps == ()
    assert set(codes(plan.notes)) == {code}


def test_what_is_left_is_named_by_more_than_the_value_of_an_option(guide: RecordedHost) -> None:
    line = "options vfio_iommu_type1 allow_unsafe_interrupts=1"
    (note,) = adopt_plan(guide.with_file(UNSAFE, f"{line}\n").facts(), remove=False).notes
    assert (note.code, note.params["value"]) == ("adopt-refused", line)


def test_a_file_that_is_no_text_is_left(guide: RecordedHost) -> None:
    guide.with_file(KVM, "options kvm ignore_msrs=1\n")
    guide.data["binary"][KVM] = "/29wdGlvbnMga3ZtIGlnbm9yZV9tc3JzPTEK"
    plan = adopt_plan(guide.facts(), remove=True)
    assert (plan.steps, codes(plan.notes)) == ((), ["adopt-unreadable"])


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("GRUB_CMDLINE_LINUX_DEFAULT='iommu=pt quiet'\n", "GRUB_CMDLINE_LINUX_DEFAULT='quiet'\n"),
        ("GRUB_CMDLINE_LINUX_DEFAULT=iommu=pt # why\n", "GRUB_CMDLINE_LINUX_DEFAULT= # why\n"),
        (
            '# GRUB_CMDLINE_LINUX="iommu=pt"\nGRUB_CMDLINE_LINUX="a iommu=pt"\n',
            '# GRUB_CMDLINE_LINUX="iommu=pt"\nGRUB_CMDLINE_LINUX="a"\n',
        ),
    ],
)
def test_every_spelling_is_taken_out_and_comments_stay(
    guide: RecordedHost, text: str, after: str
) -> None:
    plan = adopt_plan(guide.with_file(GRUB, text).facts(), remove=True)
    assert edits(plan) == {GRUB: after}


def test_options_inside_an_image_are_taken_out_of_it(guide: RecordedHost) -> None:
    with_guide(guide).with_modules_in_initramfs("vfio-pci")
    plan = adopt_plan(guide.facts(), remove=True)
    assert commands(plan) == [f"update-initramfs -u -k {guide.release}", GRUB_UPDATE]


def test_a_word_that_is_only_in_this_boot_is_said_to_be(guide: RecordedHost) -> None:
    plan = adopt_plan(guide.with_command_line("iommu=pt").facts(), remove=True)
    assert (plan.steps, codes(plan.notes)) == ((), ["adopt-only-running"])


def test_a_switch_that_may_be_meant_is_taken_out_only_by_name(guide: RecordedHost) -> None:
    guide.with_file(GRUB, 'GRUB_CMDLINE_LINUX_DEFAULT="iommu=off"\n')
    assert adopt_plan(guide.facts(), remove=True).steps == ()
    named = adopt_plan(guide.facts(), remove=True, codes=("cmdline-iommu-off",))
    assert edits(named) == {GRUB: 'GRUB_CMDLINE_LINUX_DEFAULT=""\n'}


def test_after_all_of_it_the_claim_is_one_rule_file(guide: RecordedHost) -> None:
    carry_out(guide, adopt_plan(with_guide(guide).facts(), remove=True))
    plan = make_plan(claimed(guide).facts())
    assert [step.code for step in plan.steps] == ["rule-write"]
    assert findings(guide, "leftover-kvm-ignore-msrs", SLOT) == []


# loaders


def refreshes(plan: Plan) -> list[RefreshStep]:
    return [step for step in plan.steps if isinstance(step, RefreshStep)]


def test_words_of_the_one_line_leave_it_and_every_boot_partition(guide: RecordedHost) -> None:
    host = systemd_boot_on_esp(guide).with_file(CMDLINE, f"{ROOT} quiet iommu=pt\nmine\n")
    plan = adopt_plan(host.facts(), remove=True)
    assert edits(plan) == {CMDLINE: f"{ROOT} quiet\nmine\n"}
    (refresh,) = refreshes(plan)
    assert (refresh.words, refresh.gone) == ((), ("iommu=pt",))
    (edit,) = [step for step in plan.steps if isinstance(step, FileStep)]
    assert edit.takes == ("iommu=pt",)


def test_a_file_that_this_loader_does_not_read_needs_no_refresh(guide: RecordedHost) -> None:
    """The guide's edit of GRUB's file never did anything on such a host."""
    host = systemd_boot_on_esp(guide)
    host.with_file(GRUB, 'GRUB_CMDLINE_LINUX_DEFAULT="quiet iommu=pt"\n')
    plan = adopt_plan(host.facts(), remove=True)
    assert edits(plan) == {GRUB: 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\n'}
    assert (refreshes(plan), commands(plan)) == ([], [])


@pytest.mark.parametrize(
    ("make", "path", "text"),
    [
        (systemd_boot_on_esp, GRUB, 'GRUB_CMDLINE_LINUX_DEFAULT="quiet iommu=pt"\n'),
        (grub_on_esp, CMDLINE, f"{ROOT} iommu=pt\n"),
    ],
)
def test_a_word_in_a_file_that_the_loader_does_not_read_has_no_effect_to_keep(
    guide: RecordedHost, make: Callable[[RecordedHost], RecordedHost], path: str, text: str
) -> None:
    """To take it over would turn on what was never on."""
    host = make(guide).with_file(path, text)
    plan = adopt_plan(host.facts(), remove=False)
    assert "iommu=pt" not in (edits(plan)[path] or "")
    assert CLAIMS not in edits(plan)
    assert (plan.notes, refreshes(plan)) == ((), [])


def test_grub_on_boot_partitions_is_refreshed(guide: RecordedHost) -> None:
    host = grub_on_esp(guide).with_file(GRUB, 'GRUB_CMDLINE_LINUX_DEFAULT="iommu=pt quiet"\n')
    plan = adopt_plan(host.facts(), remove=True)
    assert edits(plan) == {GRUB: 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\n'}
    (refresh,) = refreshes(plan)
    assert refresh.gone == ("iommu=pt",)


def test_a_partition_that_would_be_skipped_refuses_the_run(guide: RecordedHost) -> None:
    host = grub_on_esp(guide, AAAA_1111="uefi")
    host.with_file(GRUB, 'GRUB_CMDLINE_LINUX_DEFAULT="iommu=pt quiet"\n')
    plan = adopt_plan(host.facts(), remove=True)
    assert plan.steps == ()
    assert plan.refusals or codes(plan.notes) == ["adopt-not-safe"]


def test_a_loader_that_is_not_known_is_told_nothing(guide: RecordedHost) -> None:
    guide.with_file(GRUB, 'GRUB_CMDLINE_LINUX_DEFAULT="iommu=pt quiet"\n')
    guide.with_file(KVM, "options kvm ignore_msrs=1\n")
    guide.with_file("/proc/cmdline", "quiet\n")
    plan = adopt_plan(guide.facts(), remove=True)
    assert edits(plan) == {KVM: None}
    assert [(each.code, each.params["reason"]) for each in plan.notes] == [
        ("adopt-not-safe", "loader: unknown")
    ]


def test_a_word_that_may_be_needed_is_not_taken_for_idle(guide: RecordedHost) -> None:
    """Without the kernel's configuration nobody knows whether the word switches the IOMMU on."""
    host = guide.as_intel_default_off()
    host.with_file(GRUB, 'GRUB_CMDLINE_LINUX_DEFAULT="quiet intel_iommu=on"\n')
    plan = adopt_plan(host.facts(), remove=False)
    assert parse_claims_file(edits(plan)[CLAIMS] or "").host_options == ("intel-iommu-on",)
    plan = adopt_plan(host.unreadable(f"/boot/config-{host.release}").facts(), remove=False)
    assert (plan.steps, codes(plan.notes)) == ((), ["adopt-refused"])
