"""The least change: which steps a host needs, and when it needs none."""

from __future__ import annotations

import pytest

from hostpci.checks.registry import run_checks
from hostpci.facts.claims import PATH as CLAIMS
from hostpci.facts.loader import GRUB_CONFIG
from hostpci.facts.settings import GRUB_DROPIN
from hostpci.model.facts import Loader
from hostpci.model.plan import BindStep, CommandStep, FileStep, Plan, Reboot
from hostpci.model.rule import rule_path, rule_text
from hostpci.planner.plan import make_plan, stale_images, why_not_now

from ..hosts import AUDIO, DEVICES, SLOT, VGA, RecordedHost
from ..loaders import grub_on_esp, systemd_boot_on_esp, with_efi, with_esps
from .support import (
    carry_out,
    claim_of,
    claimed,
    codes,
    identity,
    image_path,
    missing,
    next_boot,
    on_vfio,
    rebooted,
    released,
    with_block,
    with_class_device,
    with_mounts,
    with_rule,
    with_rule_in_image,
)

TWIN = "0000:02:00"
NOUVEAU = "gpu/drm/nouveau/nouveau"
SOUND = "sound/pci/hda/snd-hda-intel"


def plan_of(host: RecordedHost, *, now: bool = False) -> Plan:
    return make_plan(host.facts(), bind_now=now)


def step_codes(plan: Plan) -> list[str]:
    return [step.code for step in plan.steps]


def rebuild_of(host: RecordedHost) -> CommandStep:
    return CommandStep(
        code="initramfs-rebuild",
        argv=("update-initramfs", "-u", "-k", host.release),
        touches=(
            image_path(host),
            f"{image_path(host)}.new",
            f"{image_path(host)}.dpkg-bak",
            f"/var/lib/initramfs-tools/{host.release}",
        ),
    )


# the main job


def test_the_guides_host_needs_one_file_and_one_reboot(guide: RecordedHost) -> None:
    facts = claimed(guide).facts()
    assert make_plan(facts) == Plan(
        steps=(
            FileStep(
                code="rule-write",
                path="/etc/udev/rules.d/10-hostpci-0000-01-00.rules",
                before=None,
                after=rule_text(claim_of(facts)),
                mode=0o644,
            ),
        ),
        reboot=Reboot.ONE,
        can_bind_now=(SLOT,),
        pending=(VGA, AUDIO),
    )


def test_nothing_claimed_needs_nothing(guide: RecordedHost) -> None:
    assert plan_of(guide) == Plan(steps=())


def test_nothing_claimed_needs_nothing_even_where_the_iommu_is_off(guide: RecordedHost) -> None:
    assert plan_of(guide.as_intel_default_off()) == Plan(steps=())


def test_equal_hosts_have_equal_plans() -> None:
    assert plan_of(claimed(RecordedHost())) == plan_of(claimed(RecordedHost()))


def test_making_a_plan_changes_nothing(guide: RecordedHost) -> None:
    claimed(guide).with_modules_in_initramfs(NOUVEAU)
    before = repr(guide.data)
    plan_of(guide)
    assert repr(guide.data) == before


@pytest.mark.parametrize("inside", [(), (NOUVEAU,), (SOUND, NOUVEAU)])
def test_a_plan_that_was_carried_out_leaves_only_the_reboot(
    guide: RecordedHost, inside: tuple[str, ...]
) -> None:
    claimed(guide).with_modules_in_initramfs(*inside)
    after = plan_of(carry_out(guide, plan_of(guide)))
    assert after == Plan(steps=(), reboot=Reboot.ONE, can_bind_now=(SLOT,), pending=(VGA, AUDIO))
    assert plan_of(rebooted(guide)) == Plan(steps=())


def test_what_the_plan_writes_is_what_the_checks_want(guide: RecordedHost) -> None:
    carry_out(claimed(guide), plan_of(guide))
    found = {each.code: each.outcome.value for each in run_checks(guide.facts(), SLOT).findings}
    assert (found["persisted"], found["bound"]) == ("holds", "does-not-hold")
    found = {
        each.code: each.outcome.value for each in run_checks(rebooted(guide).facts(), SLOT).findings
    }
    assert (found["persisted"], found["bound"]) == ("holds", "holds")


