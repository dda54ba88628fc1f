"""Names every setting of a guide that is found on the host, and what it does today."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..model.facts import Facts, Setting
from ..model.finding import Finding, Level, Outcome
from ..model.pci import PciFunction
from .knobs import has_acs_patch, intel_default_is_on

# Code of the setting -> how much it matters. The words live in i18n as leftover-CODE.
LEVELS = {
    "cmdline-amd-iommu-on": Level.INFO,
    "cmdline-intel-iommu-on": Level.INFO,
    "cmdline-iommu-pt": Level.INFO,
    "cmdline-iommu-off": Level.WARN,
    "cmdline-sysfb": Level.WARN,
    "cmdline-acs-override": Level.WARN,
    "cmdline-video-off": Level.INFO,
    "vfio-ids": Level.NOTICE,
    "vfio-disable-vga": Level.INFO,
    "vfio-disable-idle-d3": Level.INFO,
    "unsafe-interrupts": Level.WARN,
    "kvm-ignore-msrs": Level.NOTICE,
    "kvm-report-ignored-msrs": Level.NOTICE,
    "blacklist": Level.NOTICE,
    "softdep-vfio": Level.INFO,
    "install-disabled": Level.NOTICE,
    "alias-off": Level.NOTICE,
    "module-vfio": Level.INFO,
    "module-vfio-virqfd": Level.NOTICE,
    "foreign-rule": Level.WARN,
    "driverctl": Level.WARN,
}
# Where the same line does something else on this kernel or host
VARIANTS = {
    "cmdline-intel-iommu-on-needed": Level.INFO,
    "cmdline-intel-iommu-on-ignored": Level.INFO,
    "cmdline-acs-override-ignored": Level.INFO,
    "cmdline-video-off-works": Level.WARN,
    "vfio-ids-partial": Level.NOTICE,
    "vfio-ids-others": Level.WARN,
    "unsafe-interrupts-remapped": Level.WARN,
    "blacklist-absent": Level.INFO,
    "blacklist-needed": Level.WARN,
    "module-vfio-virqfd-present": Level.INFO,
}
# Of these nothing would be missed on this host
IDLE = {
    "cmdline-amd-iommu-on", "cmdline-intel-iommu-on", "cmdline-intel-iommu-on-ignored",
    "cmdline-acs-override-ignored", "cmdline-video-off", "blacklist-absent",
    "module-vfio-virqfd", "module-vfio-virqfd-present",
}  # fmt: skip
# What they do hangs on the kernel's configuration
_BY_CONFIG = {"cmdline-intel-iommu-on", "cmdline-video-off"}
_NOT_LEFT_OVER = {"cmdline-hostpci"}
# pve-manager puts it there (configs/pve-blacklist.conf); what is added to that file is not theirs
_SHIPPED = ("/etc/modprobe.d/pve-blacklist.conf", "nvidiafb")
_CONCERNING_DRIVERS = {
    "nouveau", "nvidia", "nvidiafb", "nvidia_drm", "nvidia_modeset", "nvidia_uvm", "nova_core",
    "amdgpu", "radeon", "i915", "xe", "snd_hda_intel", "xhci_pci", "xhci_hcd", "i2c_nvidia_gpu",
}  # fmt: skip


def check_leftovers(facts: Facts, slot: str) -> Iterator[Finding]:
    for setting in facts.settings:
        if setting.code not in _NOT_LEFT_OVER and concerns_us(setting):
            code, detail = _variant(facts, setting, slot)
            yield Finding(
                code=f"leftover-{code}",
                outcome=Outcome.DOES_NOT_HOLD,
                level={**LEVELS, **VARIANTS}[code],
                subject=setting.where,
                params={"value": setting.value, "line": setting.line, "detail": detail},
                evidence=(setting.line,),
            )


def concerns_us(setting: Setting) -> bool:
    """A blacklist of a sound card for the console beep is nobody's business here."""
    if setting.code == "blacklist" and (setting.where.partition(":")[0], setting.value) == _SHIPPED:
        return False
    if setting.code in {"blacklist", "install-disabled", "alias-off"}:
        return setting.value in _CONCERNING_DRIVERS
    return True


