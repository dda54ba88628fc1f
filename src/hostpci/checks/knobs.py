"""Do the facts of this host speak against a knob? Each question is a function of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from ..model.facts import Facts
from ..model.finding import Finding, Level
from ..model.knob import Scope, Turned, knob_named, turned_knobs
from ..model.pci import LETS_GO, VFIO, PciFunction
from ..model.risk import Risk
from .consent import weighed
from .say import fails, unknown

Question = Callable[[Facts, Turned], Iterable[Finding]]

_VGA_CLASS = 0x0300


def check_knobs(facts: Facts, slot: str) -> Iterator[Finding]:
    """What speaks against the knobs that are set, of the host and of this slot."""
    for each in turned_knobs(facts.claims):
        if each.slot in ("", slot):
            yield from against(facts, each)


def against(facts: Facts, each: Turned) -> Iterator[Finding]:
    """Why this knob must not be turned on this host; nothing if it may be."""
    claim = facts.claims.of_slot(each.slot)
    accepted = claim.accept if claim else ()
    return (weighed(finding, accepted) for finding in _spoken(facts, each))


def _spoken(facts: Facts, each: Turned) -> Iterator[Finding]:
    knob = knob_named(each.name)
    if knob is None:
        yield fails("knob-unknown", Level.FAIL, each.slot, blocks=True, name=each.name)
    elif (knob.scope is Scope.CLAIM) != bool(each.slot):
        yield fails(
            "knob-misplaced", Level.FAIL, each.slot, blocks=True,
            name=each.name, scope=knob.scope,
        )  # fmt: skip
    elif not knob.accepts(each.value):
        yield fails(
            "knob-value", Level.FAIL, each.slot, blocks=True, name=each.name, value=each.value
        )
    else:
        yield from _QUESTIONS.get(each.name, _nothing)(facts, each)


def _nothing(_facts: Facts, _each: Turned) -> Iterable[Finding]:
    return ()


def _must_be_known(finding: Finding) -> Finding:
    return replace(finding, blocks=True)


def _intel_iommu(facts: Facts, _each: Turned) -> Iterator[Finding]:
    """drivers/iommu/intel/iommu.c: dmar_disabled = !IS_ENABLED(CONFIG_INTEL_IOMMU_DEFAULT_ON)"""
    config, release = facts.kernel.config, facts.kernel.release
    if "Intel" not in facts.cpu.vendor:
        vendor = facts.cpu.vendor or "?"
        yield fails("knob-not-intel", Level.FAIL, "", "/proc/cpuinfo", blocks=True, vendor=vendor)
    elif config is None:
        where = f"/boot/config-{release}"
        yield _must_be_known(unknown("knob-intel-default-on", "", where, release=release))
    elif intel_default_is_on(facts):
        yield fails(
            "knob-intel-default-on", Level.FAIL, "", f"/boot/config-{release}", blocks=True,
            release=release,
        )  # fmt: skip


def intel_default_is_on(facts: Facts) -> bool:
    config = facts.kernel.config or {}
    names = ("CONFIG_INTEL_IOMMU_DEFAULT_ON", "CONFIG_INTEL_IOMMU_DEFAULT_ON_INTGPU_OFF")
    return any(config.get(name) == "y" for name in names)


def _pass_through(facts: Facts, _each: Turned) -> Iterator[Finding]:
    """amd/init.c: "IOMMU ... configured in passthrough mode, SNP cannot be supported"."""
    if facts.options.parameters.get("kvm_amd.sev_snp") == "Y":
        where = "/sys/module/kvm_amd/parameters/sev_snp"
        yield fails("knob-pt-snp", Level.FAIL, "", where, blocks=True)


def has_acs_patch(facts: Facts) -> bool:
    """In all of Proxmox's kernels (patches/kernel/0004-pci-Enable-overrides-for-missing-ACS...),
    and in neither Debian's nor the mainline's.
    """
    return facts.kernel.release.endswith("-pve")


def _acs_override(facts: Facts, _each: Turned) -> Iterator[Finding]:
    if not has_acs_patch(facts):
        release = facts.kernel.release
        yield fails(
            "knob-acs-no-patch", Level.FAIL, "", "/proc/sys/kernel/osrelease", blocks=True,
            release=release,
        )  # fmt: skip
    elif not acs_is_active(facts) and facts.inventory.groups and not shared_groups(facts):
        yield fails("knob-acs-clean", Level.FAIL, "", "/sys/kernel/iommu_groups", blocks=True)


def acs_is_active(facts: Facts) -> bool:
    return any(word.startswith("pcie_acs_override=") for word in facts.kernel.command_line)


def shared_groups(facts: Facts) -> tuple[str, ...]:
    """``group 4: 0000:01:00.0 0000:02:00.0``: groups that more than one slot shares.

    Of the claimed slots, or of all while nothing is claimed. Bridges are not counted, as PVE
    leaves them alone.
    """
    claimed = {claim.slot for claim in facts.claims.claims}
    found = []
    for group in facts.inventory.groups:
        members = [
            each
            for each in facts.inventory.functions
            if each.iommu_group == group.number and not each.is_bridge and not each.is_host_bridge
        ]
        slots = {each.slot for each in members}
        if len(slots) > 1 and (not claimed or slots & claimed):
            found.append(f"group {group.number}: {' '.join(each.address for each in members)}")
    return tuple(found)


def _sysfb(facts: Facts, each: Turned) -> Iterator[Finding]:
    """The word takes the boot framebuffer from every display, so it needs a card that has it."""
    functions = facts.inventory.of_slot(each.slot)
    displays = [one for one in functions if one.class_code >> 8 == _VGA_CLASS]
    others = [one for one in facts.inventory.functions if one.is_display and one.slot != each.slot]
    if not any(one.boot_vga for one in displays):
        yield fails("knob-sysfb-not-boot-vga", Level.FAIL, each.slot, "boot_vga", blocks=True)
    elif not others:
        yield fails(
            "knob-sysfb-only-console", Level.FAIL, each.slot, "boot_vga=1", blocks=True,
            consent=Risk.BOOT_VGA_ONLY,
        )  # fmt: skip


def _modules(facts: Facts, each: Turned) -> Iterator[Finding]:
    release = facts.kernel.release
    where = f"/lib/modules/{release}/modules.dep"
    if facts.kernel.modules is None:
        yield _must_be_known(
            unknown("knob-module-missing", "", where, module=each.value, release=release)
        )
        return
    for module in filter(None, each.value.split(",")):
        if module not in facts.kernel.modules:
            yield fails(
                "knob-module-missing", Level.FAIL, module, where, blocks=True,
                module=module, release=release,
            )  # fmt: skip


def _ids(facts: Facts, each: Turned) -> Iterator[Finding]:
    """vfio_pci.c vfio_pci_fill_ids: new_id matches every device of the host."""
    claim = facts.claims.of_slot(each.slot)
    if claim is None:
        return
    ids = {(one.identity.vendor, one.identity.device) for one in claim.functions}
    for twin in _unclaimed(facts):
        if (twin.identity.vendor, twin.identity.device) in ids:
            identity = str(twin.identity)
            yield fails("knob-ids-twin", Level.FAIL, twin.address, identity, blocks=True)


def _unclaimed(facts: Facts) -> Iterator[PciFunction]:
    slots = {claim.slot for claim in facts.claims.claims}
    return (each for each in facts.inventory.functions if each.slot not in slots)


def drivers_of(facts: Facts, each: Turned) -> tuple[str, ...]:
    """The drivers that a knob of a claim is about: those it names, else all that could take it."""
    if each.value:
        return tuple(each.value.split(","))
    functions = facts.inventory.of_slot(each.slot)
    return tuple(sorted({name for one in functions for name in one.rivals}))


def _softdep(facts: Facts, each: Turned) -> Iterator[Finding]:
    if not drivers_of(facts, each):
        yield fails("knob-no-driver", Level.FAIL, each.slot, blocks=True, name=each.name)


def _blacklist(facts: Facts, each: Turned) -> Iterator[Finding]:
    yield from _softdep(facts, each)
    for driver in drivers_of(facts, each):
        needs = [
            one.address
            for one in _unclaimed(facts)
            if driver in (one.driver, one.driver_module)
            or (one.driver is None and driver in one.rivals)
        ]
        if needs:
            yield fails(
                "knob-blacklist-needed", Level.FAIL, driver, *needs, blocks=True,
                driver=driver, device=needs[0],
            )  # fmt: skip


def _unsafe_interrupts(facts: Facts, _each: Turned) -> Iterator[Finding]:
    """vfio_iommu_type1.c asks for the option only where no interrupt remapping isolates."""
    remapping = facts.iommu.interrupt_remapping
    if remapping is None:
        yield _must_be_known(unknown("knob-remapping-on", "", "/sys/kernel/irq/*/chip_name"))
    elif remapping:
        chips = [chip for chip in facts.iommu.interrupt_chips if chip.startswith("IR-")]
        yield fails("knob-remapping-on", Level.FAIL, "", *chips, blocks=True)


def _while_vm(facts: Facts, each: Turned) -> Iterator[Finding]:
    """Only PVE calls the script; what it takes from the host again and again must let go."""
    if not facts.platform.is_pve:
        yield fails("knob-while-vm-no-pve", Level.FAIL, each.slot, blocks=True)
    for function in facts.inventory.of_slot(each.slot):
        if function.driver not in {*LETS_GO, VFIO}:
            yield fails(
                "knob-while-vm-driver", Level.FAIL, function.address, blocks=True,
                driver=function.driver or "-",
            )  # fmt: skip


_QUESTIONS: dict[str, Question] = {
    "intel-iommu-on": _intel_iommu,
    "iommu-pt": _pass_through,
    "acs-override": _acs_override,
    "sysfb-off": _sysfb,
    "vfio-modules": _modules,
    "bind-by-ids": _ids,
    "blacklist": _blacklist,
    "softdep": _softdep,
    "unsafe-interrupts": _unsafe_interrupts,
    "while-vm": _while_vm,
    "keep-hook": _while_vm,
}


def knob_notes(facts: Facts) -> Iterator[Finding]:
    """What the owner of a knob should keep in mind whenever a plan is made with it."""
    names = {each.name: each for each in turned_knobs(facts.claims)}
    if "acs-override" in names:
        yield fails(
            "knob-acs-asserted", Level.WARN, "", *shared_groups(facts),
            value=names["acs-override"].value,
        )  # fmt: skip
    if "initramfs-all" in names:
        yield fails("knob-no-known-good", Level.WARN, "", *(one.path for one in facts.images))