def test_two_claims_have_two_rules_in_the_order_of_their_addresses(guide: RecordedHost) -> None:
    claimed(guide.with_twin(), TWIN, SLOT)
    plan = plan_of(guide)
    assert [step.path for step in plan.steps if isinstance(step, FileStep)] == [
        rule_path(SLOT),
        rule_path(TWIN),
    ]
    assert plan.pending == (VGA, AUDIO, f"{TWIN}.0", f"{TWIN}.1")
    assert plan_of(rebooted(carry_out(guide, plan))) == Plan(steps=())


def test_a_rule_that_somebody_edited_is_written_again(guide: RecordedHost) -> None:
    with_rule(claimed(guide), after_image_s=1)
    wanted = guide.data["files"][rule_path(SLOT)]
    guide.data["files"][rule_path(SLOT)] = edited = wanted.replace("10de", "1002")
    (step,) = plan_of(guide).steps
    assert isinstance(step, FileStep)
    assert (step.code, step.before, step.after) == ("rule-write", edited, wanted)


def test_a_card_that_is_bound_but_not_persisted_still_needs_its_rule(guide: RecordedHost) -> None:
    plan = plan_of(on_vfio(claimed(guide)))
    assert step_codes(plan) == ["rule-write"]
    assert (plan.reboot, plan.pending, plan.can_bind_now) == (Reboot.NONE, (), ())


def test_what_other_functions_do_does_not_wait_for_a_reboot(guide: RecordedHost) -> None:
    plan = plan_of(claimed(guide.with_driver("0000:00:1b.0", None).with_twin()))
    assert plan.pending == (VGA, AUDIO)


# the initramfs


@pytest.mark.parametrize(
    ("modules", "needed"),
    [
        ((), False),
        (("gpu/drm/amd/amdgpu", "ata/ahci", "vfio/pci/vfio-pci"), False),
        ((NOUVEAU,), True),
        ((SOUND,), True),
        (("gpu/drm/nouveau_extra",), False),
    ],
)
def test_an_initramfs_is_rebuilt_only_if_a_rival_is_inside(
    guide: RecordedHost, modules: tuple[str, ...], *, needed: bool
) -> None:
    claimed(guide).with_modules_in_initramfs(*modules)
    steps = plan_of(guide).steps
    assert steps[1:] == ((rebuild_of(guide),) if needed else ())


@pytest.mark.parametrize(
    ("rule_is_inside", "rule_after_image_s", "needed"),
    [(True, -1, False), (True, 0, False), (True, 1, True), (False, -1, True)],
)
def test_a_fresh_copy_of_our_rule_inside_makes_a_rival_harmless(
    guide: RecordedHost, rule_after_image_s: int, *, rule_is_inside: bool, needed: bool
) -> None:
    with_rule(claimed(guide), after_image_s=rule_after_image_s)
    guide.with_modules_in_initramfs(NOUVEAU)
    if rule_is_inside:
        with_rule_in_image(guide)
    assert plan_of(guide).steps == ((rebuild_of(guide),) if needed else ())


def test_a_copy_of_a_rule_that_this_plan_rewrites_is_not_fresh(guide: RecordedHost) -> None:
    with_rule_in_image(with_rule(claimed(guide), after_image_s=-1)).with_modules_in_initramfs(
        NOUVEAU
    )
    guide.data["files"][rule_path(SLOT)] += "# edited\n"
    assert step_codes(plan_of(guide)) == ["rule-write", "initramfs-rebuild"]


def test_the_rule_of_another_slot_inside_is_no_copy_of_ours(guide: RecordedHost) -> None:
    claimed(guide.with_twin(), SLOT, TWIN)
    with_rule(with_rule(guide, after_image_s=-1), TWIN, after_image_s=-1)
    with_rule_in_image(guide, TWIN).with_modules_in_initramfs(NOUVEAU)
    assert plan_of(guide).steps == (rebuild_of(guide),)


def test_every_image_is_judged_by_what_is_in_it(guide: RecordedHost) -> None:
    claimed(guide).with_file("/boot/initrd.img-9.9", "").with_file("/boot/vmlinuz-9.9", "")
    menu = guide.data["files"][GRUB_CONFIG].replace(guide.release, "9.9", 2)
    guide.with_file(GRUB_CONFIG, menu)
    guide.data["times"]["/boot/initrd.img-9.9"] = 1
    listing = "usr/lib/modules/9.9/kernel/drivers/gpu/drm/nouveau/nouveau.ko\n"
    guide.data["commands"].append(
        {"argv": ["lsinitramfs", "/boot/initrd.img-9.9"], "stdout": listing}
    )
    rebuilt = [step.argv[-1] for step in plan_of(guide).steps if isinstance(step, CommandStep)]
    assert rebuilt == ["9.9"]