def is_idle(facts: Facts, setting: Setting) -> bool:
    """Whether the line is known to have no effect on this kernel."""
    code, _ = _variant(facts, setting, "")
    return code in IDLE and (facts.kernel.config is not None or code not in _BY_CONFIG)


def _variant(facts: Facts, setting: Setting, slot: str) -> tuple[str, str]:
    """The code of what the line does here, and whom or what that is about."""
    question = _QUESTIONS.get(setting.code)
    found = question(facts, setting, slot) if question else None
    return (f"{setting.code}-{found[0]}", found[1]) if found else (setting.code, "")


def _intel_iommu(facts: Facts, _setting: Setting, _slot: str) -> tuple[str, str] | None:
    if facts.cpu.vendor and "Intel" not in facts.cpu.vendor:
        return "ignored", ""
    if facts.kernel.config is not None and not intel_default_is_on(facts):
        return "needed", ""
    return None


def _acs_override(facts: Facts, _setting: Setting, _slot: str) -> tuple[str, str] | None:
    return None if has_acs_patch(facts) else ("ignored", facts.kernel.release)


def _video_off(facts: Facts, _setting: Setting, _slot: str) -> tuple[str, str] | None:
    """Proxmox builds neither (CONFIG_FB_EFI, CONFIG_FB_VESA off in its debian/rules)."""
    names = ("CONFIG_FB_EFI", "CONFIG_FB_VESA")
    there = [name for name in names if (facts.kernel.config or {}).get(name) == "y"]
    return ("works", ", ".join(there)) if there else None


def _ids(facts: Facts, setting: Setting, slot: str) -> tuple[str, str] | None:
    """``ids=`` is worse than a leftover where it catches a device outside the slot."""
    listed = [each.split(":") for each in setting.value.lower().split(",") if each]
    named = {":".join(parts[:2]) for parts in listed}
    of_slot = {each.address: _id(each) for each in facts.inventory.of_slot(slot)}
    others = [
        each.address
        for each in facts.inventory.functions
        if _id(each) in named and each.slot != slot
    ]
    unknown_ids = named - {_id(each) for each in facts.inventory.functions}
    if others or unknown_ids:
        return "others", ", ".join([*others, *sorted(unknown_ids)])
    missing = [address for address, identity in of_slot.items() if identity not in named]
    return ("partial", ", ".join(missing)) if missing else None


def _id(function: PciFunction) -> str:
    return f"{function.identity.vendor}:{function.identity.device}"


def _unsafe(facts: Facts, _setting: Setting, _slot: str) -> tuple[str, str] | None:
    return ("remapped", "") if facts.iommu.interrupt_remapping else None


def _blacklist(facts: Facts, setting: Setting, slot: str) -> tuple[str, str] | None:
    candidates = {name for each in facts.inventory.functions for name in each.modules}
    known = facts.kernel.modules
    if known is not None and setting.value not in candidates | set(known):
        return "absent", ""
    kept = {claim.slot for claim in facts.claims.claims} | {slot}
    needs = [
        each.address
        for each in facts.inventory.functions
        if each.slot not in kept and setting.value in (*each.modules, each.driver_module)
    ]
    return ("needed", ", ".join(needs)) if needs else None


def _virqfd(facts: Facts, _setting: Setting, _slot: str) -> tuple[str, str] | None:
    return ("present", "") if "vfio_virqfd" in (facts.kernel.modules or ()) else None


_QUESTIONS: dict[str, Callable[[Facts, Setting, str], tuple[str, str] | None]] = {
    "cmdline-intel-iommu-on": _intel_iommu,
    "cmdline-acs-override": _acs_override,
    "cmdline-video-off": _video_off,
    "vfio-ids": _ids,
    "unsafe-interrupts": _unsafe,
    "blacklist": _blacklist,
    "module-vfio-virqfd": _virqfd,
}
