"""The rule file, and what a boot with it would bind."""

from __future__ import annotations

import pytest

from hostpci.demo.nextboot import Boot
from hostpci.model.claim import Claim, ClaimedFunction
from hostpci.model.rule import RULE_NAME, rule_path, rule_text

from ..hosts import AUDIO, SLOT, VGA, RecordedHost
from .support import claim_of, claimed, identity, next_boot, with_rule

TWIN = "0000:02:00"
VFIO = "vfio-pci"


def with_rules(host: RecordedHost, *slots: str) -> RecordedHost:
    claimed(host, *slots)
    for slot in slots:
        with_rule(host, slot, after_image_s=1)
    return host


def on_vfio(host: RecordedHost) -> list[str]:
    """Addresses that the next boot gives to vfio-pci."""
    return [address for address, driver in next_boot(host).items() if driver == VFIO]


def boot_of(host: RecordedHost, rules: dict[str, str]) -> dict[str, str | None]:
    facts = host.facts()
    return Boot(facts.inventory, facts.kernel.command_line).run(rules)


# the text


@pytest.mark.parametrize(
    ("slot", "path"),
    [
        (SLOT, "/etc/udev/rules.d/10-hostpci-0000-01-00.rules"),
        ("10000:e1:1f", "/etc/udev/rules.d/10-hostpci-10000-e1-1f.rules"),
    ],
)
def test_the_rule_of_a_slot_has_its_own_file(slot: str, path: str) -> None:
    assert rule_path(slot) == path
    assert RULE_NAME.fullmatch(path.rpartition("/")[2])


@pytest.mark.parametrize(
    "name",
    [
        "10-hostpci-0000-01-00.rules.dpkg-old",
        "10-hostpci-0000-01-00.rule",
        "11-hostpci-0000-01-00.rules",
        "10-hostpci-1-01-00.rules",
        "10-hostpci-0000-01-00-1.rules",
        "99-hostpci.rules",
        "10-hostpci-0000-01-00.rules\n",
        "10-hostpci-0000-0A-00.rules",
    ],
)
def test_other_names_are_not_ours(name: str) -> None:
    assert RULE_NAME.fullmatch(name) is None


def test_the_rule_of_the_guides_card_is_this_text(guide: RecordedHost) -> None:
    lines = rule_text(claim_of(guide.facts())).splitlines()
    code = [line for line in lines if line and not line.startswith("#")]
    assert code == [
        'ACTION!="add", GOTO="hostpci_end"',
        'SUBSYSTEM!="pci", GOTO="hostpci_end"',
        'IMPORT{cmdline}="hostpci"',
        'ENV{hostpci}=="off", GOTO="hostpci_end"',
        f'ATTR{{[pci/{VGA}]vendor}}=="0x10de", \\',
        f'ATTR{{[pci/{VGA}]device}}=="0x2d04", \\',
        f'ATTR{{[pci/{VGA}]subsystem_vendor}}=="0x10b0", \\',
        f'ATTR{{[pci/{VGA}]subsystem_device}}=="0x205e", \\',
        f'ATTR{{[pci/{AUDIO}]vendor}}=="0x10de", \\',
        f'ATTR{{[pci/{AUDIO}]device}}=="0x22eb", \\',
        f'ATTR{{[pci/{AUDIO}]subsystem_vendor}}=="0x10b0", \\',
        f'ATTR{{[pci/{AUDIO}]subsystem_device}}=="0x205e", \\',
        'GOTO="hostpci_identified"',
        'GOTO="hostpci_end"',
        'LABEL="hostpci_identified"',
        f'ATTR{{[pci/{VGA}]driver_override}}="vfio-pci"',
        f'ATTR{{[pci/{AUDIO}]driver_override}}="vfio-pci"',
        (
            f'KERNEL=="{VGA}|{AUDIO}", ATTR{{subsystem/drivers_probe}}="%k", '
            'RUN{builtin}+="kmod load vfio-pci"'
        ),
        'LABEL="hostpci_end"',
    ]


def test_the_rule_ends_with_a_line_end_and_is_plain_ascii(guide: RecordedHost) -> None:
    text = rule_text(claim_of(guide.facts()))
    assert text.endswith("\n")
    assert text.isascii()
    assert "\r" not in text


def test_the_same_claim_has_the_same_bytes() -> None:
    assert rule_text(claim_of(RecordedHost().facts())) == rule_text(
        claim_of(RecordedHost().facts())
    )


# what it binds


def test_every_function_of_the_claimed_slot_is_bound_and_nobody_else(guide: RecordedHost) -> None:
    before = next_boot(guide)
    after = next_boot(with_rules(guide, SLOT))
    assert {address for address in after if after[address] != before[address]} == {VGA, AUDIO}
    assert on_vfio(guide) == [VGA, AUDIO]