def test_an_image_that_cannot_be_listed_is_not_rebuilt_on_suspicion(guide: RecordedHost) -> None:
    claimed(guide).data["commands"] = []
    assert step_codes(plan_of(guide)) == ["rule-write"]


# release


def test_a_released_slot_loses_its_rule_and_waits_for_the_host_driver(guide: RecordedHost) -> None:
    on_vfio(with_rule(claimed(guide), after_image_s=1))
    text = guide.data["files"][rule_path(SLOT)]
    assert plan_of(released(guide)) == Plan(
        steps=(FileStep(code="rule-remove", path=rule_path(SLOT), before=text, after=None),),
        reboot=Reboot.ONE,
        pending=(VGA, AUDIO),
    )


def test_a_released_slot_that_was_never_bound_needs_no_reboot(guide: RecordedHost) -> None:
    plan = plan_of(released(with_rule(claimed(guide), after_image_s=1)))
    assert (step_codes(plan), plan.reboot, plan.pending) == (["rule-remove"], Reboot.NONE, ())


def test_an_image_that_holds_the_rule_of_a_released_slot_is_rebuilt(guide: RecordedHost) -> None:
    with_rule_in_image(with_rule(claimed(guide), after_image_s=-1))
    plan = plan_of(released(guide))
    assert step_codes(plan) == ["rule-remove", "initramfs-rebuild"]
    assert plan.steps[1] == rebuild_of(guide)
    carry_out(guide, plan)
    assert plan_of(guide) == Plan(steps=())
    assert stale_images(guide.facts()) == ()


def test_an_image_is_rebuilt_also_when_the_rule_on_the_root_is_gone_already(
    guide: RecordedHost,
) -> None:
    assert plan_of(with_rule_in_image(guide)).steps == (rebuild_of(guide),)


def test_releasing_one_of_two_claims_keeps_the_other(guide: RecordedHost) -> None:
    claimed(guide.with_twin(), SLOT, TWIN)
    rebooted(carry_out(guide, plan_of(guide)))
    claimed(released(guide), TWIN)
    plan = plan_of(guide)
    assert [getattr(step, "path", "") for step in plan.steps] == [rule_path(SLOT)]
    assert plan.pending == (VGA, AUDIO)
    carry_out(guide, plan)
    assert next_boot(guide)[f"{TWIN}.0"] == "vfio-pci"
    assert next_boot(guide)[VGA] != "vfio-pci"


# now


def test_binding_now_moves_every_function_and_needs_no_reboot(guide: RecordedHost) -> None:
    plan = plan_of(claimed(guide), now=True)
    assert step_codes(plan) == ["rule-write", "bind-now", "bind-now"]
    assert plan.steps[1:] == (
        BindStep(
            code="bind-now",
            address=VGA,
            identity=identity("10de:2d04:10b0:205e"),
            from_driver=None,
        ),
        BindStep(
            code="bind-now",
            address=AUDIO,
            identity=identity("10de:22eb:10b0:205e"),
            from_driver="snd_hda_intel",
        ),
    )
    assert (plan.reboot, plan.pending, plan.can_bind_now) == (Reboot.NONE, (), ())
    assert plan_of(carry_out(guide, plan), now=True) == Plan(steps=())


def test_a_function_that_is_bound_already_is_not_moved(guide: RecordedHost) -> None:
    plan = plan_of(claimed(guide).with_driver(VGA, "vfio-pci"), now=True)
    assert [step.address for step in plan.steps if isinstance(step, BindStep)] == [AUDIO]


@pytest.mark.parametrize("driver", [None, "snd_hda_intel", "xhci_hcd", "pci-stub"])
def test_a_driver_that_lets_go_can_be_moved_now(guide: RecordedHost, driver: str | None) -> None:
    assert plan_of(claimed(guide.with_driver(VGA, driver))).can_bind_now == (SLOT,)


def with_console(host: RecordedHost) -> RecordedHost:
    host.data["files"][f"{DEVICES}/{VGA}/boot_vga"] = "1\n"
    return host


