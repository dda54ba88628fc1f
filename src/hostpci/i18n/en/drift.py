"""What has changed since, and names that move."""

from __future__ import annotations

TEXTS: dict[str, str] = {
    # kernels that are known to break passthrough
    "finding.known-bad-kernel.holds": "nothing is known that this kernel breaks for this slot",
    "finding.known-bad-kernel-iommu.fails": "kernel {release} has a regression in its IOMMU code",
    "finding.known-bad-kernel-iommu.remedy": "boot {fixed} or later, or pin an earlier kernel until then",
    "finding.known-bad-kernel-no-pci-pm.fails": "kernel {release} cannot hand over devices without PCI power management (virtual functions, some network and storage cards)",
    "finding.known-bad-kernel-no-pci-pm.remedy": "boot {fixed} or later if the virtual machine does not start",
    "finding.known-bad-kernel-skylake-igpu.fails": "kernel {release} switches the IOMMU off for graphics built into Skylake processors",
    "finding.known-bad-kernel-skylake-igpu.remedy": "boot {fixed} or later: no setting brings the IOMMU back for this device",
    "finding.known-bad-kernel-acs-quirks.fails": "kernel {release} forgets the isolation that some ports are known to have, so this group may be larger than the hardware makes it",
    "finding.known-bad-kernel-acs-quirks.remedy": "boot {fixed} or later and look at the group again, before anything is overridden",
    "finding.known-bad-kernel-amdgpu-unbind.fails": "in kernel {release} amdgpu crashes when a card is taken from it, and the start of the virtual machine hangs",
    "finding.known-bad-kernel-amdgpu-unbind.remedy": "boot {fixed} or later, or let the claim take the card at boot, before amdgpu has it",
    "finding.known-bad-kernel-nova-core.fails": "kernel {release} brings nova_core, an unfinished driver that takes NVIDIA cards",
    "finding.known-bad-kernel-nova-core.remedy": "a claimed slot is out of its reach; for other NVIDIA cards boot {fixed} or later",
}
