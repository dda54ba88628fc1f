"""此后有何变化，以及会变动的名称。"""

from __future__ import annotations

TEXTS: dict[str, str] = {
    # 已知会破坏直通的内核
    "finding.known-bad-kernel.holds": "没有已知问题表明该内核会影响此插槽",
    "finding.known-bad-kernel-iommu.fails": "内核 {release} 的 IOMMU 代码有回归缺陷",
    "finding.known-bad-kernel-iommu.remedy": "请启动 {fixed} 或更新的内核，在此之前可固定使用更早的内核",
    "finding.known-bad-kernel-no-pci-pm.fails": "内核 {release} 无法直通没有 PCI 电源管理的设备（虚拟功能、部分网卡和存储卡）",
    "finding.known-bad-kernel-no-pci-pm.remedy": "如果虚拟机无法启动，请启动 {fixed} 或更新的内核",
    "finding.known-bad-kernel-skylake-igpu.fails": "内核 {release} 对 Skylake 处理器的核显关闭了 IOMMU",
    "finding.known-bad-kernel-skylake-igpu.remedy": "请启动 {fixed} 或更新的内核：没有任何设置能为此设备恢复 IOMMU",
    "finding.known-bad-kernel-acs-quirks.fails": "内核 {release} 忽略了某些端口已知具备的隔离能力，因此该 IOMMU 组可能比硬件实际情况更大",
    "finding.known-bad-kernel-acs-quirks.remedy": "在覆盖任何设置之前，先启动 {fixed} 或更新的内核，再查看该组",
    "finding.known-bad-kernel-amdgpu-unbind.fails": "在内核 {release} 中，从 amdgpu 手中取走显卡会使其崩溃，虚拟机启动会卡住",
    "finding.known-bad-kernel-amdgpu-unbind.remedy": "请启动 {fixed} 或更新的内核，或让认领在启动时于 amdgpu 之前取得显卡",
    "finding.known-bad-kernel-nova-core.fails": "内核 {release} 带有 nova_core，这是一个会占用 NVIDIA 显卡的未完成驱动",
    "finding.known-bad-kernel-nova-core.remedy": "已认领的插槽不受其影响；其他 NVIDIA 显卡请启动 {fixed} 或更新的内核",
    # 网络接口的名称
    "finding.nic-names.holds": "网络配置中提到的每个接口都会保持其名称",
    "finding.nic-names.unknown": "无法读取网络配置",
    "finding.nic-name-not-pinned.fails": "网络配置提到这个接口（{address}），而它在 PCI 总线上的地址一旦变动，没有任何设置能保持这个名称",
    "finding.nic-name-not-pinned.remedy": "hostpci set pin-nic-names，或在 Proxmox VE 9 上使用 pve-network-interface-pinning；插入或拔出一张卡、更新固件都可能使它变动",
    "finding.bridge-port-missing.fails": "网络配置建立在 {subject} 之上，而没有任何接口叫这个名称",
    "finding.bridge-port-missing.remedy": "用 ip link 找到该接口的新名称，并在下次重启之前修正配置",
    "step.nic-pin": "把一个网络接口的名称固定到它自己的地址",
    "step.nic-pin.why": "网络配置提到它，而决定名称的 PCI 总线位置可能变动",
    "step.nic-pin.risk": "低：就是现在的名称；以后插在原位置的卡会想要同一个名称",
    "step.nic-pin.undo": "删除该文件，或恢复其原有内容",
    "step.nic-unpin": "不再固定一个网络接口的名称",
    "step.nic-unpin.why": "已经没有人要求这样做",
    "step.nic-unpin.risk": "低：名称重新跟随 PCI 总线上的位置",
    "step.nic-unpin.undo": "恢复该文件的原有内容",
}
