"""What the facts of the host say, where its logs do not."""

from __future__ import annotations

from collections.abc import Iterable

from ..model.facts import Facts
from ..model.pci import VFIO, PciFunction
from .case import UNKNOWN, Answer, Case, fails, holds
from .observations import observes_facts
from .passed import is_passed

_D3COLD = "D3cold"


def _if(condition: bool | None, detail: str = "", devices: Iterable[str] = ()) -> Answer:  # noqa: FBT001
    if condition is None:
        return UNKNOWN
    return holds(detail=detail, devices=devices) if condition else fails()


def _passed(facts: Facts, case: Case) -> tuple[PciFunction, ...]:
    return tuple(each for each in facts.inventory.functions if is_passed(case, each.address))


@observes_facts("iommu-tables-absent")
def tables_absent(facts: Facts, _case: Case) -> Answer:
    tables = facts.iommu.tables
    return _if(None if tables is None else not tables)


@observes_facts("iommu-tables-present")
def tables_present(facts: Facts, _case: Case) -> Answer:
    tables = facts.iommu.tables
    return _if(None if tables is None else bool(tables), " ".join(tables or ()))


@observes_facts("iommu-in-use")
def iommu_in_use(facts: Facts, _case: Case) -> Answer:
    return _if(bool(facts.iommu.units), " ".join(facts.iommu.units))


@observes_facts("interrupts-not-remapped")
def interrupts_not_remapped(facts: Facts, _case: Case) -> Answer:
    remapped = facts.iommu.interrupt_remapping
    return _if(None if remapped is None else not remapped)


@observes_facts("interrupts-remapped")
def interrupts_remapped(facts: Facts, _case: Case) -> Answer:
    return _if(facts.iommu.interrupt_remapping)


@observes_facts("cpu-intel")
def cpu_intel(facts: Facts, _case: Case) -> Answer:
    return _if("Intel" in facts.cpu.vendor, facts.cpu.model) if facts.cpu.vendor else UNKNOWN


@observes_facts("cpu-amd")
def cpu_amd(facts: Facts, _case: Case) -> Answer:
    return _if("AMD" in facts.cpu.vendor, facts.cpu.model) if facts.cpu.vendor else UNKNOWN


@observes_facts("iommu-word-on")
def word_on(facts: Facts, _case: Case) -> Answer:
    return _if("intel_iommu=on" in facts.kernel.command_line)


@observes_facts("idle-d3-disabled")
def idle_d3_disabled(facts: Facts, _case: Case) -> Answer:
    value = facts.options.parameters.get("vfio_pci.disable_idle_d3")
    return _if(None if value is None else value == "Y")


@observes_facts("idle-d3-allowed")
def idle_d3_allowed(facts: Facts, _case: Case) -> Answer:
    value = facts.options.parameters.get("vfio_pci.disable_idle_d3")
    return _if(None if value is None else value == "N")


@observes_facts("passed-device-on-vfio")
def passed_on_vfio(facts: Facts, case: Case) -> Answer:
    passed = _passed(facts, case)
    drivers = " ".join(f"{each.address}={each.driver or '-'}" for each in passed)
    return _if(all(each.driver == VFIO for each in passed) if passed else None, drivers)


@observes_facts("device-does-not-answer")
def does_not_answer(facts: Facts, case: Case) -> Answer:
    gone = [each.address for each in _passed(facts, case) if each.class_code == 0xFFFFFF]  # noqa: PLR2004
    return holds(devices=gone, detail=" ".join(gone)) if gone else UNKNOWN


@observes_facts("device-power-state-d3")
def power_state_d3(facts: Facts, case: Case) -> Answer:
    asleep = [each.address for each in _passed(facts, case) if each.power_state == _D3COLD]
    return holds(devices=asleep, detail=" ".join(asleep)) if asleep else UNKNOWN


@observes_facts("reset-methods-empty")
def methods_empty(facts: Facts, case: Case) -> Answer:
    passed = _passed(facts, case)
    bare = [each.address for each in passed if not each.reset_methods]
    return _if(bool(bare) if passed else None, " ".join(bare), bare)


@observes_facts("reset-methods-have-flr")
def methods_have_flr(facts: Facts, case: Case) -> Answer:
    passed = _passed(facts, case)
    return _if(any("flr" in each.reset_methods for each in passed) if passed else None)


@observes_facts("boot-display")
def boot_display(facts: Facts, case: Case) -> Answer:
    first = [each.address for each in _passed(facts, case) if each.boot_vga]
    return holds(devices=first, detail=" ".join(first)) if first else UNKNOWN


@observes_facts("reserved-direct")
def reserved_direct(facts: Facts, case: Case) -> Answer:
    passed = _passed(facts, case)
    groups = [facts.inventory.group(each.iommu_group) for each in passed]
    ranges = sorted({each for group in groups if group for each in group.reserved_direct})
    return _if(bool(ranges) if passed else None, " ".join(ranges))


@observes_facts("group-of-several-slots")
def several_slots(facts: Facts, case: Case) -> Answer:
    slots = {each.slot for each in _passed(facts, case)}
    others = sorted({o.address for slot in slots for o in facts.inventory.strangers_of(slot)})
    return holds(devices=others, detail=" ".join(others)) if others else UNKNOWN


@observes_facts("claimed-device-moved")
def claimed_device_moved(facts: Facts, _case: Case) -> Answer:
    """What was claimed there is not there, and another function is."""
    for claim in facts.claims.claims:
        for wanted in claim.functions:
            there = facts.inventory.function(wanted.address)
            if there is not None and there.identity != wanted.identity:
                return holds(devices=(wanted.address,))
    return UNKNOWN
