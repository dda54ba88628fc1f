"""The checks of an attachment as a table. Each is a pure function of one case."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..model.finding import Finding
from ..model.vm import VmCase
from . import vmdisplay, vmhook, vmlines, vmmachine, vmmapping, vmmemory, vmslot, vmstate

VmCheck = Callable[[VmCase], Iterable[Finding]]

VM_CHECKS: tuple[VmCheck, ...] = (
    vmstate.check_state,
    vmstate.check_config_file,
    vmslot.check_there,
    vmslot.check_ready,
    vmhook.check_hook_place,
    vmhook.check_hook_idle,
    vmslot.check_owners,
    vmslot.check_overlap,
    vmlines.check_lines,
    vmmapping.check_mapping_file,
    vmmapping.check_mapping,
    vmmachine.check_machine,
    vmmachine.check_pcie,
    vmmachine.check_firmware,
    vmmachine.check_cpu,
    vmmachine.check_window,
    vmmachine.check_iommu_width,
    vmmemory.check_memory,
    vmmemory.check_hugepages,
    vmmemory.check_balloon,
    vmmemory.check_timeout,
    vmmemory.check_numa,
    vmdisplay.check_display,
    vmdisplay.check_rom,
    vmdisplay.check_option_rom,
    vmslot.check_reset_family,
    vmstate.check_agent,
    vmstate.check_starts_by_itself,
    vmstate.check_snapshots,
)

# finding -> the change of the configuration that mends it (planner/vmfixes.py)
FIX_OF = {
    "vm-q35": "q35",
    "vm-hookscript": "hookscript",
    "vm-slot-part": "whole-slot",
    "vm-pcie": "pcie",
    "vm-ovmf": "ovmf",
    "vm-efidisk": "efidisk",
    "vm-cpu": "cpu",
    "vm-window": "phys-bits",
    "vm-iommu-width": "phys-bits",
    "vm-balloon": "balloon",
    "vm-two-screens": "vga",
    "vm-agent": "agent",
    "vm-onboot": "onboot",
}


def run_vm_checks(case: VmCase) -> tuple[Finding, ...]:
    found: dict[tuple[str, str], Finding] = {}
    for check in VM_CHECKS:
        for each in check(case):
            found.setdefault((each.code, each.subject), each)
    return tuple(found.values())
