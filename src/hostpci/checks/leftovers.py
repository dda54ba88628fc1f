"""Names every setting of a guide that is found on the host, and what it does today."""

from __future__ import annotations

from collections.abc import Iterator

from ..model.facts import Facts, Setting
from ..model.finding import Finding, Level, Outcome

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
_NOT_LEFT_OVER = {"cmdline-hostpci"}
# pve-manager puts it there (configs/pve-blacklist.conf); what is added to that file is not theirs
_SHIPPED = ("/etc/modprobe.d/pve-blacklist.conf", "nvidiafb")
_CONCERNING_DRIVERS = {
    "nouveau", "nvidia", "nvidiafb", "nvidia_drm", "nvidia_modeset", "nvidia_uvm", "nova_core",
    "amdgpu", "radeon", "i915", "xe", "snd_hda_intel", "xhci_pci", "xhci_hcd", "i2c_nvidia_gpu",
}  # fmt: skip


def check_leftovers(facts: Facts, slot: str) -> Iterator[Finding]:
    ids = {f"{e.identity.vendor}:{e.identity.device}" for e in facts.inventory.of_slot(slot)}
    for setting in facts.settings:
        if setting.code not in _NOT_LEFT_OVER and _concerns_us(setting):
            yield Finding(
                code=f"leftover-{setting.code}",
                outcome=Outcome.DOES_NOT_HOLD,
                level=_level(facts, setting, ids),
                subject=setting.where,
                params={"value": setting.value, "line": setting.line},
                evidence=(setting.line,),
            )


def _concerns_us(setting: Setting) -> bool:
    """A blacklist of a sound card for the console beep is nobody's business here."""
    if setting.code == "blacklist" and (setting.where.partition(":")[0], setting.value) == _SHIPPED:
        return False
    if setting.code in {"blacklist", "install-disabled", "alias-off"}:
        return setting.value in _CONCERNING_DRIVERS
    return True


def _level(facts: Facts, setting: Setting, slot_ids: set[str]) -> Level:
    """``ids=`` is worse than a leftover where it catches a device outside the slot."""
    if setting.code != "vfio-ids":
        return LEVELS[setting.code]
    ids = filter(None, setting.value.lower().split(","))
    named = {":".join(each.split(":")[:2]) for each in ids}
    counts = [
        each
        for each in facts.inventory.functions
        if f"{each.identity.vendor}:{each.identity.device}" in named
    ]
    slots = {each.slot for each in counts}
    return Level.WARN if len(slots) > 1 or named - slot_ids else LEVELS["vfio-ids"]
