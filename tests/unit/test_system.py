"""The platform: what the processor and the IOMMU say."""

from __future__ import annotations

import pytest

from ..hosts import RecordedHost
from .support import existing

# IOMMU


@pytest.mark.parametrize(
    ("chips", "expected"),
    [
        (["IR-IO-APIC", "IR-PCI-MSI", "PCI-MSI"], True),
        (["IR-PCI-MSIX-0000:01:00.0", "IO-APIC"], True),
        (["IO-APIC", "PCI-MSI", "XT-PIC"], False),
        (["PCI-MSIX-0000:01:00.0"], False),
        (["XT-PIC"], None),
        ([], None),
    ],
)
def test_interrupt_remapping_is_told_from_the_chips_in_use(
    guide: RecordedHost, chips: list[str], *, expected: bool | None
) -> None:
    guide.data["directories"]["/sys/kernel/irq"] = [str(number) for number in range(len(chips))]
    for number, chip in enumerate(chips):
        guide.with_file(f"/sys/kernel/irq/{number}/chip_name", f"{chip}\n")
    guide.data["directories"]["/sys/kernel/irq"] = [str(number) for number in range(len(chips))]
    assert guide.facts().iommu.interrupt_remapping is expected


def test_interrupt_remapping_is_unknown_where_interrupts_cannot_be_listed(
    guide: RecordedHost,
) -> None:
    facts = guide.unreadable("/sys/kernel/irq").facts()
    assert facts.iommu.interrupt_remapping is None
    assert "/sys/kernel/irq" in [gap.what for gap in facts.unmeasured]


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        (["APIC", "IVRS"], ("IVRS",)),
        (["DMAR", "DSDT"], ("DMAR",)),
        (["DSDT", "DMAR1"], ()),
        ([], ()),
    ],
)
def test_only_the_tables_of_an_iommu_count(
    guide: RecordedHost, tables: list[str], expected: tuple[str, ...]
) -> None:
    guide.data["directories"]["/sys/firmware/acpi/tables"] = tables
    assert guide.facts().iommu.tables == expected


def test_tables_that_cannot_be_listed_are_not_absent(guide: RecordedHost) -> None:
    assert guide.unreadable("/sys/firmware/acpi/tables").facts().iommu.tables is None


# processor and kernel


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("flags\t\t: fpu svm sse\n", "svm"),
        ("flags\t\t: fpu vmx sse\n", "vmx"),
        ("flags\t\t: fpu sse svm_lock nosvm vmxx\n", ""),
        ("flags\t\t:\n", ""),
        ("", None),
    ],
)
def test_virtualisation_is_a_whole_word_of_the_flags(
    guide: RecordedHost, flags: str, expected: str | None
) -> None:
    guide.with_file("/proc/cpuinfo", f"vendor_id\t: AuthenticAMD\nmodel name\t: Ryzen\n{flags}")
    cpu = guide.facts().cpu
    assert (cpu.vendor, cpu.model, cpu.virtualization) == ("AuthenticAMD", "Ryzen", expected)


def test_unreadable_processor_flags_are_not_missing_flags(guide: RecordedHost) -> None:
    assert guide.unreadable("/proc/cpuinfo").facts().cpu.virtualization is None


def test_the_first_processor_speaks_for_all(guide: RecordedHost) -> None:
    text = "processor\t: 0\nflags\t\t: svm\nvmx flags\t: x\nprocessor\t: 1\nflags\t\t: vmx\n"
    assert guide.with_file("/proc/cpuinfo", text).facts().cpu.virtualization == "svm"


@pytest.mark.parametrize(
    ("modules", "config", "expected"),
    [
        ("kernel/drivers/vfio/pci/vfio-pci.ko: x\n", "CONFIG_VFIO_PCI=m\n", True),
        ("kernel/drivers/vfio/pci/vfio-pci.ko.zst:\n", "", True),
        ("kernel/drivers/vfio/pci/vfio-pci-core.ko: x\n", "CONFIG_VFIO_PCI=m\n", False),
        ("kernel/a.ko: kernel/drivers/vfio/pci/vfio-pci.ko\n", "", False),
        ("", "CONFIG_VFIO_PCI=y\n", True),
        ("", "# CONFIG_VFIO_PCI is not set\n", False),
        (None, "CONFIG_VFIO_PCI=m\n", None),
    ],
)
def test_vfio_pci_is_a_module_or_built_in_or_unknown(
    guide: RecordedHost, modules: str | None, config: str, *, expected: bool | None
) -> None:
    path = f"/lib/modules/{guide.release}/modules.dep"
    guide.without(path) if modules is None else guide.with_file(path, modules)
    guide.with_file(f"/boot/config-{guide.release}", config)
    assert guide.facts().kernel.vfio_pci_available is expected


def test_only_the_options_that_are_asked_for_are_kept(guide: RecordedHost) -> None:
    text = "CONFIG_PCI=y\nCONFIG_INTEL_IOMMU_DEFAULT_ON=y\n# CONFIG_VFIO_PCI is not set\n"
    facts = guide.with_file(f"/boot/config-{guide.release}", text).facts()
    assert facts.kernel.config == {"CONFIG_INTEL_IOMMU_DEFAULT_ON": "y"}


def test_a_kernel_without_a_config_file_has_none(guide: RecordedHost) -> None:
    assert guide.without(f"/boot/config-{guide.release}").facts().kernel.config is None


# distribution


@pytest.mark.parametrize(
    "line", ['PRETTY_NAME="Debian 13"', "PRETTY_NAME='Debian 13'", "PRETTY_NAME=Debian 13"]
)
def test_the_distribution_has_its_pretty_name(guide: RecordedHost, line: str) -> None:
    guide.with_file("/etc/os-release", f"NAME=x\n{line}\nNOT_PRETTY_NAME=y\n")
    assert guide.facts().platform.distribution == "Debian 13"


def test_pve_is_recognised_by_its_own_tool_and_asked_for_its_version(guide: RecordedHost) -> None:
    existing(guide, "/usr/bin/pveversion")
    answer = "pve-manager/8.4.1/2a5fa54a8503f96d (running kernel: 6.8.12-9-pve)\n"
    guide.data["commands"].append({"argv": ["pveversion"], "stdout": answer})
    platform = guide.facts().platform
    assert (platform.is_pve, platform.pve_version) == (True, answer.strip())


def test_a_version_that_cannot_be_asked_is_a_gap_and_still_pve(guide: RecordedHost) -> None:
    facts = existing(guide, "/usr/bin/pveversion").facts()
    assert (facts.platform.is_pve, facts.platform.pve_version) == (True, None)
    assert "pveversion" in [gap.what for gap in facts.unmeasured]
