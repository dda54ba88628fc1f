"""Makes ``schema.json`` from the published API schemas: ``python3 tests/pvenode/distill.py``.

All paths and methods, since PVE answers 501 for what is not among them; parameters, permissions and
the kind of result of those that the fake node carries out. Descriptions are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
VERSIONS = {"8": "pve-8.4-apidata.json", "9": "pve-9.1-apidata.json"}
_KEPT = {
    "type", "optional", "format", "enum", "pattern", "maxLength", "minLength", "maximum", "minimum",
    "items", "properties", "additionalProperties", "default_key", "alias", "keyAlias", "requires",
    "group",
}  # fmt: skip
_NOT_CARRIED_OUT = (
    "/nodes/{node}/qemu/{vmid}/firewall", "/nodes/{node}/lxc/{vmid}/", "/nodes/{node}/ceph",
    "/cluster/sdn", "/cluster/firewall", "/nodes/{node}/storage/{storage}/", "/nodes/{node}/disks",
)  # fmt: skip
_CARRIED_OUT = (
    "/version", "/access/ticket", "/access/permissions", "/access/users/{userid}/token", "/nodes",
    "/nodes/{node}", "/nodes/{node}/status", "/nodes/{node}/version", "/nodes/{node}/hardware",
    "/nodes/{node}/tasks", "/nodes/{node}/qemu", "/nodes/{node}/lxc", "/nodes/{node}/storage",
    "/nodes/{node}/lxc/{vmid}/config", "/nodes/{node}/storage/{storage}/content",
    "/nodes/{node}/storage/{storage}/status", "/cluster/mapping/pci", "/cluster/status",
    "/storage", "/storage/{storage}", "/nodes/{node}/network", "/cluster/resources",
    "/cluster/nextid", "/cluster/ha/resources", "/cluster/ha/rules",
)  # fmt: skip


def walk(nodes: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for node in nodes:
        yield node["path"], node.get("info", {})
        yield from walk(node.get("children", []))


def is_carried_out(path: str) -> bool:
    if path in _CARRIED_OUT:
        return True
    begins = tuple(f"{each}/" for each in _CARRIED_OUT[8:])
    return path.startswith(begins) and not path.startswith(_NOT_CARRIED_OUT)


def slim(value: Any) -> Any:
    """A schema without what is written for people."""
    if isinstance(value, list):
        return [slim(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, each in value.items():
        if key in {"properties", "format"} and isinstance(each, dict):
            kept[key] = {name: slim(schema) for name, schema in each.items()}
        elif key in _KEPT:
            kept[key] = slim(each)
    return kept


def method(info: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    if not whole:
        return {}
    permissions = info.get("permissions") or {}
    return {
        "parameters": slim(info.get("parameters", {})).get("properties", {}),
        "permissions": {key: permissions[key] for key in ("check", "user") if key in permissions},
        "returns": info.get("returns", {}).get("type", "any"),
        "proxyto": info.get("proxyto", ""),
        "allowtoken": info.get("allowtoken", 1),
    }


def distilled(name: str) -> dict[str, Any]:
    paths = {}
    source = HERE.parents[2] / "shared" / "data" / name
    for path, info in walk(json.loads(source.read_text(encoding="utf-8"))):
        whole = is_carried_out(path)
        paths[path] = {verb: method(each, whole=whole) for verb, each in sorted(info.items())}
    return dict(sorted(paths.items()))


if __name__ == "__main__":
    document = {version: distilled(name) for version, name in VERSIONS.items()}
    text = json.dumps(document, separators=(",", ":"), sort_keys=True)
    (HERE / "schema.json").write_text(text.replace('},"/', '},\n"/') + "\n", encoding="utf-8")
