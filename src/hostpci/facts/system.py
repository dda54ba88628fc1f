"""Reads the platform: distribution, processor, kernel and IOMMU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..errors import EnvironmentFault
from ..host.runner import Runner
from ..model.facts import CpuFacts, IommuFacts, KernelFacts, PlatformFacts
from .look import Look

_ASKED_OPTIONS = (
    "CONFIG_INTEL_IOMMU_DEFAULT_ON",
    "CONFIG_INTEL_IOMMU_DEFAULT_ON_INTGPU_OFF",
    "CONFIG_VFIO_PCI",
    "CONFIG_VFIO",
    "CONFIG_VFIO_IOMMU_TYPE1",
    # Who draws the console before a native driver does
    "CONFIG_FB_EFI",
    "CONFIG_FB_VESA",
)
_BUILT_IN = {
    "CONFIG_VFIO": "vfio", "CONFIG_VFIO_PCI": "vfio_pci",
    "CONFIG_VFIO_IOMMU_TYPE1": "vfio_iommu_type1",
}  # fmt: skip
# What guides load, or keep from loading
ASKED_MODULES = {
    *_BUILT_IN.values(), "vfio_virqfd", "nouveau", "nvidia", "nvidiafb", "nvidia_drm",
    "nvidia_modeset", "nvidia_uvm", "nova_core", "amdgpu", "radeon", "i915", "xe",
    "snd_hda_intel", "xhci_pci", "i2c_nvidia_gpu",
}  # fmt: skip


def read_platform(look: Look, runner: Runner) -> PlatformFacts:
    release = look.raw("/etc/os-release") or ""
    pretty = [line for line in release.splitlines() if line.startswith("PRETTY_NAME=")]
    is_pve = look.exists("/usr/bin/pveversion")
    return PlatformFacts(
        distribution=pretty[0].partition("=")[2].strip("\"'") if pretty else "",
        is_pve=is_pve,
        pve_version=_pve_version(look, runner) if is_pve else None,
    )


def _pve_version(look: Look, runner: Runner) -> str | None:
    try:
        return runner.run(["pveversion"], timeout_s=30).stdout.strip()
    except EnvironmentFault as error:
        look.note("pveversion", str(error))
        return None


def read_cpu(look: Look) -> CpuFacts:
    def first_processor(lines: Iterable[str]) -> Iterator[str]:
        wanted = {"vendor_id", "model name", "flags"}
        for line in lines:
            key = line.partition(":")[0].strip()
            if key in wanted:
                wanted.remove(key)
                yield line

    pairs = [line.partition(":") for line in look.lines("/proc/cpuinfo", first_processor) or ()]
    fields = {key.strip(): value.strip() for key, _, value in pairs}
    flags = fields.get("flags")
    found = None if flags is None else [flag for flag in flags.split() if flag in {"svm", "vmx"}]
    return CpuFacts(
        vendor=fields.get("vendor_id", ""),
        model=fields.get("model name", ""),
        virtualization=None if found is None else "".join(found[:1]),
    )


def read_kernel(look: Look) -> KernelFacts:
    release = look.text("/proc/sys/kernel/osrelease") or ""

    def asked(lines: Iterable[str]) -> Iterator[str]:
        return (line for line in lines if line.partition("=")[0] in _ASKED_OPTIONS)

    def asked_modules(lines: Iterable[str]) -> Iterator[str]:
        return (line for line in lines if _module_of(line) in ASKED_MODULES)

    def names(lines: Iterable[str]) -> Iterator[str]:
        return (line.split()[0] for line in lines if line.strip())

    config = look.lines(f"/boot/config-{release}", asked)
    lines = look.lines(f"/lib/modules/{release}/modules.dep", asked_modules)
    options = None if config is None else dict(_option(line) for line in config)
    built_in = {name for key, name in _BUILT_IN.items() if (options or {}).get(key) == "y"}
    modules = None if lines is None else tuple(sorted({*map(_module_of, lines), *built_in}))
    return KernelFacts(
        release=release,
        command_line=tuple((look.text("/proc/cmdline") or "").split()),
        config=options,
        loaded_modules=look.lines("/proc/modules", names) or (),
        vfio_pci_available=None if modules is None else "vfio_pci" in modules,
        modules=modules,
    )


def _module_of(line: str) -> str:
    """Of ``kernel/drivers/vfio/pci/vfio-pci.ko.xz: ...`` the module's name."""
    return line.partition(":")[0].rpartition("/")[2].partition(".ko")[0].replace("-", "_")


def _option(line: str) -> tuple[str, str]:
    key, _, value = line.partition("=")
    return key, value


def read_iommu(look: Look) -> IommuFacts:
    tables = look.names_or_none("/sys/firmware/acpi/tables")
    chips = sorted(
        {
            look.text(f"/sys/kernel/irq/{number}/chip_name") or ""
            for number in look.names("/sys/kernel/irq")
        }
        - {""}
    )
    return IommuFacts(
        units=look.names("/sys/class/iommu"),
        tables=None if tables is None else tuple(sorted({"IVRS", "DMAR"} & set(tables))),
        interrupt_remapping=_remaps(chips),
        interrupt_chips=tuple(chips),
    )


def _remaps(chips: list[str]) -> bool | None:
    """The kernel names remapped interrupt chips ``IR-...``.

    drivers/iommu/amd/iommu.c (amd_ir_chip), drivers/iommu/intel/irq_remapping.c (intel_ir_chip),
    arch/x86/kernel/apic (``IR-IO-APIC``, ``IR-PCI-MSI``).
    """
    if any(chip.startswith("IR-") for chip in chips):
        return True
    plain = any(chip.startswith(("IO-APIC", "PCI-MSI")) for chip in chips)
    return False if plain else None
