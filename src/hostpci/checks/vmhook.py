"""The hook script of a slot that is lent: PVE starts no machine whose script it does not find."""

from __future__ import annotations

from collections.abc import Iterator

from ..model.finding import Finding, Level
from ..model.hook import HOOK, is_our_volume
from ..model.knob import lent_to
from ..model.vm import VmCase
from .say import fails, holds, unknown


def check_hook_place(case: VmCase) -> Iterator[Finding]:
    """A machine takes the name of its script along, to another node or out of a backup."""
    place, vm = case.node.hook, case.vm
    if place is None:
        return
    if not place.volume:
        folder = HOOK.rpartition("/")[0]
        yield fails("vm-hook-storage", Level.FAIL, vm.name, blocks=True, folder=folder)
        return
    if place.without:
        yield fails(
            "vm-hook-nodes", Level.WARN, vm.name, *place.without, nodes=", ".join(place.without)
        )
    if place.unasked:
        yield unknown("vm-hook-unasked", vm.name, *place.unasked, nodes=", ".join(place.unasked))
    if not place.without and not place.unasked:
        yield holds("vm-hook-nodes", vm.name, place.volume)


def check_hook_idle(case: VmCase) -> Iterator[Finding]:
    """It lets the machine start, but as long as it is named it has to lie there."""
    vm, script = case.vm, case.vm.config.get("hookscript", "")
    if case.host is None or not is_our_volume(script):
        return
    if not any(lent_to(each) == vm.vmid for each in case.host.claims.claims):
        yield fails("vm-hookscript-idle", Level.NOTICE, vm.name, script, vmid=str(vm.vmid))
