"""Where PVE finds snippets, and on which nodes of a cluster our hook script lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..model.hook import HOOK, HOOK_NAME
from ..model.vm import HookPlace
from ..pve.node import Pve, PveError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LOCAL = "local"


def snippet_folder(storage: Mapping[str, Any]) -> str | None:
    """pve-storage PVE/Storage/Plugin.pm get_subdir: ``content-dirs`` moves it."""
    path = str(storage.get("path", ""))
    parts = str(storage.get("content-dirs", "")).split(",")
    moved = dict(part.split("=", 1) for part in parts if "=" in part)
    inside = moved.get("snippets", "snippets").strip("/")
    return f"{path.rstrip('/')}/{inside}" if path.startswith("/") else None


def read_hook_place(pve: Pve, node: str) -> HookPlace:
    """To find a script PVE asks neither for the storage's content nor for its state
    (PVE/Storage.pm path), but other tools do: one that is for snippets comes first.
    """
    folder = HOOK.rpartition("/")[0]
    fit = [each for each in pve.call("get", "/storage") if snippet_folder(each) == folder]
    fit.sort(key=lambda each: (not _has_snippets(each), each["storage"] != _LOCAL))
    if not fit:
        return HookPlace()
    name = str(fit[0]["storage"])
    volume = f"{name}:snippets/{HOOK_NAME}"
    if str(fit[0].get("shared", 0)) == "1":
        return HookPlace(volume=volume)
    found = {
        each: _has_it(pve, each, volume) if is_up and _has_snippets(fit[0]) else None
        for each, is_up in _others(pve, node)
    }
    return HookPlace(
        volume=volume,
        without=tuple(each for each, has_it in found.items() if has_it is False),
        unasked=tuple(each for each, has_it in found.items() if has_it is None),
    )


def _has_snippets(storage: Mapping[str, Any]) -> bool:
    """PVE lists none of a storage that is not for them."""
    return "snippets" in str(storage.get("content", "")).split(",")


def _others(pve: Pve, node: str) -> Iterator[tuple[str, bool]]:
    for each in pve.call("get", "/cluster/status"):
        if each.get("type") == "node" and each["name"] != node:
            yield str(each["name"]), str(each.get("online", 0)) == "1"


def _has_it(pve: Pve, node: str, volume: str) -> bool | None:
    """None: the node cannot be asked."""
    storage = volume.partition(":")[0]
    try:
        path = f"/nodes/{node}/storage/{storage}/content"
        listed = pve.call("get", path, {"content": "snippets"})
    except PveError:
        return None
    return any(each.get("volid") == volume for each in listed)
