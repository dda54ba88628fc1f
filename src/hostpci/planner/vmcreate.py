"""From what is asked for and what is there to one step: the whole machine in one call."""

from __future__ import annotations

from urllib.parse import quote

from ..checks.vmcreate import bridge, check_create, disk_storage, snippet_storage
from ..model.plan import Plan, VmCreateStep
from ..model.vmcreate import Storage, Surroundings, VmWish

# The agent is what everything after this asks the guest with; the image does not have it.
# PVE makes the user data itself (key, name), vendor data is what is added to it.
_VENDOR = """\
#cloud-config
# Written by hostpci for VM {vmid}; 'hostpci undo' removes it with the machine.
package_update: true
packages:
  - qemu-guest-agent
runcmd:
  - [systemctl, enable, --now, qemu-guest-agent]
"""


def plan_create(wish: VmWish, there: Surroundings) -> Plan:
    findings = tuple(check_create(wish, there))
    refusals = tuple(each for each in findings if each.blocks)
    storage, wire = disk_storage(wish, there), bridge(wish, there)
    if refusals or storage is None or wire is None:
        return Plan(steps=(), refusals=refusals)
    return Plan(
        steps=(_step(wish, there, storage, wire),),
        notes=tuple(each for each in findings if not each.blocks),
    )


def _step(wish: VmWish, there: Surroundings, storage: Storage, wire: str) -> VmCreateStep:
    snippets, vmid = snippet_storage(there), there.free_id
    path = volume = ""
    if snippets is not None:
        name = f"hostpci-vendor-{vmid}.yaml"
        path, volume = f"{snippets.snippets}/{name}", f"{snippets.name}:snippets/{name}"
    settings = _settings(wish, there, storage.name, wire)
    if volume:
        settings["cicustom"] = f"vendor={volume}"
    return VmCreateStep(
        code="vm-create", node=there.node, vmid=vmid, uuid=wish.uuid,
        settings=settings, disk_gib=wish.disk_gib,
        snippet=path, snippet_text=_VENDOR.format(vmid=vmid) if path else "",
    )  # fmt: skip


def _settings(wish: VmWish, there: Surroundings, storage: str, wire: str) -> dict[str, str]:
    """As qm would be given them.

    The keys of Secure Boot are left out unless asked for: with them the firmware runs only signed
    code, and a driver that is built in the guest has no signature that it knows. ``scsi0`` with
    size 0 is PVE's word for "as large as what is imported".
    """
    keys = int(wish.has_secure_boot)
    return {
        "name": wish.name, "ostype": "l26", "machine": "q35", "bios": "ovmf",
        "efidisk0": f"{storage}:1,efitype=4m,pre-enrolled-keys={keys}",
        "cpu": "host", "sockets": "1", "cores": str(wish.cores),
        "memory": str(wish.memory_mib), "balloon": "0", "scsihw": "virtio-scsi-single",
        "scsi0": f"{storage}:0,import-from={wish.image},discard=on,iothread=1,ssd=1",
        "ide2": f"{storage}:cloudinit", "boot": "order=scsi0",
        "net0": f"virtio,bridge={wire}", "ipconfig0": "ip=dhcp", "agent": "1",
        "serial0": "socket", "vga": "std", "sshkeys": quote(there.keys.text + "\n", safe=""),
        "ciupgrade": "0", "smbios1": f"uuid={wish.uuid}",
    }  # fmt: skip
