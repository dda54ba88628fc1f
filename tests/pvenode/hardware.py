"""What ``GET /nodes/NODE/hardware/pci`` lists of a host's PCI functions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hostpci.model.pci import PciFunction


def devices_of(functions: Iterable[PciFunction]) -> list[dict[str, Any]]:
    return [
        {
            "id": each.address, "class": f"0x{each.class_code:06x}",
            "vendor": f"0x{each.identity.vendor}", "device": f"0x{each.identity.device}",
            "subsystem_vendor": f"0x{each.identity.subsystem_vendor or '0000'}",
            "subsystem_device": f"0x{each.identity.subsystem_device or '0000'}",
            "iommugroup": -1 if each.iommu_group is None else each.iommu_group,
        }
        for each in functions
    ]  # fmt: skip
