"""Distils the options of a VM from PVE's published API schemas into one small file.

    python -m tools.vm_options pve-8.4-apidata.json pve-9.1-apidata.json

Kept is what decides whether PVE takes a value; its descriptions stay where they are. How many
there are of an option with an index, the schema does not say: the counts below are qemu-server's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent.parent / "src/hostpci/data/pve-vm-options.json"
PATH = "/nodes/{node}/qemu/{vmid}/config"
KEPT = (
    "type", "format", "pattern", "enum", "minimum", "maximum", "minLength", "maxLength", "optional",
    "default_key", "default", "alias", "keyAlias", "requires",
)  # fmt: skip
# in QemuServer.pm and its neighbours Drive, Memory, USB, Virtiofs, PCI, Network
COUNTS = {
    "hostpci": 16, "ide": 4, "ipconfig": 32, "net": 32, "numa": 8, "parallel": 3, "sata": 6,
    "scsi": 31, "serial": 4, "unused": 256, "usb": 14, "virtio": 16, "virtiofs": 10,
}  # fmt: skip
# what PVE notes in the file itself; the schema of 8.4 leaves these out
INTERNAL = ("meta", "parent", "runningcpu", "snaptime", "vmstate")


def main(older: str, newer: str) -> None:
    TARGET.write_text(distilled(older, newer), encoding="utf-8")


def distilled(older: str, newer: str) -> str:
    pve8, pve9 = options(older), options(newer)
    pve8 |= {key: pve9[key] for key in INTERNAL} | {"runningmachine": pve8["machine"]}
    changed = {
        key: pve8.get(key) for key in sorted({*pve8, *pve9}) if pve8.get(key) != pve9.get(key)
    }
    parts: dict[str, dict[str, Any]] = {"counts": COUNTS, "pve8": changed, "pve9": pve9}
    text = ",\n".join(f'"{name}": {{\n{lines(part)}\n}}' for name, part in parts.items())
    return f"{{\n{text}\n}}\n"


def lines(part: dict[str, Any]) -> str:
    """One option, one line: that is what a change of PVE is read in."""
    return ",\n".join(
        f"{json.dumps(key)}: {json.dumps(part[key], sort_keys=True)}" for key in sorted(part)
    )


def options(path: str) -> dict[str, Any]:
    (node,) = [each for each in nodes(json.loads(Path(path).read_text())) if each["path"] == PATH]
    found = node["info"]["GET"]["returns"]["properties"]
    return {key: schema(each) for key, each in sorted(found.items()) if key != "digest"}


def nodes(tree: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for top in tree for each in (top, *nodes(top.get("children", [])))]


def schema(given: dict[str, Any]) -> dict[str, Any]:
    kept = {key: given[key] for key in KEPT if key in given}
    if isinstance(kept.get("format"), dict):
        kept["format"] = {key: schema(each) for key, each in kept["format"].items()}
    return kept


if __name__ == "__main__":
    main(*sys.argv[1:])
