"""The checks as a table. Each is a pure function of the facts and one slot."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..errors import UsageError
from ..model.facts import Facts
from ..model.finding import Finding, Findings
from . import (
    binding,
    consent,
    device,
    elsewhere,
    guests,
    knobs,
    known_bad,
    leftovers,
    loader,
    nicnames,
    platform,
    risks,
    ways_in,
)  # fmt: skip
from .consent import weighed

Check = Callable[[Facts, str], Iterable[Finding]]

CHECKS: tuple[Check, ...] = (
    platform.check_platform,
    platform.check_cpu,
    platform.check_firmware_table,
    platform.check_iommu,
    platform.check_interrupt_remapping,
    platform.check_vfio_module,
    known_bad.check_known_bad,
    loader.check_loader,
    loader.check_secure_boot,
    loader.check_command_line,
    loader.check_esps,
    loader.check_pins,
    device.check_kind,
    device.check_identity,
    elsewhere.check_elsewhere,
    device.check_group,
    risks.check_group_strangers,
    risks.check_asserted_isolation,
    device.check_reserved_regions,
    risks.check_host_use,
    risks.check_processor_slot,
    guests.check_guests,
    guests.check_hook,
    ways_in.check_boot_vga,
    ways_in.check_last_input,
    device.check_sriov,
    device.check_reset,
    device.check_power,
    binding.check_drivers,
    binding.check_driver_places,
    binding.check_escape,
    binding.check_state,
    consent.check_consents,
    nicnames.check_nic_names,
    knobs.check_knobs,
    leftovers.check_leftovers,
)


def run_checks(facts: Facts, slot: str, accept: tuple[str, ...] = ()) -> Findings:
    """All findings about one slot. Raises UsageError if it is neither there nor claimed.

    ``accept``: names of risks that are accepted beside those that its claim holds.
    """
    require_assignable(facts, slot)
    claim = facts.claims.of_slot(slot)
    accepted = (*accept, *(claim.accept if claim else ()))
    found = (finding for check in CHECKS for finding in check(facts, slot))
    return Findings(slot=slot, findings=tuple(weighed(each, accepted) for each in found))


def require_assignable(facts: Facts, slot: str) -> None:
    """Raise UsageError unless the slot is there and holds no bridge.

    About a slot that is claimed all can be asked: what sits there may have changed since.
    """
    if facts.claims.of_slot(slot) is not None:
        return
    functions = facts.inventory.of_slot(slot)
    if not functions:
        raise UsageError("no-such-device", address=slot)
    bridges = device.bridges_of(facts, slot)
    if bridges:
        raise UsageError("is-a-bridge", address=bridges[0].address)
