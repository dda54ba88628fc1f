"""Which PCI function each disk hangs on, and what the host has on it through every layer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..errors import EnvironmentFault
from ..host.runner import Runner
from ..model.address import last_function_in
from ..model.pci import Use, UseKind
from .look import Look

POOLS = "/proc/spl/kstat/zfs"
_POOL_LIST = ("zpool", "list", "-vHPL")
NETWORK_DISKS = ("nfs", "nfs4", "cifs", "smb3", "ceph")
_WITHOUT_A_DEVICE = [["zfs"], *([kind] for kind in NETWORK_DISKS)]
# They look into every disk that appears, and let go by themselves
_LOOKS_ONLY = ("systemd-udevd[", "(udev-worker)[")
_MAX_STACK_DEPTH = 8
_NVME_HEAD = re.compile(r"nvme(\d+)n(\d+)")


def read_disks(
    look: Look, runner: Runner, holders: dict[str, tuple[str, ...]]
) -> Iterator[tuple[str, Use]]:
    """(function, disk with what the host has on it); with nothing on it, it is not critical."""
    blocks = _Blocks(look)
    members = _pool_members(look, runner)
    places = _places(look, blocks, members or ())
    for path, users in holders.items():
        node = path.removeprefix("/dev/")
        if node in blocks.paths:
            lasting = [user for user in users if not user.startswith(_LOOKS_ONLY)]
            places.setdefault(node, []).extend(f"open in {user}" for user in lasting)
    uses: dict[tuple[str, str], set[str]] = {}
    for node in blocks.paths:
        address = blocks.provider(node)
        if address:
            uses.setdefault((address, blocks.whole(node)), set()).update(places.get(node, ()))
    # Pool members are not in sysfs: unless zpool names them, a disk that nothing else explains
    # may be one.
    unexplained = {f"ZFS {_a_pool(look)}?"} if members is None else set()
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


def _places(
    look: Look, blocks: _Blocks, members: Iterable[tuple[str, str]]
) -> dict[str, list[str]]:
    """Block node -> what the host has on it: mount points, swap, pools, an active mapping."""
    mapped = {f"/dev/mapper/{name}": node for node, name in _mapper_names(look, blocks)}
    found: dict[str, list[str]] = {}
    mounted = [(source, place) for source, place, *_ in mounts(look) if source.startswith("/dev/")]
    caches = _bcache_members(look, blocks)
    for device, place in (*mounted, *_swaps(look), *_btrfs_members(look), *members, *caches):
        node = mapped.get(device, device.rpartition("/")[2])
        for below in blocks.below(node):
            found.setdefault(below, []).append(place)
    for node in blocks.paths:
        if node not in found:
            users = look.names(f"/sys/class/block/{node}/holders")
            found.update({node: [f"held by {user}" for user in users]} if users else {})
    return found


def mounts(look: Look) -> list[tuple[str, str, str, str]]:
    """(source, mount point, file system, options) of what is on disks or on a server."""

    def wanted(lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            if line.startswith("/dev/") or line.split()[2:3] in _WITHOUT_A_DEVICE:
                yield line

    words = [line.split() for line in look.lines("/proc/self/mounts", wanted) or ()]
    return [(each[0], each[1], each[2], "".join(each[3:4])) for each in words if len(each) > 2]  # noqa: PLR2004


def _a_pool(look: Look) -> str:
    pools = [source for source, _, kind, _ in mounts(look) if kind == "zfs"]
    return next(iter((*pools, *look.names(POOLS))), "")


def _pool_members(look: Look, runner: Runner) -> list[tuple[str, str]] | None:
    """Devices of every imported pool, mounted or not; None if there is one and nobody names them.

    ``zpool list -vHPL`` has a pool's name at the beginning of a line, its devices, with their
    real paths, indented below it. Headings of classes of devices (logs, cache) have no size.
    """
    if not any(kind == "zfs" for _, _, kind, _ in mounts(look)) and not look.exists(POOLS):
        return []
    try:
        lines = runner.run(_POOL_LIST, timeout_s=30).stdout.splitlines()
    except EnvironmentFault:
        return None
    pool, found = "", []
    for line in lines:
        words = line.split()
        if words and not line[0].isspace():
            pool = words[0] if words[1:2] != ["-"] else pool
        elif words and words[0].startswith("/dev/"):
            found.append((words[0], f"ZFS {pool}"))
    return found


def _bcache_members(look: Look, blocks: _Blocks) -> Iterator[tuple[str, str]]:
    """The caching device is in nobody's slaves/ (drivers/md/bcache/super.c links it elsewhere)."""
    if any(node.startswith("bcache") for node in blocks.paths):
        for node in blocks.paths:
            if look.exists(f"/sys/class/block/{node}/bcache"):
                yield f"/dev/{node}", "bcache"


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