def with_frame_buffer(host: RecordedHost) -> RecordedHost:
    path = f"pci0000:00/0000:00:08.0/{VGA}/graphics/fb1"
    return with_class_device(host, "graphics", "fb1", path)


def with_display(host: RecordedHost) -> RecordedHost:
    return with_class_device(host, "drm", "card1", f"pci0000:00/0000:00:08.0/{VGA}/drm/card1")


def with_keyboard(host: RecordedHost) -> RecordedHost:
    path = f"pci0000:00/0000:00:08.0/{VGA}/usb1/1-1/1-1:1.0/input/input9"
    host.with_driver(VGA, "xhci_hcd").without("/sys/class/input/input9/name")
    return with_class_device(host, "input", "input9", path)


def with_idle_disk(host: RecordedHost) -> RecordedHost:
    path = f"pci0000:00/0000:00:08.0/{VGA}/usb1/1-1/host9/block/sdz"
    return with_block(host.with_driver(VGA, "xhci_hcd"), "sdz", path)


def with_sound_held(host: RecordedHost) -> RecordedHost:
    """Held open, and its owner has accepted what that means for the next boot."""
    host.data["holders"]["/dev/snd/pcmC1D3p"] = ["mpv[4711]"]
    host.data["files"][CLAIMS] += 'accept = ["in-use-by-host"]\n'
    return host


def with_nouveau(host: RecordedHost) -> RecordedHost:
    return host.with_driver(VGA, "nouveau")


@pytest.mark.parametrize(
    ("change", "code", "subject", "params"),
    [
        (with_nouveau, "bind-now-driver", VGA, {"driver": "nouveau"}),
        (with_console, "bind-now-in-use", VGA, {"use": "console boot-vga"}),
        (with_frame_buffer, "bind-now-in-use", VGA, {"use": "console fb1"}),
        (with_display, "bind-now-in-use", VGA, {"use": "display card1"}),
        (with_keyboard, "bind-now-in-use", VGA, {"use": "input input9"}),
        (with_idle_disk, "bind-now-in-use", VGA, {"use": "disk sdz"}),
        (with_sound_held, "bind-now-in-use", AUDIO, {"use": "sound card1"}),
        *(
            (lambda h, d=driver: h.with_driver(VGA, d), "bind-now-driver", VGA, {"driver": driver})
            for driver in ("nvidia", "amdgpu", "i915", "xe", "radeon", "ast", "ahci", "nvme")
        ),
    ],
)  # fmt: skip
def test_what_does_not_let_go_is_not_moved_on_a_running_host(
    guide: RecordedHost, change: object, code: str, subject: str, params: dict[str, str]
) -> None:
    assert callable(change)
    host: RecordedHost = change(claimed(guide))
    plan = plan_of(host, now=True)
    assert plan.steps == ()
    assert [(each.code, each.subject, each.params, each.blocks) for each in plan.refusals] == [
        (code, subject, params, True)
    ]
    later = plan_of(host)
    assert (step_codes(later), later.can_bind_now, later.reboot) == (["rule-write"], (), Reboot.ONE)


def test_who_holds_the_sound_card_is_named(guide: RecordedHost) -> None:
    (refusal,) = plan_of(with_sound_held(claimed(guide)), now=True).refusals
    assert refusal.evidence == ("mpv[4711]",)


def test_a_function_on_vfio_is_nobodys_even_if_something_hangs_below_it(
    guide: RecordedHost,
) -> None:
    host = with_console(on_vfio(claimed(guide)))
    facts = host.facts()
    assert why_not_now(facts, claim_of(facts)) is None


def test_one_slot_that_cannot_move_stops_the_others_too(guide: RecordedHost) -> None:
    claimed(guide.with_twin(), SLOT, TWIN).with_driver(f"{TWIN}.0", "nouveau")
    plan = plan_of(guide, now=True)
    assert plan.steps == ()
    assert codes(plan.refusals) == ["bind-now-driver"]
    assert plan_of(guide).can_bind_now == (SLOT,)


# an Intel host whose kernel leaves the IOMMU off


def claimed_intel(host: RecordedHost) -> RecordedHost:
    return claimed(host).as_intel_default_off()


