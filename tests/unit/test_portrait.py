"""A host without a word in its logs is diagnosed by what it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hostpci.diagnose.engine import judge
from hostpci.diagnose.knowledge import load
from hostpci.diagnose.lines import messages
from hostpci.diagnose.portrait import portrait
from hostpci.diagnose.scan import Scan
from hostpci.model.claim import Claim, Claims
from hostpci.model.diagnosis import Diagnosis, Severity
from hostpci.model.facts import Facts
from hostpci.model.pci import VFIO

from .. import recorded_hosts


def _facts(name: str) -> Facts:
    return recorded_hosts.BuiltHost(recorded_hosts.describe(name)).facts()


def _diagnose(facts: Facts, lines: tuple[str, ...] = ()) -> tuple[Diagnosis, ...]:
    scan = Scan(load(), is_part=True)
    scan.feed(messages(lines))
    for log in portrait(facts):
        scan.feed(messages(log.lines, source=log.source))
    return judge(scan, facts)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("twins-caught-by-ids", "identical-gpus"),
        ("guide-by-hand-systemd-boot", "vfio-ids-incomplete"),
        ("claimed-card-moved", "pci-address-renumbered"),
    ],
)
def test_what_is_wrong_with_a_silent_host_comes_first(name: str, code: str) -> None:
    found = _diagnose(_facts(name))
    assert found[0].code == code
    assert found[0].sightings or found[0].devices


@pytest.mark.parametrize(
    "name",
    ["claimed-and-bound", "guide-by-hand-second-card", "twins-rx580", "renoir-shared-group",
     "nvidia-on-host-ollama", "plx-eight-2080ti", "pve92-kernel70-rtx5090", "egpu-thunderbolt"],
)  # fmt: skip
def test_a_host_on_which_nothing_is_wrong_is_left_in_peace(name: str) -> None:
    assert [
        each.code for each in _diagnose(_facts(name)) if each.severity is not Severity.INFO
    ] == []


def test_twins_that_are_both_claimed_were_not_captured() -> None:
    facts = _facts("twins-rx580")
    taken = [
        replace(each, driver=VFIO) if each.is_display else each
        for each in facts.inventory.functions
    ]
    facts = replace(facts, inventory=replace(facts.inventory, functions=tuple(taken)))
    assert "identical-gpus" in {each.code for each in _diagnose(facts)}
    slots = dict.fromkeys(each.slot for each in taken if each.is_display)
    claims = Claims(text="", claims=tuple(Claim(slot=slot, functions=()) for slot in slots))
    assert "identical-gpus" not in {each.code for each in _diagnose(replace(facts, claims=claims))}


STUCK = "vfio-pci 0000:02:00.0: Unable to change power state from D3hot to D0, device inaccessible"
KINDS = (
    "pci 0000:02:00.0: [10de:2882] type 00 class 0x030000",
    "pci 0000:07:00.0: [10de:2d04] type 00 class 0x030000",
    "nouveau 0000:07:00.0: NVIDIA GB206 (1b6000a1)",
)


LINK = "pcieport 0000:00:09.0: Data Link Layer Link Active not set in 1000 msec"


@pytest.mark.parametrize("also", [(), (LINK,)])
def test_a_fault_of_a_family_is_not_laid_at_another_cards_door(also: tuple[str, ...]) -> None:
    scan = Scan(load())
    scan.feed(messages((*KINDS, STUCK, *also)))
    assert judge(scan)[0].code == "power-stuck-d3"
    scan = Scan(load())
    scan.feed(messages((*KINDS, STUCK.replace("02:00", "07:00"))))
    assert judge(scan)[0].code == "reset-nvidia-blackwell-nouveau"


def test_a_driver_that_does_not_know_the_card_has_never_had_it() -> None:
    unknown = "nouveau 0000:07:00.0: unknown chipset (1b6000a1)"
    scan = Scan(load())
    scan.feed(messages((KINDS[1], unknown, STUCK.replace("02:00", "07:00"))))
    assert judge(scan)[0].code == "reset-nvidia-blackwell"


@pytest.mark.parametrize("source", ["", "journalctl --boot=0"])
def test_a_consequence_is_behind_its_cause_in_a_file_and_in_a_journal(source: str) -> None:
    fatal = "pcieport 0000:00:0f.0: AER: device recovery failed"
    scan = Scan(load(), is_part=True)
    scan.feed(messages((fatal, STUCK), source=source))
    found = {each.code: each for each in judge(scan)}
    assert found["power-stuck-d3"].explained_by == "aer-fatal"


def test_what_another_boot_said_is_no_consequence() -> None:
    scan = Scan(load(), is_part=True)
    scan.feed(messages(("pcieport 0000:00:0f.0: AER: device recovery failed",), source="this boot"))
    scan.feed(messages(("a line", STUCK), source="the boot before"))
    assert not {each.explained_by for each in judge(scan)} - {"", "power-stuck-d3"}


NO_REMAPPING = (
    "vfio_iommu_type1_attach_group: No interrupt remapping support.  Use the module param"
    ' "allow_unsafe_interrupts" to enable VFIO IOMMU support on this platform'
)


def test_how_an_earlier_boot_was_set_up_is_no_evidence() -> None:
    """Somebody has switched it off in the firmware since."""
    was_on = "AMD-Vi: Interrupt remapping enabled"
    scan = Scan(load(), is_part=True)
    scan.feed(messages((NO_REMAPPING,), source="journalctl --boot=0"))
    scan.feed(messages((was_on,), source="journalctl --boot=-1"))
    assert [each.code for each in judge(scan)][:1] == ["iommu-no-interrupt-remapping"]
