"""A node with a claimed card and a machine, as attach finds them: facts, a tree, and a fake PVE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hostpci.executor.apply import Machine
from hostpci.facts.vm import read_case
from hostpci.host.files import HostFiles
from hostpci.host.root import TreeRoot
from hostpci.host.runner import RefusingRunner
from hostpci.model.vm import Attachment, VmCase, Wanted
from hostpci.planner.attach import plan_attach
from hostpci.pve.node import Pve

from .hosts import AUDIO, SLOT, VGA, RecordedHost
from .pvenode.doors import shell
from .pvenode.hardware import devices_of
from .pvenode.node import Node, empty_state
from .unit.support import claimed, reserved

VMID = 100
GOOD = {
    "name": "gpu", "machine": "q35", "bios": "ovmf", "cpu": "host", "memory": "4096",
    "balloon": "0", "agent": "1", "ostype": "l26", "scsihw": "virtio-scsi-single",
    "efidisk0": "local-lvm:vm-100-disk-0,efitype=4m,pre-enrolled-keys=0,size=4M",
    "scsi0": "local-lvm:vm-100-disk-1,size=32G", "boot": "order=scsi0",
    "net0": "virtio=BC:24:11:00:00:64,bridge=vmbr0",
}  # fmt: skip


def ready_host() -> RecordedHost:
    """Claimed, and both functions on vfio-pci."""
    host = claimed(RecordedHost())
    for address in (VGA, AUDIO):
        reserved(host, address, "vfio-pci")
    return host


class World:
    """``config``: of VM 100; ``host`` None: looked at from outside."""

    def __init__(
        self,
        directory: Path | None = None,
        *,
        version: int = 9,
        host: RecordedHost | None = None,
        **config: Any,
    ) -> None:
        self.host = host or ready_host()
        self.tree = str(directory) if directory else "/nonexistent"
        self.node = Node(empty_state(version))
        values = {**GOOD, **config}
        self.node.add_vm(VMID, {key: value for key, value in values.items() if value is not None})
        self.facts = self.host.facts()
        self.node.state["devices"] = devices_of(self.facts.inventory.functions)
        self.pve: Pve = shell(self.node)
        self.is_outside = False

    @property
    def vm(self) -> dict[str, Any]:
        return self.node.vm(VMID)

    @property
    def config(self) -> dict[str, Any]:
        values: dict[str, Any] = self.vm["config"]
        return values

    def case(self, **wanted: Any) -> VmCase:
        asked = Wanted(slot=SLOT, **wanted)
        facts = None if self.is_outside else self.facts
        return read_case(self.pve, VMID, asked, facts, TreeRoot(self.tree))

    def plan(self, **wanted: Any) -> Attachment:
        return plan_attach(self.case(**wanted))

    @property
    def machine(self) -> Machine:
        return Machine(
            files=HostFiles(self.tree), runner=RefusingRunner(), is_live=False, boot_id="one",
            pve=lambda: self.pve,
        )  # fmt: skip
