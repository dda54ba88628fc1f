"""The last screen and the last keyboard go by name, and only as long as they are the last."""

from __future__ import annotations

import pytest

from hostpci.checks.registry import run_checks
from hostpci.model.finding import Level
from hostpci.planner.claim import claim_step
from hostpci.planner.plan import make_plan

from ..hosts import DEVICES, SLOT, VGA, RecordedHost
from .support import claimed, codes, findings, with_class_device

BOOT_DISPLAY, CARD_PATH = "0000:00:02.0", f"pci0000:00/0000:00:08.0/{VGA}"


def only_screen(host: RecordedHost) -> RecordedHost:
    """The card is the boot display, and the chipset has none."""
    host.data["files"][f"{DEVICES}/{VGA}/boot_vga"] = "1\n"
    host.data["files"][f"{DEVICES}/{BOOT_DISPLAY}/class"] = "0x020000\n"
    return host.with_file("/proc/cmdline", "BOOT_IMAGE=/boot/vmlinuz root=/dev/vda2 quiet\n")


def test_the_only_screen_goes_by_name(guide: RecordedHost) -> None:
    (found,) = run_checks(only_screen(guide).facts(), SLOT).blocking
    assert (found.code, found.subject, found.consent) == ("boot-vga-only", VGA, "boot-vga-only")
    step = claim_step(guide.facts(), SLOT, ("boot-vga-only",))
    assert step is not None
    assert make_plan(guide.with_file(step.path, step.after or "").facts()).refusals == ()


@pytest.mark.parametrize("word", ["console=ttyS0", "console=ttyS1,115200n8", "console=hvc0"])
def test_a_serial_console_makes_it_a_warning(guide: RecordedHost, word: str) -> None:
    only_screen(guide).with_command_line(word)
    (found,) = findings(guide, "boot-vga")
    assert (found.level, found.blocks) == (Level.WARN, False)
    assert word in found.evidence


def test_a_console_on_the_screen_itself_is_no_other_way_in(guide: RecordedHost) -> None:
    assert findings(only_screen(guide).with_command_line("console=tty0"), "boot-vga-only")


@pytest.mark.parametrize(
    ("class_code", "is_one"),
    [("0x030000", True), ("0x038000", True), ("0x030200", False), ("0x020000", False)],
)
def test_another_screen_is_one_that_can_show_something(
    guide: RecordedHost, class_code: str, *, is_one: bool
) -> None:
    only_screen(guide).data["files"][f"{DEVICES}/{BOOT_DISPLAY}/class"] = f"{class_code}\n"
    assert bool(findings(guide, "boot-vga-only")) != is_one


def test_a_screen_that_another_claim_takes_is_none(guide: RecordedHost) -> None:
    only_screen(guide).with_twin()
    guide.data["files"][f"{DEVICES}/0000:02:00.0/boot_vga"] = "0\n"
    assert findings(guide, "boot-vga-only") == []
    claimed(guide, "0000:02:00")
    assert findings(guide, "boot-vga-only")


def test_a_screen_that_goes_with_the_group_is_none(guide: RecordedHost) -> None:
    only_screen(guide).with_twin().with_group("0000:02:00.0", 8)
    assert "boot-vga-only" in codes(run_checks(guide.facts(), SLOT).blocking)


# keyboards


def with_keyboard(host: RecordedHost, node: str = "input9", path: str = CARD_PATH) -> RecordedHost:
    usb = f"{path}/usb1/1-2/1-2:1.0/0003:046D:C31C.0001/input/{node}"
    host.with_file(f"/sys/class/input/{node}/name", "USB Keyboard\n")
    host.with_file(f"/sys/class/input/{node}/capabilities/ev", "120013\n")
    return with_class_device(host, "input", node, usb)


def without_ps2(host: RecordedHost) -> RecordedHost:
    names = [each for each in host.data["directories"]["/sys/class/input"] if each[-1] not in "012"]
    host.data["directories"]["/sys/class/input"] = names
    return host


def test_the_last_keyboard_goes_by_name(guide: RecordedHost) -> None:
    (found,) = run_checks(with_keyboard(without_ps2(guide)).facts(), SLOT).blocking
    assert (found.code, found.consent) == ("last-usb-input", "last-usb-input")
    assert found.evidence == ("USB Keyboard",)


def test_a_keyboard_on_ps2_is_left(guide: RecordedHost) -> None:
    assert findings(with_keyboard(guide), "last-usb-input") == []


def test_a_keyboard_at_another_controller_is_left(guide: RecordedHost) -> None:
    with_keyboard(with_keyboard(without_ps2(guide)), "input8", "pci0000:00/0000:00:1f.2")
    assert findings(guide, "last-usb-input") == []


def test_a_keyboard_at_a_controller_of_the_group_is_not(guide: RecordedHost) -> None:
    guide.with_group("0000:00:1f.2", 8)
    with_keyboard(without_ps2(guide), "input8", "pci0000:00/0000:00:1f.2")
    assert findings(guide, "last-usb-input")


@pytest.mark.parametrize(("bits", "counts"), [("17", True), ("120013", True), ("3", False)])
def test_a_button_of_a_headset_is_no_keyboard(
    guide: RecordedHost, bits: str, *, counts: bool
) -> None:
    with_keyboard(with_keyboard(without_ps2(guide)), "input8", "pci0000:00/0000:00:1f.2")
    guide.with_file("/sys/class/input/input8/capabilities/ev", f"{bits}\n")
    assert bool(findings(guide, "last-usb-input")) != counts


def test_a_keyboard_that_goes_with_another_claim_was_accepted_there(guide: RecordedHost) -> None:
    with_keyboard(without_ps2(guide)).with_twin()
    assert findings(claimed(guide), "last-usb-input", "0000:02:00") == []
    assert findings(guide, "last-usb-input")


def test_a_host_without_any_keyboard_loses_none(guide: RecordedHost) -> None:
    assert findings(without_ps2(guide), "last-usb-input") == []
