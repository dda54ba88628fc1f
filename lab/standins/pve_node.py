#!/usr/bin/python3
"""Runs in a lab host, as pvesh and qm: the tests' node of Proxmox VE over a guest that is real.

The tests' node answers and keeps its state; here a start and a stop are those of the second guest,
whether it runs is looked at, and configurations lie where Proxmox VE shows them as files.
`pve_node.py setup` makes the node with one machine; `start ID` and `stop ID` are its hooks.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

_TREE = "/opt/pvenode"
sys.path[:0] = [_TREE, f"{_TREE}/src", "/var/lib/lab"]

import second_guest  # type: ignore[import-not-found]  # noqa: E402

from hostpci.facts.look import Look  # noqa: E402
from hostpci.facts.pci import read_inventory  # noqa: E402
from hostpci.facts.pveview import read_pve_view  # noqa: E402
from hostpci.host.root import TreeRoot  # noqa: E402
from hostpci.host.runner import RefusingRunner  # noqa: E402
from hostpci.model.pci import Inventory  # noqa: E402
from hostpci.pve.showcmd import hostpci_arguments  # noqa: E402
from tests.pvenode import hardware, pvesh  # noqa: E402
from tests.pvenode.node import Node, config_text, empty_state  # noqa: E402

_SELF = "/opt/pvenode/pve_node.py"
_HOME = Path("/var/lib/pvenode")
_CONFIGS = Path("/etc/pve/qemu-server")
_VMID = 100
_CONFIG = {
    "name": "second", "machine": "q35", "memory": "128", "agent": "1", "ostype": "l26",
}  # fmt: skip


def set_up() -> None:
    """A fresh node with one machine, without a card."""
    _HOME.mkdir(exist_ok=True)
    node = Node(empty_state(9, socket.gethostname()), home=_HOME)
    node.add_vm(_VMID, _CONFIG, guest={"socket": f"{second_guest.RUN}/{_VMID}.qga"})
    node.state["devices"] = hardware.devices_of(_inventory(Look(TreeRoot("/"))).functions)
    node.state["storages"]["local"]["path"] = "/var/lib/vz"
    node.state["hooks"] = {word: [_SELF, word] for word in ("start", "stop")}
    node.save()
    _show(node)


def _inventory(look: Look) -> Inventory:
    return read_inventory(look, RefusingRunner())


def _look(node: Node) -> None:
    """A power cut of the host ends machines without telling the node."""
    for vmid, vm in node.state["vms"].items():
        pid = second_guest.pid_of(int(vmid))
        vm["status"] = "stopped" if pid is None else "running"
        vm["pid"] = pid or 0


def _show(node: Node) -> None:
    _CONFIGS.mkdir(parents=True, exist_ok=True)
    for vmid, vm in node.state["vms"].items():
        (_CONFIGS / f"{vmid}.conf").write_text(config_text(vm), encoding="utf-8")


def devices_of(vmid: str) -> list[str]:
    """What PVE would give QEMU for the devices that the configuration hands in."""
    node = Node(home=_HOME)
    node.load()
    look = Look(TreeRoot("/"))
    view = read_pve_view(look, _inventory(look))
    found = hostpci_arguments(node.vm(vmid)["config"], view, vmid=int(vmid))
    return [word for device in found.devices for word in ("-device", device)]


def hook(event: str, vmid: str) -> int:
    """What the tests' node runs in the middle of a start and a stop."""
    try:
        if event == "start":
            second_guest.start(int(vmid), devices_of(vmid))
        elif not second_guest.shut_down(int(vmid)):
            second_guest.stop(int(vmid))
    except second_guest.GuestFailedError as error:
        print(error)
        return 1
    return 0


def main(words: list[str]) -> int:
    """As pvesh or qm by the name that this was called by."""
    name = Path(words[0]).name
    if name not in ("pvesh", "qm"):
        if words[1:] == ["setup"]:
            set_up()
            return 0
        return hook(*words[1:3])
    node = Node(home=_HOME)
    with node.session():
        _look(node)
    status = pvesh.main(name)
    with node.session():
        _show(node)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv))
