"""Is this machine able to give a device away at all?"""

from __future__ import annotations

from collections.abc import Iterator

from ..model.cmdline import has_value, last_value
from ..model.facts import Facts
from ..model.finding import Finding, Level
from .say import fails, holds, unknown, unread

_OFF_KEYS = ("iommu", "intel_iommu", "amd_iommu")


def check_platform(facts: Facts, _slot: str) -> Iterator[Finding]:
    about = facts.platform
    if about.is_pve:
        yield holds("pve", "", about.pve_version or "", distribution=about.distribution)
    else:
        yield fails("pve", Level.NOTICE, "", "/usr/bin/pveversion", distribution=about.distribution)


def check_cpu(facts: Facts, _slot: str) -> Iterator[Finding]:
    cpu = facts.cpu
    if cpu.virtualization is None:
        yield unknown("cpu-virtualization", "", "/proc/cpuinfo")
    elif cpu.virtualization:
        yield holds("cpu-virtualization", "", cpu.virtualization, model=cpu.model)
    else:
        switch = "SVM" if "AMD" in cpu.vendor else "VT-x"
        yield fails(
            "cpu-virtualization", Level.FAIL, "", "/proc/cpuinfo: flags",
            model=cpu.model, switch=switch,
        )  # fmt: skip


def check_firmware_table(facts: Facts, _slot: str) -> Iterator[Finding]:
    tables = facts.iommu.tables
    if tables is None:
        yield unknown("iommu-table", "", "/sys/firmware/acpi/tables")
    elif tables:
        yield holds("iommu-table", "", *tables)
    else:
        switch = "AMD IOMMU (AMD-Vi)" if "AMD" in facts.cpu.vendor else "VT-d"
        yield fails("iommu-table", Level.FAIL, "", "/sys/firmware/acpi/tables", switch=switch)


def can_switch_intel_iommu_on(facts: Facts) -> bool:
    """True where the only thing missing is the word ``intel_iommu=on``.

    drivers/iommu/intel/iommu.c: ``dmar_disabled = !IS_ENABLED(CONFIG_INTEL_IOMMU_DEFAULT_ON)``.
    Debian's INTGPU_OFF variant is on for everything but the integrated graphics.
    """
    config = facts.kernel.config
    if facts.iommu.units or config is None or "DMAR" not in (facts.iommu.tables or ()):
        return False
    default_on = "y" in (
        config.get("CONFIG_INTEL_IOMMU_DEFAULT_ON"),
        config.get("CONFIG_INTEL_IOMMU_DEFAULT_ON_INTGPU_OFF"),
    )
    words = facts.kernel.command_line
    told = has_value(words, "intel_iommu", "on") or _off_word(facts)
    return not default_on and not told


def _off_word(facts: Facts) -> str:
    """The word that turns the IOMMU off, as it stands on the running command line."""
    words = facts.kernel.command_line
    found = [key for key in _OFF_KEYS if has_value(words, key, "off")]
    return f"{found[0]}={last_value(words, found[0])}" if found else ""


def check_iommu(facts: Facts, _slot: str) -> Iterator[Finding]:
    units, groups = facts.iommu.units, facts.inventory.groups
    off = _off_word(facts)
    gaps = unread(facts, "/sys/class/iommu", "/sys/kernel/iommu_groups")
    if gaps:
        yield unknown("iommu-on", "", *gaps)
    elif units and groups:
        yield holds("iommu-on", "", *units, groups=str(len(groups)))
    elif off:
        yield fails("iommu-off-word", Level.FAIL, "", "/proc/cmdline", blocks=True, word=off)
    elif can_switch_intel_iommu_on(facts):
        yield fails("iommu-default-off", Level.FAIL, "", f"/boot/config-{facts.kernel.release}")
    else:
        yield fails("iommu-on", Level.FAIL, "", "/sys/class/iommu", blocks=True)


def check_interrupt_remapping(facts: Facts, _slot: str) -> Iterator[Finding]:
    chips = facts.iommu.interrupt_chips
    if facts.iommu.interrupt_remapping is None:
        yield unknown("interrupt-remapping", "", "/sys/kernel/irq/*/chip_name")
    elif facts.iommu.interrupt_remapping:
        yield holds("interrupt-remapping", "", *(each for each in chips if each[:3] == "IR-"))
    else:
        # Without it VFIO refuses SET_IOMMU with EPERM (vfio_iommu_type1.c); with the IOMMU off
        # that is the finding, and remapping follows from it. Its owner may have taken the risk.
        accepted = "unsafe-interrupts" in facts.claims.host_options
        level = Level.WARN if accepted else Level.FAIL
        blocks = bool(facts.iommu.units) and not accepted
        yield fails("interrupt-remapping", level, "", *chips, blocks=blocks)


def check_vfio_module(facts: Facts, _slot: str) -> Iterator[Finding]:
    release = facts.kernel.release
    if facts.kernel.vfio_pci_available is None:
        yield unknown("vfio-module", "", f"/lib/modules/{release}/modules.dep")
    elif facts.kernel.vfio_pci_available:
        yield holds("vfio-module", "", release=release)
    else:
        where = f"/lib/modules/{release}/modules.dep"
        yield fails("vfio-module", Level.FAIL, "", where, blocks=True, release=release)
