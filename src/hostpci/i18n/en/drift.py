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
    # names of network interfaces
    "finding.nic-names.holds": "every interface that the network configuration names keeps its name",
    "finding.nic-names.unknown": "the network configuration could not be read",
    "finding.nic-name-not-pinned.fails": "the network configuration names this interface ({address}), and nothing keeps that name if its address on the PCI bus moves",
    "finding.nic-name-not-pinned.remedy": "hostpci set pin-nic-names, or pve-network-interface-pinning on Proxmox VE 9; a card put in or taken out, or a firmware update, can move it",
    "finding.bridge-port-missing.fails": "the network configuration builds on {subject}, and no interface has that name",
    "finding.bridge-port-missing.remedy": "look for the interface under its new name with ip link, and mend the configuration before the next reboot",
    "step.nic-pin": "pin the name of a network interface to its own address",
    "step.nic-pin.why": "the network configuration names it, and its place on the PCI bus, which makes the name, can move",
    "step.nic-pin.risk": "low: it is the name of now; a card that is put in later at the old place would want the same name",
    "step.nic-pin.undo": "the file is removed, or holds what it held",
    "step.nic-unpin": "stop pinning the name of a network interface",
    "step.nic-unpin.why": "nobody asks for it any more",
    "step.nic-unpin.risk": "low: the name follows the place on the PCI bus again",
    "step.nic-unpin.undo": "the file holds what it held",
}
