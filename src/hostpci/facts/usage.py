"""What the host does with each function: the class devices that hang below it in sysfs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..host.runner import Runner
from ..model.address import last_function_in
from ..model.pci import Use, UseKind
from .disks import read_disks
from .look import Look
from .networks import read_networks

Holders = dict[str, tuple[str, ...]]

_LOCAL_BUSES = ("/i8042/", "/0018:")  # BUS_I2C of include/uapi/linux/input.h
_EV_KEY, _EV_REL, _EV_REP = 1 << 1, 1 << 2, 1 << 20
_KEYBOARD, _MOUSE = _EV_KEY | _EV_REP, _EV_KEY | _EV_REL
_NVIDIA_MINOR = re.compile(r"^Device Minor:\s*(\d+)", re.MULTILINE)


def read_uses(look: Look, runner: Runner, holders: Holders) -> dict[str, tuple[Use, ...]]:
    """Function address -> what the host has behind it."""
    found: dict[str, list[Use]] = {}
    for address, use in (
        *read_disks(look, runner, holders),
        *read_networks(look),
        *_screens(look, holders),
        *_sound_cards(look, holders),
        *_inputs(look),
    ):
        found.setdefault(address, []).append(use)
    return {address: tuple(uses) for address, uses in found.items()}


def _class_devices(look: Look, name: str) -> Iterator[tuple[str, str, str]]:
    """Yield (node name, its device path, function that provides it) of a sysfs class."""
    for node in look.names(f"/sys/class/{name}"):
        path = look.link(f"/sys/class/{name}/{node}") or ""
        address = last_function_in(path)
        if address:
            yield node, path, address


def _screens(look: Look, holders: Holders) -> Iterator[tuple[str, Use]]:
    for node, _, address in _class_devices(look, "drm"):
        if node.startswith(("card", "renderD")) and "-" not in node:
            users = holders.get(f"/dev/dri/{node}", ())
            yield address, Use(kind=UseKind.DISPLAY, name=node, holders=users)
    for address in look.names("/proc/driver/nvidia/gpus"):
        information = look.raw(f"/proc/driver/nvidia/gpus/{address}/information") or ""
        minor = _NVIDIA_MINOR.search(information)
        node = f"nvidia{minor[1]}" if minor else "nvidia"
        yield address, Use(kind=UseKind.DISPLAY, name=node, holders=holders.get(f"/dev/{node}", ()))
    for node, _, address in _class_devices(look, "graphics"):
        if node.startswith("fb") and node != "fbcon":
            yield address, Use(kind=UseKind.CONSOLE, name=node)


def _sound_cards(look: Look, holders: Holders) -> Iterator[tuple[str, Use]]:
    for node, _, address in _class_devices(look, "sound"):
        if node.startswith("card"):
            number = node.removeprefix("card")
            users = [names for path, names in holders.items() if _is_of_card(path, number)]
            flat = tuple(sorted({name for names in users for name in names}))
            yield address, Use(kind=UseKind.SOUND, name=node, holders=flat)


def _is_of_card(path: str, number: str) -> bool:
    """``/dev/snd/pcmC1D3p`` and ``/dev/snd/controlC1`` belong to card 1."""
    name = path.removeprefix("/dev/snd/")
    _, _, rest = name.partition("C")
    return path.startswith("/dev/snd/") and rest.split("D")[0] == number


def _inputs(look: Look) -> Iterator[tuple[str, Use]]:
    for node, path, address in _class_devices(look, "input"):
        if node.startswith("input") and "/usb" in path and _is_for_hands(look, node):
            name = look.text(f"/sys/class/input/{node}/name") or ""
            yield address, Use(kind=UseKind.INPUT, name=node, detail=name)


def read_other_inputs(look: Look) -> tuple[str, ...]:
    """Keyboards and mice on PS/2 or I2C, by name. A power button is neither."""
    found = []
    for node in look.names("/sys/class/input"):
        path = look.link(f"/sys/class/input/{node}") or ""
        if node.startswith("input") and any(bus in path for bus in _LOCAL_BUSES):
            found.append(look.text(f"/sys/class/input/{node}/name") or node)
    return tuple(found)


def _is_for_hands(look: Look, node: str) -> bool:
    """Keys that repeat or relative axes with keys: a keyboard or a mouse, not a headset's button.

    Bits of include/uapi/linux/input-event-codes.h; what does not say counts as one.
    """
    text = look.text(f"/sys/class/input/{node}/capabilities/ev")
    try:
        bits = int(text or "", 16)
    except ValueError:
        return True
    return bits & _KEYBOARD == _KEYBOARD or bits & _MOUSE == _MOUSE
