"""Which fault a failing finding, proof or error is: the code that 'hostpci explain' takes.

A finding says what is so on this host and what mends it here; the fault behind the code says the
rest: what else looks like it, what every fix costs, where that is known from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What a finding of one of our checks, of plan, drift, lint, attach and guest amounts to
OF_FINDING = {
    # the platform
    "cpu-virtualization": "iommu-off-firmware",
    "iommu-table": "iommu-off-firmware",
    "iommu-on": "iommu-off-firmware",
    "iommu-off-word": "iommu-off-cmdline",
    "iommu-default-off": "iommu-off-cmdline",
    "bind-now-iommu-off": "iommu-off-cmdline",
    "interrupt-remapping": "iommu-no-interrupt-remapping",
    "vfio-module": "vfio-bind-failed",
    "known-bad-kernel-iommu": "host-kernel-reset-regression",
    "known-bad-kernel-amdgpu-unbind": "host-driver-unbind-oops",
    "known-bad-kernel-acs-quirks": "group-shared-acs",
    "known-bad-kernel-skylake-igpu": "iommu-no-group",
    "command-line-next": "boot-change-not-applied",
    "esp-missing": "boot-change-not-applied",
    # the device and its group
    "identity": "pci-address-renumbered",
    "identity-moved": "pci-address-renumbered",
    "identity-twice": "identical-gpus",
    "group": "iommu-no-group",
    "group-shared": "group-shared-acs",
    "group-open": "pci-in-use-by-other-vm",
    "acs-asserted": "group-shared-acs",
    "host-needs-it": "group-shares-host-critical",
    "reserved-direct": "iommu-direct-map-required",
    "sriov-vfs": "sriov-pf-passed-with-vfs",
    "reset": "reset-no-mechanism",
    "power-state": "power-stuck-d3",
    "in-use-by-guest": "pci-in-use-by-other-vm",
    "boot-vga": "boot-vga",
    "boot-vga-only": "host-console-lost",
    "driver-built-in": "vfio-not-bound",
    "driver-in-initramfs": "vfio-not-bound",
    "bridge-port-missing": "pci-address-renumbered",
    "nic-name-not-pinned": "pci-address-renumbered",
    "leftover-cmdline-iommu-off": "iommu-off-cmdline",
    "leftover-module-vfio-virqfd": "module-vfio-virqfd-obsolete",
    "leftover-vfio-ids": "identical-gpus",
    "leftover-cmdline-acs-override": "group-shared-acs",
    # what has changed since
    "drift-moved": "pci-address-renumbered",
    "drift-renumbered": "pci-address-renumbered",
    "drift-gone": "pci-device-missing",
    "drift-not-bound": "vfio-not-bound",
    "drift-group-members": "group-shared-acs",
    "drift-group-number": "pci-mapping-invalid",
    # a virtual machine
    "vm-slot-there": "pci-device-missing",
    "vm-slot-bound": "vfio-not-bound",
    "vm-slot-group": "iommu-no-group",
    "vm-slot-alone": "group-shared-acs",
    "vm-slot-twice": "pci-assigned-twice",
    "vm-lines-twice": "pci-assigned-twice",
    "vm-others-lines-twice": "pci-assigned-twice",
    "vm-line-shared": "pci-in-use-by-other-vm",
    "vm-slot-part": "vm-missing-functions",
    "vm-reset-amd": "reset-amd-vendor",
    "vm-reset-apu": "reset-amd-vendor",
    "vm-reset-blackwell": "reset-nvidia-blackwell",
    "vm-mapping-other": "pci-mapping-invalid",
    "vm-mapping-stale": "pci-mapping-invalid",
    "vm-q35": "vm-q35-required",
    "vm-machine-unknown": "vm-i440fx-gpu",
    "vm-pcie": "vm-i440fx-gpu",
    "vm-viommu": "group-multiple-address-spaces",
    "vm-ovmf": "vm-seabios-gop-rom",
    "vm-efidisk": "vm-ovmf-no-efidisk",
    "vm-secure-boot": "vm-secureboot-preenrolled",
    "vm-cpu": "vm-cpu-type-no-avx",
    "vm-window": "guest-bar-no-space",
    "vm-iommu-width": "iommu-address-width",
    "vm-args": "vm-args-override",
    "vm-pending": "vm-hotplug-pending",
    "vm-pinned": "vm-memory-overcommit",
    "vm-pinned-all": "vm-memory-overcommit",
    "vm-balloon": "vm-balloon-ineffective",
    "vm-hugepages": "vm-hugepages-failed",
    "vm-hugepages-size": "vm-hugepages-failed",
    "vm-hugepages-numa": "vm-hugepages-failed",
    "vm-primary-no-display": "vm-display-conflict",
    "vm-primary-twice": "vm-display-conflict",
    "vm-two-screens": "vm-display-conflict",
    "vm-romfile": "rom-file-missing",
    "vm-rom-shadow": "rom-file-wrong",
    "vm-option-rom": "vm-seabios-option-rom-hang",
    "lint-pcie": "vm-q35-required",
    "lint-twice": "pci-assigned-twice",
    "lint-legacy-igd": "vm-legacy-igd-constraints",
    "lint-romfile-missing": "rom-file-missing",
    "lint-romfile-absolute": "rom-file-missing",
    "lint-romfile-outside": "rom-file-missing",
    "lint-mapping-dropped": "pci-mapping-invalid",
    "lint-mapping-incomplete": "pci-mapping-invalid",
    "lint-mapping-path": "pci-mapping-invalid",
    "lint-mapping-lost": "pci-mapping-invalid",
    "lint-mapping-hardware": "pci-mapping-invalid",
    "lint-mapping-case": "pci-mapping-invalid",
    # the guest
    "guest-no-card": "pci-device-missing",
    "guest-cloud-kernel": "guest-nvidia-module-missing",
    "guest-kernel-old": "guest-kernel-too-old",
    "guest-kernel-none": "guest-kernel-too-old",
    "guest-nouveau": "guest-nouveau-bound",
    "guest-module-not-built": "guest-nvidia-module-missing",
    "guest-driver-mismatch": "guest-nvidia-version-mismatch",
    "guest-wrong-driver": "guest-nvidia-driver-branch",
    "guest-card-legacy": "guest-nvidia-not-supported-by-driver",
    "guest-card-unknown": "guest-nvidia-not-supported-by-driver",
    "guest-no-driver": "guest-nvidia-not-supported-by-driver",
    "guest-debian-old-driver": "guest-nvidia-not-supported-by-driver",
    "guest-mok": "guest-secureboot-unsigned",
    "guest-mok-pending": "guest-secureboot-unsigned",
    "guest-firmware-missing": "guest-amdgpu-firmware-missing",
}

# What stops a slot, or a machine that is to have it, and is no fault: why explain has nothing on it
NO_FAULT = {
    "is-a-bridge": "the address is the wrong one: there is nothing to repair",
    "virtual-function": "a way that this program does not go, and that works",
    "group-isolated": "fails only as not measured: no cause is known yet",
    "host-has-it-open": "the finding names the programs; which driver they use it by is no fault",
    "last-usb-input": "a risk for the person at the keyboard, not a fault",
    "loader-boots-copies": "this program's own limit",
    "loader-unsupported": "this program's own limit",
    "esp-none": "this program's own limit: the finding names the boot partitions",
    "grub-overridden": "the finding names the file and the line",
    "bind-now-driver": "only --now is refused: the reboot does it",
    "bind-now-in-use": "only --now is refused: the reboot does it",
    "guest-no-module": "no package brings the module: which driver it is says the finding",
    "guest-driver-fails": "what the guest's kernel said is diagnosed line by line",
}
# Whole families of refusals that answer a wish, not a state of the hardware
NO_FAULT_PREFIXES = ("knob-", "edit-")

# By code, or code.answer, of a step of a proof
OF_PROOF = {
    "identity": "pci-address-renumbered",
    "driver": "vfio-not-bound",
    "group": "iommu-no-group",
    "group-member": "group-not-viable",
    "vfio-container.ENOENT": "vfio-bind-failed",
    "vfio-group-open": "group-dev-node-missing",
    "vfio-group-open.EBUSY": "pci-in-use-by-other-vm",
    "vfio-viable": "group-not-viable",
    "vfio-regions": "host-bar-unassigned",
    "vfio-config-space": "device-config-space-ff",
    "vfio-alive-after-reset": "device-config-space-ff",
    "guest-nvidia-smi": "guest-nvidia-no-devices",
}

OF_ERROR = {
    "no-such-device": "pci-device-missing",
    "group-busy": "pci-in-use-by-other-vm",
    "bind-failed": "vfio-bind-failed",
    "unbind-failed": "device-removal-blocked-by-vm",
    "identity-changed": "pci-address-renumbered",
    "hook-other-card": "pci-address-renumbered",
    "esp-no-entry": "boot-change-not-applied",
    "esp-differs": "boot-change-not-applied",
    "esp-old-copy": "boot-change-not-applied",
    "pve-denied": "vm-hostpci-permission",
    "pve-denied-unnamed": "vm-hostpci-permission",
    "pve-root-only": "vm-hostpci-permission",
}

# A check of a trial boot that did not hold: what a change for passthrough does to it, as a rule
OF_HEALTH = {
    "default-route": "pci-address-renumbered",
    "storage": "group-shares-host-critical",
}

_FAILED = "does-not-hold"


def fault_of(code: str) -> str:
    """The fault that a failing finding is; empty if none is known."""
    return OF_FINDING.get(code, "")


def fault_of_step(code: str, answer: str) -> str:
    return OF_PROOF.get(f"{code}.{answer}") or OF_PROOF.get(code, "")


def fault_of_error(code: str, params: Mapping[str, object]) -> str:
    """Where whoever raised it has found the fault, it is a parameter of it."""
    return str(params.get("fault") or OF_ERROR.get(code, ""))


def with_faults(document: Any) -> Any:  # noqa: ANN401  (JSON)
    """The same document; everything in it that failed and is a known fault names it."""
    if isinstance(document, list):
        return [with_faults(each) for each in document]
    if not isinstance(document, dict):
        return document
    inner = {key: with_faults(value) for key, value in document.items()}
    if inner.get("outcome") == _FAILED and (fault := _of(inner)):
        inner["fault"] = fault
    return inner


def _of(failed: dict[str, Any]) -> str:
    if "answer" in failed:
        return fault_of_step(str(failed["code"]), str(failed["answer"]))
    return fault_of(str(failed["code"]))
