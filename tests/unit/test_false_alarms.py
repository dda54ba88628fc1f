"""Journals of servers on which nothing is wrong raise nothing (more of them: ``./dev alarms``)."""

from __future__ import annotations

import pytest

from hostpci.diagnose.engine import diagnose
from hostpci.model.diagnosis import Severity
from tests.ordinary_journal import journal

AER = "kernel: pcieport 0000:00:01.0: AER: Corrected error message received from 0000:01:00.0"


def _raised(lines: list[str]) -> set[str]:
    return {each.code for each in diagnose(lines) if each.severity is not Severity.INFO}


@pytest.mark.parametrize("with_card", [False, True])
@pytest.mark.parametrize(("size", "seed"), [(12_000, 2), (30_000, 3), (600_000, 4)])
def test_an_ordinary_journal_raises_nothing(size: int, seed: int, *, with_card: bool) -> None:
    lines = [*journal(size, seed=seed, with_card=with_card)]
    assert _raised(lines) == set()
    assert len(lines) > size / 200


@pytest.mark.parametrize("size", [0, 30_000])
def test_a_service_that_starts_is_no_fault(size: int) -> None:
    """A host may keep one NVIDIA card for containers while another card is with a guest."""
    quiet = [*journal(size, seed=7, with_card=True)]
    started = [
        "Nov 25 08:00:00 pve systemd[1]: Starting nvidia-persistenced.service - NVIDIA Daemon...",
        "Nov 25 08:00:00 pve nvidia-persistenced[901]: Started (901)",
        "Nov 25 08:00:00 pve systemd[1]: Started nvidia-persistenced.service - NVIDIA Daemon.",
    ]
    vfio = "Nov 25 08:00:01 pve kernel: vfio-pci 0000:02:00.0: enabling device (0000 -> 0003)"
    assert _raised([*started, vfio, *quiet]) == set()


def test_it_is_the_number_of_errors_in_a_short_time_that_makes_a_storm() -> None:
    quiet = [*journal(600_000, seed=5)]
    spread = [line for at in range(0, 4000, 400) for line in (*quiet[at : at + 400], AER)]
    assert _raised(spread) == set()
    assert _raised([*quiet, *[AER] * 12, *quiet]) == {"aer-storm"}


def test_a_fault_is_still_found_among_all_that() -> None:
    quiet = [*journal(300_000, seed=6, with_card=True)]
    fault = "kernel: vfio-pci 0000:01:00.0: BAR 1: can't reserve [mem 0x90000000-0x9fffffff pref]"
    assert _raised([*quiet[:900], f"Jan 01 08:00:00 pve {fault}", *quiet[900:]]) == {
        "bar-reserved-by-bootfb"
    }


UNPLUGGED = (
    (
        "libvirtd[1144]: Device 0000:02:00.0 not found: could not access"
        " /sys/bus/pci/devices/0000:02:00.0/config: No such file or directory"
    ),
    "kernel: pcieport 0000:00:1d.0: pciehp: Slot(12): Card not present",
    "kernel: pcieport 0000:00:1d.0: pciehp: Slot(12): Link Down",
)


@pytest.mark.parametrize("line", UNPLUGGED)
def test_a_disk_that_is_unplugged_is_not_a_card_that_is_missing(line: str) -> None:
    quiet = [*journal(300_000, seed=7, with_card=True)]
    assert _raised([*quiet[:900], f"Jan 01 08:00:00 pve {line}", *quiet[900:]]) == set()


def test_a_device_that_vfio_had_and_that_is_gone_is_missing() -> None:
    quiet = [*journal(300_000, seed=7, with_card=True)]
    line = UNPLUGGED[0].replace("0000:02", "0000:01")
    assert _raised([*quiet, f"Jan 02 08:00:00 pve {line}"]) == {"pci-device-missing"}
    assert _raised([UNPLUGGED[0]]) == {"pci-device-missing"}
