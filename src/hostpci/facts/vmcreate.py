"""What a node has for a new machine, asked of PVE; the image and the key are read as files."""

from __future__ import annotations

from ..host.root import Root
from ..model.diskimage import HEAD_BYTES, disk_image
from ..model.sshkey import public_keys
from ..model.vmcreate import CloudImage, ImageKind, SshKeys, Storage, Surroundings, VmWish
from ..pve.node import Pve, PveError
from .snippets import snippet_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FORMATS = {"qcow2": ImageKind.QCOW2, "raw": ImageKind.RAW}


def read_surroundings(pve: Pve, root: Root, wish: VmWish) -> Surroundings:
    node = pve.node()
    status = pve.call("get", f"/nodes/{node}/status")
    memory = status["memory"]
    return Surroundings(
        node=node, is_local_root=pve.is_local_root, free_id=_free_id(pve, wish.vmid),
        storages=_storages(pve, node), bridges=_bridges(pve, node),
        memory_bytes=int(memory["total"]),
        available_bytes=int(memory.get("available", memory["free"])),
        threads=int(status["cpuinfo"]["cpus"]), image=_image(pve, root, node, wish),
        keys=_keys(root, wish.key_path),
    )  # fmt: skip


def _free_id(pve: Pve, asked: int) -> int:
    """A number may belong to a machine that one cannot see: only PVE knows whether it is free."""
    try:
        return int(pve.call("get", "/cluster/nextid", {"vmid": asked} if asked else {}))
    except PveError as error:
        if error.code in {"pve-parameter", "pve-exists"} and asked:
            return 0
        raise


def _storages(pve: Pve, node: str) -> tuple[Storage, ...]:
    listed = pve.call("get", f"/nodes/{node}/storage")
    return tuple(_storage(pve, each) for each in listed)


def _storage(pve: Pve, each: dict[str, Any]) -> Storage:
    content = tuple(str(each.get("content", "")).split(","))
    free = each.get("avail")
    has_place = "snippets" in content and pve.is_local_root
    return Storage(
        name=str(each["storage"]), type=str(each.get("type", "")), content=content,
        is_active=bool(int(each.get("active", 0))) and bool(int(each.get("enabled", 1))),
        free_bytes=int(free) if free is not None else None,
        snippets=_folder(pve, str(each["storage"])) if has_place else None,
    )  # fmt: skip


def _folder(pve: Pve, name: str) -> str | None:
    return snippet_folder(pve.call("get", f"/storage/{name}"))


def _bridges(pve: Pve, node: str) -> tuple[str, ...] | None:
    try:
        listed = pve.call("get", f"/nodes/{node}/network", {"type": "any_bridge"})
    except PveError:
        return None
    return tuple(sorted(str(each["iface"]) for each in listed))


def _image(pve: Pve, root: Root, node: str, wish: VmWish) -> CloudImage:
    if wish.is_volume:
        return _volume(pve, node, wish.image)
    if not pve.is_local_root:
        return CloudImage(kind=ImageKind.MISSING)
    try:
        return disk_image(root.read_head(wish.image, HEAD_BYTES), root.size(wish.image))
    except OSError as error:
        return CloudImage(kind=ImageKind.MISSING, reason=error.strerror or "-")


def _volume(pve: Pve, node: str, volume: str) -> CloudImage:
    storage = volume.partition(":")[0]
    try:
        listed = pve.call("get", f"/nodes/{node}/storage/{storage}/content")
    except PveError as error:
        return CloudImage(kind=ImageKind.MISSING, reason=str(error.params.get("reason", "-")))
    found = next((each for each in listed if each.get("volid") == volume), None)
    if found is None:
        return CloudImage(kind=ImageKind.MISSING, reason=storage)
    size = int(found.get("size", 0))
    kind = _FORMATS.get(str(found.get("format")), ImageKind.ODD)
    return CloudImage(kind=kind, file_bytes=size, reason=str(found.get("format", "-"))[:40])


def _keys(root: Root, path: str) -> SshKeys:
    try:
        return public_keys(root.read_head(path, (64 << 10) + 1))
    except OSError:
        return SshKeys(problem="unreadable")