@pytest.mark.parametrize("mine", [SLOT, TWIN])
def test_of_two_identical_cards_only_the_claimed_one_is_bound(
    guide: RecordedHost, mine: str
) -> None:
    assert on_vfio(with_rules(guide.with_twin(), mine)) == [f"{mine}.0", f"{mine}.1"]


def test_two_claims_are_both_bound(guide: RecordedHost) -> None:
    with_rules(guide.with_twin(), SLOT, TWIN)
    assert on_vfio(guide) == [VGA, AUDIO, f"{TWIN}.0", f"{TWIN}.1"]


def test_a_claim_in_another_domain_is_bound_there(guide: RecordedHost) -> None:
    with_rules(guide.with_twin("10000:01:00"), "10000:01:00")
    assert on_vfio(guide) == ["10000:01:00.0", "10000:01:00.1"]


@pytest.mark.parametrize("address", [VGA, AUDIO])
@pytest.mark.parametrize("name", ["vendor", "device", "subsystem_vendor", "subsystem_device"])
def test_if_any_id_of_any_function_is_another_nothing_is_bound(
    guide: RecordedHost, address: str, name: str
) -> None:
    assert on_vfio(with_rules(guide, SLOT).with_identity(address, **{name: "ffff"})) == []


def test_one_exchanged_card_does_not_keep_the_other_from_its_binding(guide: RecordedHost) -> None:
    with_rules(guide.with_twin(), SLOT, TWIN).with_identity(AUDIO, device="ffff")
    assert on_vfio(guide) == [f"{TWIN}.0", f"{TWIN}.1"]


def test_if_a_function_is_missing_nothing_is_bound(guide: RecordedHost) -> None:
    with_rules(guide, SLOT)
    listed = guide.data["directories"]["/sys/bus/pci/devices"]
    guide.data["directories"]["/sys/bus/pci/devices"] = [each for each in listed if each != AUDIO]
    assert on_vfio(guide) == []


def test_if_the_card_moved_to_another_slot_nothing_is_bound(guide: RecordedHost) -> None:
    with_rules(guide.with_twin(), SLOT).without_device(SLOT)
    assert on_vfio(guide) == []


@pytest.mark.parametrize(
    ("words", "bound"),
    [
        (("hostpci=off",), False),
        (("quiet", "hostpci=off", "splash"), False),
        (("hostpci=on", "hostpci=off"), False),
        (("hostpci=on",), True),
        (("hostpci",), True),
        (("hostpci=",), True),
        (("hostpci=OFF",), True),
        (("hostpci=offline",), True),
        (("xhostpci=off",), True),
        (("hostpci.debug=off",), True),
        (("hostpci_x=off",), True),
        (("foo=hostpci=off",), True),
        (("off",), True),
        ((), True),
    ],
)
def test_only_the_boot_word_itself_suspends_the_claims(
    guide: RecordedHost, words: tuple[str, ...], *, bound: bool
) -> None:
    with_rules(guide, SLOT).with_command_line(*words)
    assert on_vfio(guide) == ([VGA, AUDIO] if bound else [])


@pytest.mark.parametrize("driver", ["nouveau", "snd_hda_intel", VFIO, None])
def test_a_driver_that_has_the_function_now_does_not_have_it_after_the_boot(
    guide: RecordedHost, driver: str | None
) -> None:
    with_rules(guide, SLOT).with_driver(VGA, driver)
    assert next_boot(guide)[VGA] == VFIO


def test_without_its_rule_a_function_does_not_stay_on_vfio(guide: RecordedHost) -> None:
    guide.with_driver(VGA, VFIO)
    after = next_boot(guide)
    assert (after[VGA], after[AUDIO]) == (None, "snd_hda_intel")


def test_a_slot_with_one_function_is_bound(guide: RecordedHost) -> None:
    assert on_vfio(with_rules(guide, "0000:00:1b")) == ["0000:00:1b.0"]


# the reader refuses what it does not know


@pytest.mark.parametrize(
    "line",
    [
        'DRIVER=="nouveau"',
        'ATTR{vendor}=="0x10de"',
        'ATTR{[pci/0000:01:00.0]remove}="1"',
        'RUN+="/bin/true"',
        'PROGRAM="/bin/true"',
        'ATTR{driver_override}="vfio-pci"',
        "this is no rule",
    ],
)
def test_a_word_that_our_rules_do_not_use_is_refused(guide: RecordedHost, line: str) -> None:
    with pytest.raises((ValueError, AttributeError)):
        boot_of(guide, {"x.rules": f"{line}\n"})


def test_a_rule_for_other_events_does_nothing(guide: RecordedHost) -> None:
    function = ClaimedFunction(address=VGA, identity=identity("10de:2d04:10b0:205e"))
    text = rule_text(Claim(slot=SLOT, functions=(function,)))
    assert boot_of(guide, {"a": text})[VGA] == VFIO
    assert boot_of(guide, {"a": text.replace('"add"', '"change"')})[VGA] is None
    assert boot_of(guide, {"a": text.replace('"pci"', '"usb"')})[VGA] is None
