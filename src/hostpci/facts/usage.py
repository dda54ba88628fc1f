"""What the host does with each function: the class devices that hang below it in sysfs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..model.address import last_function_in
from ..model.pci import Use, UseKind
from .look import Look

_MAX_STACK_DEPTH = 8
_NVME_HEAD = re.compile(r"nvme(\d+)n(\d+)")
_NVIDIA_MINOR = re.compile(r"^Device Minor:\s*(\d+)", re.MULTILINE)
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
    blocks = _Blocks(look)
    places = _places(look, blocks)
    uses: dict[tuple[str, str], set[str]] = {}
    for node in blocks.paths:
        address = blocks.provider(node)
        if address:
            uses.setdefault((address, blocks.whole(node)), set()).update(places.get(node, ()))
    zfs = [device for device, _, kind in _mounts(look) if kind == "zfs"]
    # Pool members are not in sysfs: a disk that nothing else explains may be one.
    unexplained = {f"ZFS {zfs[0]}?"} if zfs else set()
    for (address, disk), known in uses.items():
        points = known or unexplained
        detail = ", ".join(sorted(points))
        yield address, Use(kind=UseKind.DISK, name=disk, detail=detail, critical=bool(points))


class _Blocks:
    """Block nodes and what they are stacked on: partitions, dm, md, bcache, NVMe multipath."""

    def __init__(self, look: Look) -> None:
        self._look = look
        nodes = look.names("/sys/class/block")
        self.paths = {node: look.link(f"/sys/class/block/{node}") or "" for node in nodes}

    def provider(self, node: str) -> str | None:
        """The PCI function that provides the node itself."""
        return last_function_in(self.paths[node])

    def whole(self, node: str) -> str:
        """The disk of a partition; anything else is its own."""
        parent = self.paths[node].split("/")[-2:-1]
        return parent[0] if parent and parent[0] in self.paths else node

    def below(self, node: str, depth: int = 0) -> Iterator[str]:
        """Yield the node and everything it rests on, down to the disks."""
        yield node
        if depth >= _MAX_STACK_DEPTH or node not in self.paths or self.provider(node):
            return
        slaves = self._look.names(f"/sys/class/block/{node}/slaves")
        whole = self.whole(node)
        partition_of = () if whole == node else (whole,)
        for deeper in (*slaves, *partition_of, *self._paths_of(node)):
            yield from self.below(deeper, depth + 1)

    def _paths_of(self, node: str) -> list[str]:
        """``nvme0n1`` of a multipath subsystem is reached through ``nvme0c0n1``, ``nvme0c1n1``.

        drivers/nvme/host/core.c names the hidden disk of each path so.
        """
        head = _NVME_HEAD.fullmatch(node)
        if head is None:
            return []
        path = re.compile(rf"nvme{head[1]}c\d+n{head[2]}")
        return [each for each in self.paths if path.fullmatch(each)]


def _places(look: Look, blocks: _Blocks) -> dict[str, list[str]]:
    """Block node -> what the host has on it: mount points, swap, btrfs, an active mapping."""
    mapped = {f"/dev/mapper/{name}": node for node, name in _mapper_names(look, blocks)}
    found: dict[str, list[str]] = {}
    mounts = [(device, place) for device, place, kind in _mounts(look) if kind != "zfs"]
    for device, place in (*mounts, *_swaps(look), *_btrfs_members(look)):
        node = mapped.get(device, device.rpartition("/")[2])
        for below in blocks.below(node):
            found.setdefault(below, []).append(place)
    for node in blocks.paths:
        if node not in found:
            users = look.names(f"/sys/class/block/{node}/holders")
            found.update({node: [f"held by {user}" for user in users]} if users else {})
    return found


def _mounts(look: Look) -> list[tuple[str, str, str]]:
    """(source, mount point, file system) of what is on disks."""

    def on_disks(lines: Iterable[str]) -> Iterator[str]:
        return (line for line in lines if line.startswith("/dev/") or " zfs " in line)

    words = [line.split() for line in look.lines("/proc/self/mounts", on_disks) or ()]
    return [(each[0], each[1], each[2]) for each in words if len(each) > 2]  # noqa: PLR2004


def _swaps(look: Look) -> list[tuple[str, str]]:
    def from_devices(lines: Iterable[str]) -> Iterator[str]:
        return (line for line in lines if line.startswith("/dev/"))

    return [(line.split()[0], "swap") for line in look.lines("/proc/swaps", from_devices) or ()]


def _btrfs_members(look: Look) -> Iterator[tuple[str, str]]:
    """A mounted btrfs names all its devices in sysfs, whichever of them /proc/mounts shows."""
    for entry in look.names("/sys/fs/btrfs"):
        for node in look.names(f"/sys/fs/btrfs/{entry}/devices"):
            yield f"/dev/{node}", "btrfs"


def _mapper_names(look: Look, blocks: _Blocks) -> Iterator[tuple[str, str]]:
    for node in blocks.paths:
        if node.startswith("dm-"):
            name = look.text(f"/sys/class/block/{node}/dm/name")
            if name:
                yield node, name


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
