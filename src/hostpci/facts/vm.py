"""What a virtual machine and its node are like: asked of PVE, and of the node's own files there.

From outside only PVE can be asked; what it does not tell stays unknown.
"""

from __future__ import annotations

import re
from dataclasses import replace

from ..errors import EnvironmentFault, RefusedError
from ..host.root import Root
from ..model.address import is_in_slot
from ..model.facts import Facts
from ..model.guests import Guest, GuestDevice, GuestKind
from ..model.knob import lent_to
from ..model.vm import (
    HugePages,
    Mapping,
    NodeDevice,
    NodeFacts,
    Snapshot,
    VmCase,
    VmFacts,
    Wanted,
)
from ..pve.mapping import parse_mappings
from ..pve.node import Pve
from ..pve.settings import hostpci_lines
from ..pve.vmconfig import parse_vm_config
from .guests import MAPPINGS, VM_CONFIGS
from .look import Look
from .snippets import read_hook_place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HUGE = "/sys/kernel/mm/hugepages"
_IOMMUS = "/sys/class/iommu"
_ROMS = "/usr/share/kvm"
_MGAW_SHIFT, _MGAW_MASK = 16, 0x3F


def read_case(pve: Pve, vmid: int, wanted: Wanted, host: Facts | None, root: Root) -> VmCase:
    """``host``: the facts of this machine, if it is the node. Raises PveError, RefusedError."""
    try:
        look = Look(root) if host is not None else None
        here, where = pve.node(), pve.node_of(vmid)
        if where != here:
            raise RefusedError("vm-elsewhere", vmid=vmid, node=where, here=here)
        node = _node(pve, here, wanted.slot, look)
        if host is None:
            node = _with_others(pve, node, vmid)
        elif _is_lent(host, wanted.slot, vmid):
            node = replace(node, hook=read_hook_place(pve, here))
        vm = _machine(pve, node, vmid, wanted, look)
        return VmCase(
            vm=vm, node=node, wanted=wanted, lines=hostpci_lines(vm.config, node), host=host
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        # An answer that lacks what PVE's schema promises
        raise EnvironmentFault("vm-odd-answer", reason=repr(error)[:200]) from error


def _is_lent(host: Facts, slot: str, vmid: int) -> bool:
    claim = host.claims.of_slot(slot)
    return claim is not None and lent_to(claim) == vmid


def _machine(pve: Pve, node: NodeFacts, vmid: int, wanted: Wanted, look: Look | None) -> VmFacts:
    path = f"/nodes/{node.name}/qemu/{vmid}"
    config = {key: str(value) for key, value in pve.call("get", f"{path}/config").items()}
    status = pve.call("get", f"{path}/status/current")
    pending = pve.call("get", f"{path}/pending")
    ha = status.get("ha") or {}
    text = look.raw(f"{VM_CONFIGS}/{vmid}.conf") if look else None
    return VmFacts(
        vmid=vmid, node=node.name, digest=config.pop("digest", ""), config=config,
        is_running=status["status"] != "stopped", is_template=_is_set(status, "template"),
        lock=str(config.get("lock", status.get("lock", ""))),
        pending=tuple(
            sorted(str(each["key"]) for each in pending if "pending" in each or "delete" in each)
        ),
        lost_lines=None if text is None else _lost(text, vmid, node.version[0]),
        snapshots=(
            _asked_snapshots(pve, path, wanted.slot, node)
            if text is None
            else _read_snapshots(text, vmid, wanted.slot, node)
        ),
        ha=str(ha.get("state") or "managed") if _is_set(ha, "managed") else "",
    )  # fmt: skip


def _is_set(values: dict[str, Any], key: str) -> bool:
    return str(values.get(key, 0)) == "1"


def _lost(text: str, vmid: int, version: int) -> tuple[str, ...]:
    found = parse_vm_config(text, vmid=vmid, pve=version).dropped
    return tuple(f"{each.line_number}: {each.line}" for each in found)


def _read_snapshots(text: str, vmid: int, slot: str, node: NodeFacts) -> tuple[Snapshot, ...]:
    """From the file, for pvesh takes most of a second for each."""
    found = parse_vm_config(text, vmid=vmid, pve=node.version[0]).snapshots
    return tuple(_snapshot(name, dict(config), slot, node) for name, config in found.items())


def _asked_snapshots(pve: Pve, path: str, slot: str, node: NodeFacts) -> tuple[Snapshot, ...]:
    names = [str(each["name"]) for each in pve.call("get", f"{path}/snapshot")]
    return tuple(
        _snapshot(name, pve.call("get", f"{path}/config", {"snapshot": name}), slot, node)
        for name in names
        if name != "current"
    )


def _snapshot(name: str, config: dict[str, Any], slot: str, node: NodeFacts) -> Snapshot:
    keys = tuple(each.key for each in _devices(config, node) if _is_of(each, slot))
    return Snapshot(name=name, keys=keys)


def _devices(config: dict[str, Any], node: NodeFacts) -> tuple[GuestDevice, ...]:
    texts = {key: str(value) for key, value in config.items()}
    return tuple(each.as_device() for each in hostpci_lines(texts, node))


def _is_of(device: GuestDevice, slot: str) -> bool:
    return any(is_in_slot(place, slot) for place in device.places)


# the node


def _node(pve: Pve, name: str, slot: str, look: Look | None) -> NodeFacts:
    listed = pve.call("get", "/cluster/mapping/pci")
    memory = pve.call("get", f"/nodes/{name}/status")["memory"]
    # An empty list of classes: the default leaves out those that may share a group
    devices = pve.call("get", f"/nodes/{name}/hardware/pci", {"pci-class-blacklist": ""})
    available = memory.get("available", memory.get("free"))
    lost, lost_lines = _lost_mappings(look, listed)
    return NodeFacts(
        name=name, version=pve.version(), is_local_root=pve.is_local_root,
        lost_mappings=lost, lost_mapping_lines=lost_lines,
        devices=tuple(_pci(each) for each in devices),
        mappings=tuple(_mapping(each) for each in listed),
        mapping_digest=next((str(each["digest"]) for each in listed if each.get("digest")), ""),
        memory_total_bytes=int(memory["total"]),
        memory_available_bytes=_available(look) or (None if available is None else int(available)),
        phys_bits=_phys_bits(look), iommu_bits=_iommu_bits(look), hugepages=_hugepages(look),
        numa_node=_numa_node(look, slot), numa_nodes=_numa_nodes(look),
        romfiles=look.names_or_none(_ROMS) if look else None,
    )  # fmt: skip


def _lost_mappings(
    look: Look | None, listed: list[dict[str, Any]]
) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Sections without a valid ``map``, and the other lines that PVE cannot read; None: who asks
    from outside is not told of them."""
    lost = [str(each["id"]) for each in listed if not each.get("map")]
    text = look.raw(MAPPINGS) if look else None
    if look is None:
        return (tuple(lost) or None), ()
    found = parse_mappings(text or "")
    lost += [name for name, section in found.sections.items() if section is None]
    lines = tuple(" ".join(each.split()) for each in found.warnings)
    return tuple(dict.fromkeys(lost)), lines


def _pci(each: dict[str, Any]) -> NodeDevice:
    subsystem = [each.get("subsystem_vendor"), each.get("subsystem_device")]
    return NodeDevice(
        address=str(each["id"]), class_code=int(str(each["class"]), 16),
        ids=f"{_four(each['vendor'])}:{_four(each['device'])}",
        subsystem=":".join(_four(part) for part in subsystem) if all(subsystem) else "",
        group=int(each.get("iommugroup", -1)),
    )  # fmt: skip


def _four(text: object) -> str:
    return f"{int(str(text), 16):04x}"


def _mapping(each: dict[str, Any]) -> Mapping:
    entries = tuple(str(entry) for entry in each.get("map", ()))
    return Mapping(name=str(each["id"]), entries=entries, is_mdev=_is_set(each, "mdev"))


def _with_others(pve: Pve, node: NodeFacts, vmid: int) -> NodeFacts:
    found = []
    for each in pve.call("get", f"/nodes/{node.name}/qemu"):
        number = int(each["vmid"])
        if number != vmid:
            config = pve.call("get", f"/nodes/{node.name}/qemu/{number}/config")
            devices = _devices(config, node)
            if devices:
                is_running = each.get("status") != "stopped"
                found.append(
                    Guest(number=number, kind=GuestKind.VM, is_running=is_running, devices=devices)
                )
    return replace(node, others=tuple(found))


# the node's own files


def _available(look: Look | None) -> int | None:
    """What can be had without swapping; PVE's own figure counts every cache as used."""
    match = re.search(
        r"MemAvailable:\s+(\d{1,15}) kB", (look.raw("/proc/meminfo") or "") if look else ""
    )
    return int(match[1]) << 10 if match else None


def _phys_bits(look: Look | None) -> int | None:
    text = (look.raw("/proc/cpuinfo") or "") if look else ""
    match = re.search(r"address sizes\s*: (\d{1,3}) bits physical", text)
    return int(match[1]) if match else None


def _iommu_bits(look: Look | None) -> int | None:
    """The narrowest Intel unit (VT-d specification, capability register, MGAW); AMD's has none."""
    if look is None:
        return None
    found = []
    for name in look.names(_IOMMUS):
        cap = look.number(f"{_IOMMUS}/{name}/intel-iommu/cap", 16)
        if cap is not None:
            found.append((cap >> _MGAW_SHIFT & _MGAW_MASK) + 1)
    return min(found, default=None)


def _hugepages(look: Look | None) -> tuple[HugePages, ...] | None:
    names = look.names_or_none(_HUGE) if look else None
    if look is None or names is None:
        return None
    found = []
    for name in names:
        match = re.fullmatch(r"hugepages-(\d{1,9})kB", name)
        total = look.number(f"{_HUGE}/{name}/nr_hugepages")
        free = look.number(f"{_HUGE}/{name}/free_hugepages")
        if match and total is not None and free is not None:
            found.append(HugePages(size_mib=int(match[1]) >> 10, total=total, free=free))
    return tuple(found)


def _numa_node(look: Look | None, slot: str) -> int | None:
    """-1: the board does not say."""
    number = look.number(f"/sys/bus/pci/devices/{slot}.0/numa_node") if look else None
    return None if number is None or number < 0 else number


def _numa_nodes(look: Look | None) -> int | None:
    names = look.names_or_none("/sys/devices/system/node") if look else None
    return None if names is None else sum(bool(re.fullmatch(r"node\d+", each)) for each in names)
