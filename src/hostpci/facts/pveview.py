"""What PVE on this host would look at when a machine starts: functions, mappings, its name."""

from __future__ import annotations

from ..model.pci import Inventory, PciFunction
from ..pve.mapping import HostDevice, parse_mappings
from ..pve.start import HostView
from .guests import mapping_lines
from .look import Look

_LOCAL, _MAPPINGS = "/etc/pve/local", "/etc/pve/mapping/pci.cfg"
_ROMS = "/usr/share/kvm"


def read_node_name(look: Look) -> str | None:
    """None where no PVE runs: its cluster file system is not there."""
    return look.link_name(_LOCAL)


def read_pve_view(look: Look, inventory: Inventory) -> HostView:
    """Whether a function offers mediated devices is not read: nothing is said about those."""
    lines = look.lines(_MAPPINGS, mapping_lines) or ()
    roms = look.names_or_none(_ROMS)  # a capture does not hold it
    return HostView(
        devices={each.address: _device(each) for each in inventory.functions},
        mappings=parse_mappings("\n".join(lines)),
        node=read_node_name(look) or "",
        roms=None if roms is None else frozenset(roms),
    )


def _device(function: PciFunction) -> HostDevice:
    who = function.identity
    subsystem = f"{who.subsystem_vendor}:{who.subsystem_device}"
    return HostDevice(
        address=function.address,
        identity=f"{who.vendor}:{who.device}",
        subsystem=subsystem if who.is_complete else "",
        iommu_group=function.iommu_group,
        has_mdev=None,
    )
