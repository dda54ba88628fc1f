"""The display of a VM in QEMU's arguments.

Source: qemu-server src/PVE/QemuServer.pm (get_vga_properties, print_vga_device).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .machine import Machine
from .schema import Value, parse_property_string
from .vmoptions import formats, options

_DEVICES = {
    "cirrus": "cirrus-vga", "std": "VGA", "vmware": "vmware-svga", "virtio": "virtio-vga",
    "virtio-gl": "virtio-vga-gl",
}  # fmt: skip
_QXL = re.compile(r"qxl([234])?$")
_SEVERAL_HEADS = re.compile(r"(?:l\d\d)|(?:other)$")
_VISTA, _MIB = 6, 1 << 20
_FIRST_MORE = 24  # the slot of the second display on the first bus


class Vga:
    """``type`` after PVE's defaults; ``heads``: displays of QXL, 0 with any other."""

    def __init__(self, config: Mapping[str, object], *, pve: int, windows: int) -> None:
        text = str(config.get("vga", ""))
        given: dict[str, Value] = {}
        if text not in ("", "0"):
            schema = options(pve)["vga"]["format"]
            given = parse_property_string(schema, text, formats=formats(pve))
        qxl = _QXL.match(str(given.get("type", "")))
        self.heads = int(qxl[1] or 1) if qxl else 0
        default = "cirrus" if 0 < windows < _VISTA else "std"
        self.type = "qxl" if qxl else str(given.get("type", default))
        self.memory_mib = int(given.get("memory", 0))
        self._windows = windows

    @property
    def is_card(self) -> bool:
        return self.type != "none" and not self.type.startswith("serial")

    def devices(self, config: Mapping[str, object], machine: Machine) -> list[str]:
        """The first display, and with QXL on Windows one device for each of the others."""
        more = range(1, self.heads) if self._windows else ()
        return [self._device(config, machine, head) for head in (0, *more)]

    def _device(self, config: Mapping[str, object], machine: Machine, head: int) -> str:
        kind = _DEVICES.get(self.type, "")
        heads = ""
        if self.heads:
            kind = "qxl" if head else "qxl-vga"
            if _SEVERAL_HEADS.search(str(config.get("ostype", "")) or "other"):
                heads = ",max_outputs=4" if machine.is_at_least(4, 1) else ""
        if machine.is_q35 and not head:
            place = ",bus=pcie.0,addr=0x1"
        else:
            place = f",bus=pci.0,addr=0x{_FIRST_MORE + head - 1 if head else 2:x}"
        no_edid = kind == "VGA" and self._windows and config.get("bios") != "ovmf"
        edid = ",edid=off" if no_edid else ""
        return f"{kind},id=vga{head or ''}{self._memory(head)}{heads}{place}{edid}"

    def _memory(self, head: int) -> str:
        mib = self.memory_mib
        if not mib:
            return ",ram_size=67108864,vram_size=33554432" if self.heads and head else ""
        if self.type.startswith("virtio"):
            return f",max_hostmem={mib * _MIB}"
        shown = f",vgamem_mb={mib}"
        return shown + (f",ram_size_mb={mib * 4},vram_size_mb={mib * 2}" if self.heads else "")
