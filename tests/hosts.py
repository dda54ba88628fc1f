"""Recorded hosts for tests: the guide's host as the lab recorded it, and variations of it.

A variation edits the capture the way the hardware or the administrator would change the host;
readers, checks and plans then run on it unchanged.
"""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

from hostpci.demo.scratch import unpack
from hostpci.facts.collect import collect
from hostpci.host.capture import CaptureRoot, load_capture
from hostpci.host.root import TreeRoot
from hostpci.host.runner import ReplayRunner
from hostpci.model.facts import Facts

GUIDE_HOST = Path(__file__).parents[1] / "src/hostpci/data/guide-host.json"
DEVICES = "/sys/bus/pci/devices"
SLOT = "0000:01:00"
VGA = "0000:01:00.0"
AUDIO = "0000:01:00.1"


class RecordedHost:
    """A capture that can be varied, replayed, or laid out as a tree."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = copy.deepcopy(load_capture(str(GUIDE_HOST)))

    @property
    def release(self) -> str:
        release: str = self.data["files"]["/proc/sys/kernel/osrelease"].strip()
        return release

    # variations

    def with_file(self, path: str, text: str) -> RecordedHost:
        """Put a file, listed in its directory if that directory was listed."""
        self.data["files"][path] = text
        self.data["errors"].pop(path, None)
        parent, _, name = path.rpartition("/")
        self.data["errors"].pop(parent, None)
        names = self.data["directories"].setdefault(parent, [])
        self.data["directories"][parent] = sorted({*names, name})
        return self

    def without(self, path: str) -> RecordedHost:
        """Make a file, link or directory absent."""
        for section in ("files", "binary", "links", "directories", "times"):
            self.data[section].pop(path, None)
        self.data["errors"][path] = "ENOENT"
        return self

    def unreadable(self, path: str) -> RecordedHost:
        self.without(path)
        self.data["errors"][path] = "EACCES"
        return self

    def with_link(self, path: str, target: str) -> RecordedHost:
        self.data["errors"].pop(path, None)
        self.data["links"][path] = target
        return self

    def with_driver(
        self, address: str, driver: str | None, *, built_in: bool = False
    ) -> RecordedHost:
        """Bind a function to a driver (a module of the same name), or to nobody."""
        link = f"{DEVICES}/{address}/driver"
        if driver is None:
            return self.without(link)
        self.with_link(link, f"../../../../bus/pci/drivers/{driver}")
        if built_in:
            return self.without(f"{link}/module")
        return self.with_link(f"{link}/module", f"../../../../module/{driver.replace('-', '_')}")

    def with_command_line(self, *words: str) -> RecordedHost:
        line = self.data["files"]["/proc/cmdline"].strip()
        return self.with_file("/proc/cmdline", " ".join([line, *words]) + "\n")

    def with_identity(self, address: str, **ids: str) -> RecordedHost:
        """Change ids, e.g. ``device="2882"``."""
        for name, value in ids.items():
            self.data["files"][f"{DEVICES}/{address}/{name}"] = f"0x{value}\n"
        return self

    def with_group(self, address: str, number: int) -> RecordedHost:
        """Move a function into another IOMMU group."""
        link = f"{DEVICES}/{address}/iommu_group"
        old = self.data["links"].get(link, "").rpartition("/")[2]
        groups = self.data["directories"]
        if old:
            members = groups[f"/sys/kernel/iommu_groups/{old}/devices"]
            groups[f"/sys/kernel/iommu_groups/{old}/devices"] = [m for m in members if m != address]
        target = f"/sys/kernel/iommu_groups/{number}/devices"
        groups[target] = sorted({*groups.get(target, []), address})
        return self.with_link(link, f"../../../../kernel/iommu_groups/{number}")

    def with_twin(self, slot: str = "0000:02:00", group: int = 42) -> RecordedHost:
        """Plug in a second, identical card."""
        for function in ("0", "1"):
            self._clone(f"{SLOT}.{function}", f"{slot}.{function}")
            self.with_group(f"{slot}.{function}", group)
        names = self.data["directories"]["/sys/kernel/iommu_groups"]
        self.data["directories"]["/sys/kernel/iommu_groups"] = sorted({*names, str(group)})
        for name in ("type", "reserved_regions"):
            source = self.data["files"].get(f"/sys/kernel/iommu_groups/8/{name}", "")
            self.data["files"][f"/sys/kernel/iommu_groups/{group}/{name}"] = source
        return self

    def _clone(self, source: str, target: str) -> None:
        for section in ("files", "links", "errors"):
            entries = self.data[section]
            for path in [each for each in entries if each.startswith(f"{DEVICES}/{source}")]:
                # The device's own link names it too: two paths must not be one place in a tree
                entries[path.replace(source, target)] = entries[path].replace(source, target)
        listed = self.data["directories"][DEVICES]
        self.data["directories"][DEVICES] = sorted({*listed, target})

    def without_device(self, slot: str) -> RecordedHost:
        listed = self.data["directories"][DEVICES]
        self.data["directories"][DEVICES] = [name for name in listed if name[:-2] != slot]
        return self

    def without_iommu(self) -> RecordedHost:
        """No table in the firmware, nothing in sysfs, plain interrupts."""
        self.data["directories"]["/sys/class/iommu"] = []
        for section in ("files", "directories"):
            for path in [each for each in self.data[section] if "/iommu_groups" in each]:
                del self.data[section][path]
        self.data["directories"]["/sys/kernel/iommu_groups"] = []
        tables = self.data["directories"]["/sys/firmware/acpi/tables"]
        left = [name for name in tables if name not in ("IVRS", "DMAR")]
        self.data["directories"]["/sys/firmware/acpi/tables"] = left
        for address in self.data["directories"][DEVICES]:
            self.without(f"{DEVICES}/{address}/iommu_group")
        return self.without_remapping()

    def without_remapping(self) -> RecordedHost:
        for path, text in self.data["files"].items():
            if path.endswith("/chip_name"):
                self.data["files"][path] = text.replace("IR-", "")
        return self

    def as_intel_default_off(self) -> RecordedHost:
        """An Intel board whose kernel leaves the IOMMU off unless told so."""
        self.without_iommu()
        self.data["directories"]["/sys/firmware/acpi/tables"].append("DMAR")
        cpu = self.data["files"]["/proc/cpuinfo"].replace("AuthenticAMD", "GenuineIntel")
        self.with_file("/proc/cpuinfo", cpu)
        return self.with_file(f"/boot/config-{self.release}", "CONFIG_VFIO_PCI=m\n")

    def with_modules_in_initramfs(self, *modules: str) -> RecordedHost:
        lines = [f"usr/lib/modules/{self.release}/kernel/drivers/{name}.ko" for name in modules]
        return self.with_initramfs_lines(*lines)

    def with_initramfs_lines(self, *lines: str) -> RecordedHost:
        for command in self.data["commands"]:
            if command["argv"][0] == "lsinitramfs":
                command["stdout"] += "".join(f"{line}\n" for line in lines)
        return self

    def with_only(self, *slots: str) -> RecordedHost:
        """Leave out every other device, for tests that lay out many trees."""
        listed = self.data["directories"][DEVICES]
        gone = [name for name in listed if name[:-2] not in slots]
        self.data["directories"][DEVICES] = [name for name in listed if name not in gone]
        for section in ("files", "links", "errors"):
            paths = [path for path in self.data[section] if any(name in path for name in gone)]
            for path in paths:
                del self.data[section][path]
        return self

    # use

    def facts(self) -> Facts:
        return collect(CaptureRoot(self.data), self.runner())

    def runner(self) -> ReplayRunner:
        return ReplayRunner(self.data["commands"])

    def tree(self, directory: Path) -> TreeRoot:
        """Lay the host out below ``directory``."""
        directory.mkdir(parents=True, exist_ok=True)
        unpack(self.data, str(directory))
        return TreeRoot(str(directory))

    def save(self, path: Path) -> Path:
        path.write_text(json.dumps(self.data), encoding="utf-8")
        return path


def shared_data() -> Path | None:
    """The research data beside the checkout, where there is one."""
    path = Path(__file__).parents[2] / "shared"
    return path if os.path.isdir(path) else None
