"""A virtual machine that is to be made from a cloud image: what is asked for, what is there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class VmWish:
    """``vmid`` 0, ``storage`` and ``bridge`` empty: the best there is.

    ``image``: a path on the node, or a volume such as ``local:import/x.qcow2``.
    ``uuid``: by which the machine is known as ours, whatever its number becomes.
    """

    name: str
    image: str
    key_path: str
    uuid: str
    vmid: int = 0
    storage: str = ""
    bridge: str = ""
    cores: int = 4
    memory_mib: int = 8192
    disk_gib: int = 32
    has_secure_boot: bool = False

    @property
    def is_volume(self) -> bool:
        return not self.image.startswith("/")


class ImageKind(StrEnum):
    """``odd``: neither; ``reason`` of the image says what it looks like."""

    QCOW2 = "qcow2"
    RAW = "raw"
    ODD = "odd"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudImage:
    """``file_bytes``: what there is to read; ``disk_bytes``: how large the disk in it is."""

    kind: ImageKind
    file_bytes: int = 0
    disk_bytes: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SshKeys:
    """Public keys, one a line; ``problem`` is why they cannot be used, else empty."""

    text: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """``snippets``: the folder for them on this node; None: none, or it cannot be written."""

    name: str
    type: str
    content: tuple[str, ...]
    is_active: bool
    free_bytes: int | None
    snippets: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the node has. ``free_id``: the number that is asked for, else the next; 0: taken.

    ``bridges`` None: they could not be listed. ``snippet``: what lies at the place of ours.
    """

    node: str
    is_local_root: bool
    free_id: int
    storages: tuple[Storage, ...]
    bridges: tuple[str, ...] | None
    memory_bytes: int
    available_bytes: int
    threads: int
    image: CloudImage
    keys: SshKeys
