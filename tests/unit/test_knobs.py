"""Each knob writes exactly what it stands for, and is refused where the facts contradict it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from hostpci.checks.knobs import against
from hostpci.errors import RefusedError, ToolError, UsageError
from hostpci.facts.claims import PATH as CLAIMS
from hostpci.facts.claims import parse_claims_file, with_claim, with_host_options
from hostpci.facts.settings import GRUB_DROPIN
from hostpci.i18n import Catalog
from hostpci.model.finding import Finding
from hostpci.model.knob import KNOBS, MODPROBE_CONF, MODULES_CONF, Scope, turned
from hostpci.model.plan import CommandStep, FileStep, Plan, Reboot
from hostpci.planner.knobstates import knob_states
from hostpci.planner.plan import make_plan
from hostpci.planner.turn import set_step, unset_step
from hostpci.render.knobs import render_knobs

from ..hosts import DEVICES, SLOT, VGA, RecordedHost
from ..loaders import CMDLINE, ROOT, systemd_boot_on_esp
from .support import carry_out, claim_of, image_time, on_vfio, with_rule
from .test_leftovers import as_pve

Variation = Callable[[RecordedHost], RecordedHost]


def same(host: RecordedHost) -> RecordedHost:
    return host


def intel(host: RecordedHost) -> RecordedHost:
    return host.as_intel_default_off()


def boot_vga(host: RecordedHost) -> RecordedHost:
    host.data["files"][f"{DEVICES}/{VGA}/boot_vga"] = "1\n"
    return host


def pve_with_shared_group(host: RecordedHost) -> RecordedHost:
    return as_pve(host).with_twin(group=9).with_group("0000:02:00.0", 8)


def claimed_with(host: RecordedHost, *options: str, accept: tuple[str, ...] = ()) -> RecordedHost:
    """The card is claimed and its claim carried out; the options are what is left to do."""
    plain = claim_of(host.facts())
    host.with_file(CLAIMS, with_claim(None, plain))
    on_vfio(with_rule(host, after_image_s=-1))
    owned = replace(plain, options=options, accept=accept)
    return host.with_file(CLAIMS, with_claim(None, owned))


def host_with(host: RecordedHost, *options: str) -> RecordedHost:
    text = with_host_options(host.facts().claims.text, options)
    assert text is not None
    return host.with_file(CLAIMS, text)


def turned_on(host: RecordedHost, option: str) -> RecordedHost:
    name = option.partition("=")[0]
    scope = {knob.name: knob.scope for knob in KNOBS}[name]
    return host_with(host, option) if scope is Scope.HOST else claimed_with(host, option)


# option, the host that it is for, the file, the one line that is added there
WRITES: list[tuple[str, Variation, str, str]] = [
    ("intel-iommu-on", intel, GRUB_DROPIN, "intel_iommu=on"),
    ("iommu-pt", same, GRUB_DROPIN, "iommu=pt"),
    ("acs-override=downstream", pve_with_shared_group, GRUB_DROPIN, "pcie_acs_override=downstream"),
    (
        "acs-override=id:8086:a33c,multifunction", pve_with_shared_group, GRUB_DROPIN,
        "pcie_acs_override=id:8086:a33c,multifunction",
    ),
    ("sysfb-off", boot_vga, GRUB_DROPIN, "initcall_blacklist=sysfb_init"),
    ("vfio-modules", same, MODULES_CONF, "vfio\nvfio_iommu_type1\nvfio_pci"),
    ("vfio-modules=vfio_pci", same, MODULES_CONF, "vfio_pci"),
    ("bind-by-ids", same, MODPROBE_CONF, "options vfio-pci ids=10de:2d04,10de:22eb"),
    ("disable-vga", same, MODPROBE_CONF, "options vfio-pci disable_vga=1"),
    ("disable-idle-d3", same, MODPROBE_CONF, "options vfio-pci disable_idle_d3=1"),
    ("blacklist=nouveau", same, MODPROBE_CONF, "blacklist nouveau"),
    ("blacklist=nouveau,nvidia", same, MODPROBE_CONF, "blacklist nouveau\nblacklist nvidia"),
    ("softdep=nouveau", same, MODPROBE_CONF, "softdep nouveau pre: vfio-pci"),
    (
        "unsafe-interrupts", RecordedHost.without_remapping, MODPROBE_CONF,
        "options vfio_iommu_type1 allow_unsafe_interrupts=1",
    ),
    ("kvm-ignore-msrs", same, MODPROBE_CONF, "options kvm ignore_msrs=1"),
    ("kvm-quiet-msrs", same, MODPROBE_CONF, "options kvm report_ignored_msrs=0"),
]  # fmt: skip


def added(step: FileStep) -> list[str]:
    before = (step.before or "").splitlines()
    lines = [line for line in (step.after or "").splitlines() if line not in before]
    return [line for line in lines if not line.startswith("#")]


@pytest.mark.parametrize(("option", "on", "path", "lines"), WRITES, ids=lambda v: str(v)[:30])
def test_a_knob_changes_exactly_what_it_stands_for(
    guide: RecordedHost, option: str, on: Variation, path: str, lines: str
) -> None:
    plan = make_plan(turned_on(on(guide), option).facts())
    assert plan.refusals == ()
    files = [step for step in plan.steps if isinstance(step, FileStep)]
    commands = [step.argv[0] for step in plan.steps if isinstance(step, CommandStep)]
    assert [step.path for step in files] == [path]
    assert commands == (["grub-mkconfig"] if path == GRUB_DROPIN else [])
    if path == GRUB_DROPIN:
        assert added(files[0]) == [
            f'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT {lines}"'
        ]
    else:
        assert added(files[0]) == lines.splitlines()


@pytest.mark.parametrize(("option", "on", "path", "lines"), WRITES, ids=lambda v: str(v)[:30])
def test_after_it_nothing_is_left_to_do_and_turned_back_nothing_stays(
    guide: RecordedHost, option: str, on: Variation, path: str, lines: str
) -> None:
    host = on(guide)
    if turned(option).knob.scope is Scope.CLAIM:
        before = make_plan(claimed_with(host).facts())
    else:
        before = make_plan(host.facts())
    assert before.steps == ()
    host = turned_on(host, option)
    carry_out(host, make_plan(host.facts()))
    assert lines.splitlines()[0] in host.data["files"][path]
    left = make_plan(host.facts())
    assert [each for each in left.steps if isinstance(each, FileStep)] == []
    slot = SLOT if turned(option).knob.scope is Scope.CLAIM else ""
    step = unset_step(host.facts(), turned(option).name, slot)
    carry_out(host, Plan(steps=(step,)))
    carry_out(host, make_plan(host.facts()))
    assert path not in host.data["files"]


def test_the_table_covers_every_knob() -> None:
    written = {turned(option).name for option, _, _, _ in WRITES}
    assert written | {"initramfs-all", "pin-nic-names", "while-vm", "keep-hook"} == {
        knob.name for knob in KNOBS
    }


# refusals


def _intel_on(host: RecordedHost) -> RecordedHost:
    cpu = host.data["files"]["/proc/cpuinfo"].replace("AuthenticAMD", "GenuineIntel")
    return host.with_file("/proc/cpuinfo", cpu)


def _only_display(host: RecordedHost) -> RecordedHost:
    for each in host.facts().inventory.functions:
        if each.is_display and each.slot != SLOT:
            host.without_device(each.slot)
    return boot_vga(host)


def _no_chips(host: RecordedHost) -> RecordedHost:
    for path in [each for each in host.data["files"] if each.endswith("/chip_name")]:
        host.data["files"][path] = "odd\n"
    return host


@pytest.mark.parametrize(
    ("option", "on", "code"),
    [
        ("intel-iommu-on", same, "knob-not-intel"),
        ("intel-iommu-on", _intel_on, "knob-intel-default-on"),
        (
            "intel-iommu-on",
            lambda host: intel(host).unreadable(f"/boot/config-{host.release}"),
            "knob-intel-default-on",
        ),
        (
            "iommu-pt",
            lambda host: host.with_file("/sys/module/kvm_amd/parameters/sev_snp", "Y\n"),
            "knob-pt-snp",
        ),
        ("acs-override=downstream", same, "knob-acs-no-patch"),
        ("acs-override=downstream", as_pve, "knob-acs-clean"),
        ("sysfb-off", same, "knob-sysfb-not-boot-vga"),
        ("sysfb-off", _only_display, "knob-sysfb-only-console"),
        ("vfio-modules=vfio_virqfd", as_pve, ""),
        ("vfio-modules=vfio_mdev", same, "knob-module-missing"),
        (
            "vfio-modules",
            lambda host: host.unreadable(f"/lib/modules/{host.release}/modules.dep"),
            "knob-module-missing",
        ),
        ("bind-by-ids", RecordedHost.with_twin, "knob-ids-twin"),
        ("blacklist=snd_hda_intel", same, "knob-blacklist-needed"),
        ("blacklist", same, "knob-blacklist-needed"),
        ("blacklist=nouveau", lambda host: host.with_twin(), "knob-blacklist-needed"),
        ("unsafe-interrupts", same, "knob-remapping-on"),
        ("unsafe-interrupts", _no_chips, "knob-remapping-on"),
    ],
)
def test_a_knob_that_the_facts_contradict_is_refused(
    guide: RecordedHost, option: str, on: Variation, code: str
) -> None:
    host = on(guide)
    if "twin" in code or option == "blacklist=nouveau":
        host.with_driver("0000:02:00.0", "nouveau")
    facts = (claimed_with(host) if _of_claim(option) else host).facts()
    slot = SLOT if _of_claim(option) else ""
    found = [each.code for each in against(facts, turned(option, slot)) if each.blocks]
    assert found[:1] == ([code] if code else [])
    if code:
        with pytest.raises(RefusedError) as caught:
            set_step(facts, option, slot)
        assert caught.value.params["reason"] == code
        plan = make_plan(turned_on(host, option).facts())
        assert code in [each.code for each in plan.refusals]
        assert plan.steps == ()


def _of_claim(option: str) -> bool:
    return turned(option).knob.scope is Scope.CLAIM


def test_losing_the_only_console_can_be_accepted_by_name(guide: RecordedHost) -> None:
    host = claimed_with(_only_display(guide), "sysfb-off", accept=("boot-vga-only",))
    plan = make_plan(host.facts())
    assert "knob-sysfb-only-console" not in [each.code for each in plan.refusals]


def test_an_override_that_is_active_does_not_contradict_itself(guide: RecordedHost) -> None:
    """Once it acts the groups are clean, by its word alone."""
    as_pve(guide).with_command_line("pcie_acs_override=downstream")
    assert list(against(guide.facts(), turned("acs-override=downstream"))) == []


def test_the_override_shows_the_groups_it_is_about(guide: RecordedHost) -> None:
    host = host_with(pve_with_shared_group(guide), "acs-override=downstream")
    (note,) = [each for each in make_plan(host.facts()).notes if each.code == "knob-acs-asserted"]
    assert note.evidence == ("group 8: 0000:01:00.0 0000:01:00.1 0000:02:00.0",)


def test_accepted_interrupts_stop_the_refusal_of_the_missing_remapping(
    guide: RecordedHost,
) -> None:
    host = claimed_with(guide.without_remapping())
    assert [each.code for each in make_plan(host.facts()).refusals] == ["interrupt-remapping"]
    plan = make_plan(host_with(host, "unsafe-interrupts").facts())
    assert plan.refusals == ()
    assert [step.path for step in plan.steps if isinstance(step, FileStep)] == [MODPROBE_CONF]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('[host]\noptions = ["warp-drive"]\n', "knob-unknown"),
        ('[host]\noptions = ["blacklist"]\n', "knob-misplaced"),
        ('[host]\noptions = ["iommu-pt=yes"]\n', "knob-value"),
        ('[host]\noptions = ["acs-override"]\n', "knob-value"),
        ('[host]\noptions = ["acs-override=everything"]\n', "knob-value"),
        ('[host]\noptions = ["vfio-modules=../x"]\n', "knob-value"),
    ],
)
def test_a_file_that_asks_for_what_is_not_there_is_refused(
    guide: RecordedHost, text: str, code: str
) -> None:
    plan = make_plan(guide.with_file(CLAIMS, text).facts())
    assert [each.code for each in plan.refusals] == [code]


@pytest.mark.parametrize(
    ("option", "slot", "code"),
    [
        ("warp-drive", "", "no-such-knob"),
        ("disable-vga", SLOT, "knob-of-the-host"),
        ("softdep", "", "knob-needs-address"),
        ("acs-override", "", "knob-bad-value"),
        ("iommu-pt=1", "", "knob-bad-value"),
        ("iommu-pt=", "", "knob-bad-value"),
        ("softdep", "0000:02:00", "not-claimed"),
    ],
)
def test_words_that_say_nothing_are_refused(
    guide: RecordedHost, option: str, slot: str, code: str
) -> None:
    with pytest.raises(UsageError) as caught:
        set_step(guide.facts(), option, slot)
    assert caught.value.code == code


# the claims file


def test_setting_and_unsetting_leave_the_file_as_it_was(guide: RecordedHost) -> None:
    host = claimed_with(guide)
    before = host.data["files"][CLAIMS]
    for option, slot in (("iommu-pt", ""), ("softdep", SLOT)):
        carry_out(host, Plan(steps=(_set(host, option, slot),)))
    found = parse_claims_file(host.data["files"][CLAIMS])
    assert (found.host_options, found.claims[0].options) == (("iommu-pt",), ("softdep",))
    assert set_step(host.facts(), "softdep", SLOT) is None
    for name, slot in (("softdep", SLOT), ("iommu-pt", "")):
        carry_out(host, Plan(steps=(unset_step(host.facts(), name, slot),)))
    assert host.data["files"][CLAIMS] == before
    with pytest.raises(ToolError, match="knob-not-set"):
        unset_step(host.facts(), "iommu-pt", "")


def _set(host: RecordedHost, option: str, slot: str = "") -> FileStep:
    step = set_step(host.facts(), option, slot)
    assert step is not None
    return step


def test_a_value_takes_the_place_of_the_one_before(guide: RecordedHost) -> None:
    host = host_with(guide, "vfio-modules=vfio", "iommu-pt")
    step = _set(host, "vfio-modules=vfio_pci")
    assert parse_claims_file(step.after or "").host_options == ("vfio-modules=vfio_pci", "iommu-pt")


# the initramfs


def rebuilt(host: RecordedHost) -> list[str]:
    steps = make_plan(host.facts()).steps
    return [s.argv[-1] for s in steps if isinstance(s, CommandStep) and "initramfs" in s.argv[0]]


def with_options_in_image(host: RecordedHost) -> RecordedHost:
    return host.with_initramfs_lines("etc/modprobe.d/hostpci.conf")


def test_options_go_into_an_image_only_where_their_module_is(guide: RecordedHost) -> None:
    host = host_with(guide, "disable-vga", "kvm-ignore-msrs")
    assert rebuilt(host) == []
    assert rebuilt(host.with_modules_in_initramfs("vfio/pci/vfio-pci")) == [host.release]


def test_an_image_with_the_options_of_now_is_left_alone(guide: RecordedHost) -> None:
    host = host_with(guide, "disable-vga").with_modules_in_initramfs("vfio-pci")
    carry_out(host, make_plan(host.facts()))
    with_options_in_image(host)
    host.data["times"][MODPROBE_CONF] = image_time(host) - 1
    assert rebuilt(host) == []
    host.data["times"][MODPROBE_CONF] = image_time(host) + 1
    assert rebuilt(host) == [host.release]


def test_options_that_go_are_taken_out_of_an_image_where_they_act(guide: RecordedHost) -> None:
    host = host_with(guide, "disable-vga").with_modules_in_initramfs("vfio-pci")
    carry_out(host, make_plan(host.facts()))
    with_options_in_image(host)
    host.without(CLAIMS)
    assert rebuilt(host) == [host.release]


def test_options_that_go_but_never_acted_in_an_image_cost_no_rebuild(guide: RecordedHost) -> None:
    host = host_with(guide, "kvm-ignore-msrs")
    carry_out(host, make_plan(host.facts()))
    with_options_in_image(host).without(CLAIMS)
    assert rebuilt(host) == []


def test_every_image_is_built_where_that_was_asked_for(guide: RecordedHost) -> None:
    host = claimed_with(guide)
    assert rebuilt(host) == []
    host = host_with(host, "initramfs-all")
    plan = make_plan(host.facts())
    assert rebuilt(host) == [host.release]
    assert "knob-no-known-good" in [each.code for each in plan.notes]


# what is shown

_IGNORE_MSRS = "/sys/module/kvm/parameters/ignore_msrs"


def test_a_word_waits_for_the_reboot_and_then_no_more(guide: RecordedHost) -> None:
    host = host_with(guide, "iommu-pt")
    plan = make_plan(host.facts())
    assert (plan.reboot, plan.pending) == (Reboot.ONE, ("iommu=pt",))
    carry_out(host, plan)
    host.with_command_line("iommu=pt")
    assert make_plan(host.facts()).pending == ()


@pytest.mark.parametrize(
    ("shown", "waits"), [(None, ()), ("N\n", ("kvm.ignore_msrs=1",)), ("Y\n", ())]
)
def test_a_parameter_waits_only_where_its_module_is_loaded_without_it(
    guide: RecordedHost, shown: str | None, waits: tuple[str, ...]
) -> None:
    host = host_with(guide, "kvm-ignore-msrs").without(_IGNORE_MSRS)
    if shown is not None:
        host.with_file(_IGNORE_MSRS, shown)
    assert make_plan(host.facts()).pending == waits


def state(host: RecordedHost, name: str) -> tuple[str | None, bool | None, bool | None]:
    found = [each for each in knob_states(host.facts(), SLOT).knobs if each.name == name]
    return found[0].set_to, found[0].active, found[0].persisted


def test_the_three_states_of_a_knob_are_told_apart(guide: RecordedHost) -> None:
    assert state(guide, "iommu-pt") == (None, False, False)
    assert state(guide, "kvm-ignore-msrs") == (None, False, False)
    assert state(guide.without(_IGNORE_MSRS), "kvm-ignore-msrs") == (None, None, False)
    guide.with_file(_IGNORE_MSRS, "Y\n")
    guide.with_command_line("iommu=pt")
    assert state(guide, "iommu-pt") == (None, True, False)
    assert state(guide, "kvm-ignore-msrs") == (None, True, False)
    host = host_with(guide, "kvm-ignore-msrs")
    carry_out(host, make_plan(host.facts()))
    assert state(host, "kvm-ignore-msrs") == ("kvm-ignore-msrs", True, True)


def test_a_line_that_somebody_else_wrote_is_shown_with_its_knob(guide: RecordedHost) -> None:
    guide.with_file("/etc/modprobe.d/kvm.conf", "options kvm ignore_msrs=1\n")
    found = [each for each in knob_states(guide.facts()).knobs if each.name == "kvm-ignore-msrs"]
    assert found[0].by_hand == ("/etc/modprobe.d/kvm.conf:1: options kvm ignore_msrs=1",)
    assert found[0].persisted


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_every_knob_says_its_reason_what_it_does_its_risk_and_its_undo(
    guide: RecordedHost, language: str
) -> None:
    catalog = Catalog(language)
    text = "\n".join(line for line, _ in render_knobs(knob_states(guide.facts(), SLOT), catalog))
    for knob in KNOBS:
        assert f"{knob.name}: {catalog.text(f'knob.{knob.name}')}" in text
        for aspect in ("reason", "does", "risk", "undo"):
            assert catalog.text(f"knob.{knob.name}.{aspect}") in text


def test_what_speaks_against_a_knob_is_shown_before_it_is_set(guide: RecordedHost) -> None:
    found: list[Finding] = [
        finding for each in knob_states(guide.facts(), SLOT).knobs for finding in each.against
    ]
    assert {each.code for each in found} >= {
        "knob-not-intel", "knob-acs-no-patch", "knob-sysfb-not-boot-vga", "knob-remapping-on",
        "knob-blacklist-needed",
    }  # fmt: skip


GRUB = "/etc/default/grub"


@pytest.mark.parametrize(("path", "is_read"), [(GRUB, False), (CMDLINE, True)])
def test_a_word_in_a_file_that_the_loader_does_not_read_is_not_in_the_next_boot(
    guide: RecordedHost,
    path: str,
    is_read: bool,  # noqa: FBT001
) -> None:
    texts = {GRUB: 'GRUB_CMDLINE_LINUX="iommu=pt"\n', CMDLINE: f"{ROOT} iommu=pt\n"}
    host = systemd_boot_on_esp(guide).with_file(path, texts[path])
    (state,) = [each for each in knob_states(host.facts()).knobs if each.name == "iommu-pt"]
    assert len(state.by_hand) == 1
    assert state.persisted is is_read


def test_where_the_loader_is_not_known_the_next_boot_s_words_are_not_either(
    guide: RecordedHost,
) -> None:
    host = guide.with_file("/proc/cmdline", "quiet\n")
    (state,) = [each for each in knob_states(host.facts()).knobs if each.name == "iommu-pt"]
    assert state.persisted is None
