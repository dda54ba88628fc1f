from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from lab import kernel_log, rootdiff, tables
from lab.cards.device import FAULTS
from lab.errors import UsageError
from lab.machine import Boot, qemu_arguments
from lab.scenario import scenarios


def test_every_host_has_cards_that_exist() -> None:
    for host in tables.hosts().values():
        assert host.cards
        assert set(host.cards) <= tables.cards().keys()


def test_every_scenario_runs_on_hosts_that_exist() -> None:
    for scenario in scenarios().values():
        assert set(scenario.hosts) <= tables.hosts().keys()


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        tables.host("nonesuch")
    assert "guide-debian12" in caught.value.hint


def test_bars_of_one_function_do_not_overlap() -> None:
    for card in tables.cards().values():
        for function in card.functions:
            taken = [
                index
                for bar in function.bars
                for index in range(bar.index, bar.index + 1 + bar.is_64bit)
            ]
            assert len(taken) == len(set(taken))
            assert max(taken) < 6


def test_a_bar_size_that_is_no_power_of_two_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "cards.toml"
    table.write_text(
        '[odd]\ndescription = ""\n[[odd.function]]\nnumber = 0\nid = "1:1"\nsubsystem = "1:1"\n'
        "class = 0\nrevision = 0\ncapabilities = []\nresets = []\n"
        'bars = [{ index = 0, kind = "mem32", size = 100 }]\n'
    )
    with pytest.raises(UsageError, match="power of two"):
        tables.cards(table)


@pytest.mark.parametrize("name", tables.hosts())
def test_the_iommu_comes_before_every_device_and_cards_have_ports(name: str) -> None:
    host = tables.host(name)
    boot = Boot(
        host=host, cards=host.cards, disk=Path("disk"), disk_format="qcow2", accelerator="tcg"
    )
    words = qemu_arguments(boot, port=2222, sockets=Path("s"), run_dir=Path("r"))
    devices = [word for flag, word in pairwise(words) if flag == "-device"]
    if host.iommu:
        assert devices[0] == host.iommu
    own_ports = [host for host in devices if "pcie-root-port,id=port" in host]
    assert len(own_ports) == len(host.cards) - len(host.card_places)
    assert sum("vfio-user-pci" in each for each in devices) == 2 * len(host.cards)


def test_slots_are_numbered_as_the_host_numbers_its_buses() -> None:
    places = [tables.host("twins-debian12").place_of(at) for at in (0, 1, 15)]
    assert [each.address for each in places] == ["01:00", "02:00", "10:00"]
    assert {each.bus for each in places} == {""}


@pytest.mark.parametrize("name", tables.hosts())
def test_what_is_plugged_into_a_bridge_comes_after_it(name: str) -> None:
    host = tables.host(name)
    boot = Boot(
        host=host, cards=host.cards, disk=Path("disk"), disk_format="qcow2", accelerator="tcg"
    )
    words = qemu_arguments(boot, port=2222, sockets=Path("s"), run_dir=Path("r"))
    known = {"pcie.0"}
    for device in (word for flag, word in pairwise(words) if flag == "-device"):
        bus = re.search(r"""\bbus"?[=:] ?"?([\w.]+)""", device)
        assert bus is None or bus[1] in known, device
        known |= set(re.findall(r"\bid=(\w+)", device))


def test_boot_changes_cover_the_tools_own_journal_and_nothing_beside_it() -> None:
    rows = rootdiff.boot_changes()
    assert any(row.covers("/var/lib/hostpci/journal/1") for row in rows)
    for path in ("/var/lib/hostpcix", "/etc/hostpci.toml", "/etc/udev/rules.d/10-x.rules"):
        assert not any(row.covers(path) for row in rows)


def test_every_allowed_kernel_message_has_a_reason() -> None:
    assert all(row.reason and row.pattern for row in kernel_log.allowed_messages())


def test_a_card_like_another_differs_in_what_its_row_changes() -> None:
    whole, broken = tables.card("rtx4060"), tables.card("rtx4060-reset-bug")
    assert broken.functions[0] == replace(whole.functions[0], faults=("silent-after-flr",))
    assert broken.functions[1:] == whole.functions[1:]


def test_a_change_of_a_function_that_is_not_there_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "cards.toml"
    text = Path(tables.__file__).with_name("cards.toml").read_text(encoding="utf-8")
    table.write_text(f'{text}\n[odd]\ndescription = ""\nlike = "rtx4060"\nchange.7 = {{}}\n')
    with pytest.raises(UsageError, match="no function 7"):
        tables.cards(table)


def test_every_fault_of_a_card_is_one_that_a_device_has() -> None:
    named = {
        fault
        for card in tables.cards().values()
        for function in card.functions
        for fault in function.faults
    }
    assert named == FAULTS
