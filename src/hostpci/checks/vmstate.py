"""Can the configuration of this machine be changed now, and what happens to it by itself?"""

from __future__ import annotations

from collections.abc import Iterator

from ..model.finding import Finding, Level
from ..model.vm import VmCase
from ..pve.settings import is_true
from .say import fails, holds, unknown


def check_state(case: VmCase) -> Iterator[Finding]:
    """A device is not hot-plugged by PVE: a change of a running machine waits for its next start.

    Then nobody can tell what it runs with, and undo would take away what it still has.
    """
    vm = case.vm
    if vm.is_template:
        yield fails("vm-template", Level.FAIL, vm.name, blocks=True)
    if vm.lock:
        yield fails("vm-locked", Level.FAIL, vm.name, f"lock: {vm.lock}", blocks=True, lock=vm.lock)
    if vm.is_running:
        yield fails("vm-stopped", Level.FAIL, vm.name, blocks=True, vmid=str(vm.vmid))
    elif not vm.lock and not vm.is_template:
        yield holds("vm-stopped", vm.name)


def check_config_file(case: VmCase) -> Iterator[Finding]:
    """PVE reads what it can and writes back what it read: the rest of the file is gone then."""
    vm = case.vm
    if vm.lost_lines is None:
        yield unknown("vm-lost-lines", vm.name)
    elif vm.lost_lines:
        count = str(len(vm.lost_lines))
        yield fails(
            "vm-lost-lines", Level.FAIL, vm.name, *vm.lost_lines, blocks=True, count=count,
            path=f"/etc/pve/qemu-server/{vm.vmid}.conf",
        )  # fmt: skip
    if vm.pending and not vm.is_running:
        yield fails("vm-pending", Level.NOTICE, vm.name, keys=", ".join(vm.pending))


def check_starts_by_itself(case: VmCase) -> Iterator[Finding]:
    """Before the card is proven, a start that nobody watches can take the host along."""
    vm = case.vm
    if is_true(vm.config.get("onboot", "")):
        yield fails("vm-onboot", Level.NOTICE, vm.name, "onboot: 1")
    if vm.ha:
        yield fails("vm-ha", Level.WARN, vm.name, f"HA: {vm.ha}", sid=f"vm:{vm.vmid}")


def check_snapshots(case: VmCase) -> Iterator[Finding]:
    vm = case.vm
    names = [each.name for each in vm.snapshots]
    with_slot = [each.name for each in vm.snapshots if each.keys]
    if with_slot:
        yield fails("vm-in-snapshot", Level.INFO, vm.name, *with_slot)
    elif names:
        yield fails("vm-old-snapshots", Level.INFO, vm.name, *names)


def check_agent(case: VmCase) -> Iterator[Finding]:
    """The guest's driver is installed and proven through it."""
    text = case.vm.config.get("agent", "")
    if is_true(text.partition(",")[0].removeprefix("enabled=")):
        yield holds("vm-agent", case.vm.name)
    else:
        yield fails("vm-agent", Level.NOTICE, case.vm.name, f"agent: {text or '-'}")
