"""Everything for which PVE, or the first boot, would refuse a machine that is to be made."""

from __future__ import annotations

from collections.abc import Iterator

from ..model.finding import Finding, Level
from ..model.vmcreate import ImageKind, Storage, Surroundings, VmWish
from .say import fails, unknown

_MIB, _GIB = 1 << 20, 1 << 30
# The disk with the EFI variables and the one with the cloud-init data
_BESIDES_BYTES = 64 << 20
# What is allotted whole at once; the others take space as it is written
_THICK = {"lvm"}


def check_create(wish: VmWish, there: Surroundings) -> Iterator[Finding]:
    if not there.free_id:
        yield fails("vm-id-taken", Level.FAIL, f"VM {wish.vmid}", blocks=True)
    yield from _check_image(wish, there)
    if there.keys.problem:
        yield fails(
            "vm-key", Level.FAIL, wish.key_path, blocks=True, problem=there.keys.problem
        )  # fmt: skip
    yield from _check_storage(wish, there)
    yield from _check_bridge(wish, there)
    yield from _check_size(wish, there)
    if snippet_storage(there) is None:
        yield fails("vm-no-snippets", Level.WARN, there.node)


def _check_image(wish: VmWish, there: Surroundings) -> Iterator[Finding]:
    image = there.image
    if not wish.is_volume and not there.is_local_root:
        # qemu-server PVE/API2/Qemu.pm: a path is for root@pam alone
        yield fails("vm-image-path", Level.FAIL, wish.image, blocks=True)
    elif image.kind is ImageKind.MISSING:
        yield fails("vm-image-missing", Level.FAIL, wish.image, blocks=True, reason=image.reason)
    elif image.kind is ImageKind.ODD:
        yield fails("vm-image-odd", Level.FAIL, wish.image, blocks=True, reason=image.reason)
    elif image.disk_bytes > wish.disk_gib * _GIB:
        size = str(-(-image.disk_bytes // _GIB))
        yield fails("vm-disk-small", Level.FAIL, wish.image, blocks=True, needed=size)


def _check_storage(wish: VmWish, there: Surroundings) -> Iterator[Finding]:
    names = ", ".join(each.name for each in there.storages if is_for_disks(each)) or "-"
    found = next((each for each in there.storages if each.name == wish.storage), None)
    if wish.storage and found is None:
        yield fails("vm-storage-missing", Level.FAIL, wish.storage, blocks=True, known=names)
    elif found is not None and not is_for_disks(found):
        yield fails("vm-storage-unfit", Level.FAIL, wish.storage, blocks=True, known=names)
    chosen = disk_storage(wish, there)
    if chosen is None:
        if not wish.storage:
            yield fails("vm-storage-none", Level.FAIL, there.node, blocks=True)
        return
    yield from _check_room(wish, there, chosen)


def _check_room(wish: VmWish, there: Surroundings, storage: Storage) -> Iterator[Finding]:
    if storage.free_bytes is None:
        yield unknown("vm-storage-room", storage.name)
        return
    whole = wish.disk_gib * _GIB + _BESIDES_BYTES
    least = whole if storage.type in _THICK else there.image.file_bytes + _BESIDES_BYTES
    free, needed = f"{storage.free_bytes / _GIB:.1f}", f"{whole / _GIB:.1f}"
    if storage.free_bytes < least:
        yield fails(
            "vm-storage-full", Level.FAIL, storage.name, blocks=True, free=free, needed=needed
        )
    elif storage.free_bytes < whole:
        yield fails("vm-storage-tight", Level.WARN, storage.name, free=free, needed=needed)


def _check_bridge(wish: VmWish, there: Surroundings) -> Iterator[Finding]:
    if there.bridges is None:
        yield unknown("vm-bridge", wish.bridge or there.node, blocks=not wish.bridge)
        return
    known = ", ".join(there.bridges) or "-"
    if wish.bridge and wish.bridge not in there.bridges:
        yield fails("vm-bridge", Level.FAIL, wish.bridge, blocks=True, known=known)
    elif bridge(wish, there) is None:
        yield fails("vm-bridge-which", Level.FAIL, there.node, blocks=True, known=known)


def _check_size(wish: VmWish, there: Surroundings) -> Iterator[Finding]:
    """Memory of a machine with a passed device is pinned: all of it, from its start on."""
    asked, total = str(wish.memory_mib), str(there.memory_bytes // _MIB)
    if wish.memory_mib * _MIB >= there.memory_bytes:
        yield fails("vm-memory", Level.FAIL, there.node, blocks=True, asked=asked, total=total)
    elif wish.memory_mib * _MIB > there.available_bytes:
        left = str(there.available_bytes // _MIB)
        yield fails(
            "vm-memory-tight", Level.WARN, there.node, available=left, asked=asked, total=total
        )  # fmt: skip
    if wish.cores > there.threads:
        # qemu-server PVE/QemuServer.pm config_to_command: MAX ... vcpus allowed per VM on this node
        threads = str(there.threads)
        yield fails("vm-cores", Level.FAIL, there.node, blocks=True, threads=threads)


def is_for_disks(storage: Storage) -> bool:
    return storage.is_active and "images" in storage.content


def disk_storage(wish: VmWish, there: Surroundings) -> Storage | None:
    """The one that is named, else the one with most room."""
    fit = [each for each in there.storages if is_for_disks(each)]
    if wish.storage:
        return next((each for each in fit if each.name == wish.storage), None)
    return max(fit, key=lambda each: (each.free_bytes or 0, each.name), default=None)


def bridge(wish: VmWish, there: Surroundings) -> str | None:
    """The one that is named, else PVE's own, else the only one."""
    known = there.bridges or ()
    if wish.bridge:
        return wish.bridge
    if "vmbr0" in known:
        return "vmbr0"
    return known[0] if len(known) == 1 else None


def snippet_storage(there: Surroundings) -> Storage | None:
    fit = [each for each in there.storages if each.is_active and each.snippets is not None]
    return fit[0] if fit else None
