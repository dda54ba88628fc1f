"""What the host does with each function: the class devices that hang below it in sysfs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..model.address import last_function_in
from ..model.pci import Use, UseKind
from .look import Look

_MAX_STACK_DEPTH = 8
_DEFAULT_ROUTE = "00000000"


def read_uses(look: Look) -> dict[str, tuple[Use, ...]]:
    """Function address -> what the host has behind it."""
    holders = look.root.device_holders()
    found: dict[str, list[Use]] = {}
    for address, use in (
        *_disks(look),
        *_networks(look),
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


def _disks(look: Look) -> Iterator[tuple[str, Use]]:
    mounted = _mounted_blocks(look)
    uses: dict[tuple[str, str], list[str]] = {}
    for node, path, address in _class_devices(look, "block"):
        disk = path.split("/block/", 1)[-1].split("/")[0]
        uses.setdefault((address, disk), []).extend(mounted.get(node, ()))
    for (address, disk), points in uses.items():
        detail = ", ".join(sorted(set(points)))
        yield address, Use(kind=UseKind.DISK, name=disk, detail=detail, critical=bool(points))


def _mounted_blocks(look: Look) -> dict[str, list[str]]:
    """Block node -> mount points (or ``swap``) on it, through device mapper and md."""

    def from_devices(lines: Iterable[str]) -> Iterator[str]:
        return (line for line in lines if line.startswith("/dev/"))

    mounts = [line.split() for line in look.lines("/proc/self/mounts", from_devices) or ()]
    places = [(words[0], words[1]) for words in mounts if len(words) > 1]
    swaps = look.lines("/proc/swaps", from_devices) or ()
    places += [(line.split()[0], "swap") for line in swaps]
    mapped = {f"/dev/mapper/{name}": node for node, name in _mapper_names(look)}
    found: dict[str, list[str]] = {}
    for device, place in places:
        node = mapped.get(device, device.rpartition("/")[2])
        for below in _below(look, node):
            found.setdefault(below, []).append(place)
    return found


def _mapper_names(look: Look) -> Iterator[tuple[str, str]]:
    for node in look.names("/sys/class/block"):
        if node.startswith("dm-"):
            name = look.text(f"/sys/class/block/{node}/dm/name")
            if name:
                yield node, name


def _below(look: Look, node: str, depth: int = 0) -> Iterator[str]:
    """Yield the node and everything it is stacked on (dm, md)."""
    yield node
    if depth < _MAX_STACK_DEPTH and node.startswith(("dm-", "md")):
        for slave in look.names(f"/sys/class/block/{node}/slaves"):
            yield from _below(look, slave, depth + 1)


def _networks(look: Look) -> Iterator[tuple[str, Use]]:
    routes = [line.split() for line in (look.text("/proc/net/route") or "").splitlines()]
    default = {words[0] for words in routes if words[1:2] == [_DEFAULT_ROUTE]}
    for node, _, address in _class_devices(look, "net"):
        master = look.link_name(f"/sys/class/net/{node}/master")
        state = look.text(f"/sys/class/net/{node}/operstate") or ""
        carries = bool({node, master} & default)
        words = [state, f"port of {master}" if master else "", "default route" if carries else ""]
        detail = ", ".join(word for word in words if word)
        critical = carries or master is not None or state == "up"
        yield address, Use(kind=UseKind.NETWORK, name=node, detail=detail, critical=critical)


def _screens(look: Look, holders: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, Use]]:
    for node, _, address in _class_devices(look, "drm"):
        if node.startswith("card") and "-" not in node:
            users = holders.get(f"/dev/dri/{node}", ())
            yield address, Use(kind=UseKind.DISPLAY, name=node, holders=users)
    for node, _, address in _class_devices(look, "graphics"):
        if node.startswith("fb") and node != "fbcon":
            yield address, Use(kind=UseKind.CONSOLE, name=node)


def _sound_cards(look: Look, holders: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, Use]]:
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
        if node.startswith("input") and "/usb" in path:
            name = look.text(f"/sys/class/input/{node}/name") or ""
            yield address, Use(kind=UseKind.INPUT, name=node, detail=name)
