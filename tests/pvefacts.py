"""The host on which the recorded answers of real PVE were given."""

from __future__ import annotations

from typing import Any

from hostpci.pve.mapping import HostDevice, Mappings, parse_mappings
from hostpci.pve.start import HostView


def view(devices: list[dict[str, Any]], mappings: str | Mappings = "") -> HostView:
    return HostView(
        devices={each["id"]: _device(each) for each in devices},
        mappings=parse_mappings(mappings) if isinstance(mappings, str) else mappings,
        node="localhost",
    )


def _device(each: dict[str, Any]) -> HostDevice:
    subsystem = [each.get(f"subsystem_{kind}", "")[2:] for kind in ("vendor", "device")]
    return HostDevice(
        address=each["id"],
        identity=f"{each['vendor'][2:]}:{each['device'][2:]}",
        subsystem=":".join(subsystem) if all(subsystem) else "",
        iommu_group=each.get("group"),
        has_mdev=bool(each.get("mdev_types") or each.get("nvidia")),
        is_nvidia_vgpu=bool(each.get("nvidia")),
    )