def test_an_intel_iommu_is_switched_on_by_a_file_of_our_own(guide: RecordedHost) -> None:
    plan = plan_of(claimed_intel(guide))
    assert step_codes(plan) == ["rule-write", "grub-words", "grub-update"]
    _, dropin, update = plan.steps
    assert isinstance(dropin, FileStep)
    assert isinstance(update, CommandStep)
    assert (dropin.path, dropin.before) == (GRUB_DROPIN, None)
    assert dropin.after is not None
    assert dropin.after.splitlines()[-1] == (
        'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT intel_iommu=on"'
    )
    assert (update.argv[0], update.touches) == ("grub-mkconfig", (GRUB_CONFIG,))
    assert (plan.reboot, plan.can_bind_now) == (Reboot.ONE, ())


def test_an_intel_iommu_that_is_switched_on_waits_for_the_reboot_only(guide: RecordedHost) -> None:
    claimed_intel(guide)
    plan = plan_of(carry_out(guide, plan_of(guide)))
    assert (plan.steps, plan.reboot) == ((), Reboot.ONE)


def test_a_drop_in_that_somebody_edited_is_written_again(guide: RecordedHost) -> None:
    claimed_intel(guide).with_file(GRUB_DROPIN, "# mine\n")
    (dropin,) = (step for step in plan_of(guide).steps if step.code == "grub-words")
    assert isinstance(dropin, FileStep)
    assert dropin.before == "# mine\n"


def test_binding_now_is_refused_while_the_iommu_is_off(guide: RecordedHost) -> None:
    plan = plan_of(claimed_intel(guide), now=True)
    assert (plan.steps, codes(plan.refusals)) == ((), ["bind-now-iommu-off"])


def with_systemd_boot(host: RecordedHost) -> RecordedHost:
    host.with_file("/proc/cmdline", "initrd=\\x\\initrd.img root=/dev/vda2 quiet\n")
    return with_efi(host, "systemd-boot 257")


def with_no_loader(host: RecordedHost) -> RecordedHost:
    return missing(host, GRUB_CONFIG)


@pytest.mark.parametrize(
    ("change", "loader"),
    [
        (with_systemd_boot, Loader.SYSTEMD_BOOT),
        (with_no_loader, Loader.UNKNOWN),
    ],
)
def test_a_loader_that_is_not_edited_yet_is_refused_only_where_it_is_needed(
    guide: RecordedHost, change: object, loader: Loader
) -> None:
    assert callable(change)
    change(claimed(guide))
    assert step_codes(plan_of(guide)) == ["rule-write"]
    plan = plan_of(guide.as_intel_default_off())
    assert plan.steps == ()
    assert [(each.code, each.params["loader"]) for each in plan.refusals] == [
        ("loader-unsupported", loader)
    ]
    assert (plan.reboot, plan.pending, plan.can_bind_now) == (Reboot.NONE, (), ())


# refusals


@pytest.mark.parametrize("now", [False, True])
def test_a_card_that_was_exchanged_stops_everything(guide: RecordedHost, *, now: bool) -> None:
    claimed(guide.with_twin(), SLOT, TWIN).with_identity(VGA, device="2882")
    plan = plan_of(guide, now=now)
    assert (plan.steps, codes(plan.refusals)) == ((), ["identity"])


def test_a_finding_about_the_host_is_told_once_for_two_claims(guide: RecordedHost) -> None:
    claimed(guide.with_twin(), SLOT, TWIN).without_remapping()
    plan = plan_of(guide)
    assert (plan.steps, codes(plan.refusals)) == ((), ["interrupt-remapping"])


def test_findings_about_two_claims_are_told_for_each(guide: RecordedHost) -> None:
    claimed(guide.with_twin(), SLOT, TWIN)
    guide.with_group("0000:00:04.0", 8).with_group("0000:00:03.0", 42)
    plan = plan_of(guide)
    assert plan.steps == ()
    assert [(each.code, each.subject) for each in plan.refusals] == [
        ("group-shared", "0000:00:04.0"),
        ("group-shared", "0000:00:03.0"),
    ]


def test_a_mounted_disk_behind_the_card_stops_everything(guide: RecordedHost) -> None:
    path = f"pci0000:00/0000:00:08.0/{VGA}/usb2/host9/block/sdz"
    with_mounts(with_block(claimed(guide), "sdz", path), "/dev/sdz / ext4 rw 0 0")
    assert (plan_of(guide).steps, codes(plan_of(guide).refusals)) == ((), ["host-needs-it"])


def test_a_host_that_claims_nothing_is_never_refused(guide: RecordedHost) -> None:
    assert plan_of(guide.without_iommu(), now=True) == Plan(steps=())


# what is not thought of yet


@pytest.mark.parametrize("make", [systemd_boot_on_esp, grub_on_esp])
def test_an_image_that_is_booted_from_copies_is_rebuilt_and_then_copied(
    guide: RecordedHost, make: object
) -> None:
    """The kernel boots the copy on the ESP, and a hook of proxmox-kernel-helper may have failed."""
    assert callable(make)
    make(claimed(guide)).with_modules_in_initramfs(NOUVEAU)
    assert step_codes(plan_of(guide)) == ["rule-write", "initramfs-rebuild", "esp-refresh"]
    with_esps(guide, {}, missing=["AAAA-1111"])
    assert codes(plan_of(guide).refusals) == ["esp-none"]


@pytest.mark.parametrize("make", [systemd_boot_on_esp, grub_on_esp])
def test_a_claim_alone_touches_no_boot_partition(guide: RecordedHost, make: object) -> None:
    assert callable(make)
    make(claimed(guide))
    assert step_codes(plan_of(guide)) == ["rule-write"]


def test_an_image_that_systemd_boot_boots_from_its_own_copy_is_refused(
    guide: RecordedHost,
) -> None:
    with_systemd_boot(claimed(guide)).with_modules_in_initramfs(NOUVEAU)
    assert codes(plan_of(guide).refusals) == ["loader-boots-copies"]


def test_the_word_of_an_intel_host_goes_through_its_boot_partitions(guide: RecordedHost) -> None:
    systemd_boot_on_esp(claimed_intel(guide))
    assert step_codes(plan_of(guide)) == ["rule-write", "cmdline-words", "esp-refresh"]


def test_a_word_with_more_values_is_not_added_a_second_time(guide: RecordedHost) -> None:
    plan = plan_of(claimed_intel(guide).with_command_line("intel_iommu=on,sm_on"))
    assert "grub-words" not in step_codes(plan)


def test_a_released_card_that_is_still_on_vfio_still_waits_for_the_reboot(
    guide: RecordedHost,
) -> None:
    on_vfio(with_rule(claimed(guide), after_image_s=1))
    carry_out(released(guide), plan_of(released(guide)))
    assert plan_of(guide).reboot is Reboot.ONE


@pytest.mark.parametrize("override", ["(null)", "nouveau"])
def test_a_card_that_pve_put_on_vfio_waits_for_nothing(guide: RecordedHost, override: str) -> None:
    """PVE binds through new_id at VM start and leaves the override as it was."""
    for address in (VGA, AUDIO):
        guide.with_driver(address, "vfio-pci")
        guide.data["files"][f"{DEVICES}/{address}/driver_override"] = f"{override}\n"
    assert plan_of(guide) == Plan(steps=())


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/driverctl.d/0000:01:00.1", "vfio-pci\n"),
        ("/etc/udev/rules.d/99-vfio.rules", 'ATTR{driver_override}="vfio-pci"\n'),
    ],
)
def test_a_card_that_another_tool_keeps_on_vfio_does_not_wait_for_us(
    guide: RecordedHost, path: str, text: str
) -> None:
    assert AUDIO not in plan_of(on_vfio(guide).with_file(path, text)).pending


def test_an_image_that_cannot_be_listed_is_told_in_the_plan(guide: RecordedHost) -> None:
    listed = plan_of(claimed(guide))
    guide.data["commands"] = []
    assert plan_of(guide) != listed


def test_an_image_that_no_loader_boots_by_default_stays_as_it_is(guide: RecordedHost) -> None:
    """Pinned away, the highest version is only the way back."""
    claimed(guide).with_file("/boot/initrd.img-9.9", "").with_file("/boot/vmlinuz-9.9", "")
    guide.data["times"]["/boot/initrd.img-9.9"] = 1
    listing = "usr/lib/modules/9.9/kernel/drivers/gpu/drm/nouveau/nouveau.ko\n"
    guide.data["commands"].append(
        {"argv": ["lsinitramfs", "/boot/initrd.img-9.9"], "stdout": listing}
    )
    assert step_codes(plan_of(guide)) == ["rule-write"]
