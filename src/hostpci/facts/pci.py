"""Reads /sys/bus/pci and /sys/kernel/iommu_groups (Documentation/ABI/testing/sysfs-bus-pci)."""

from __future__ import annotations

import re

from ..host.runner import Runner
from ..model.address import is_function, last_function_in
from ..model.pci import Bar, Identity, Inventory, IommuGroup, Link, PciFunction, Use, UseKind
from .look import Look
from .names import Names, read_candidates, read_names
from .usage import Holders, read_uses

_DEVICES = "/sys/bus/pci/devices"
_GROUPS = "/sys/kernel/iommu_groups"
# include/linux/ioport.h
_IORESOURCE_IO = 0x100
_IORESOURCE_MEM = 0x200
_IORESOURCE_PREFETCH = 0x2000
_IORESOURCE_MEM_64 = 0x100000
_BARS = 6
_ADDRESS = r"(?:0x)?([0-9a-f]{1,16})"
_RESOURCE = re.compile(rf"\s*{_ADDRESS}\s+{_ADDRESS}\s+{_ADDRESS}\s*", re.IGNORECASE)
# str.isdigit() knows digits that int() does not
_GROUP = re.compile(r"[0-9]{1,10}")


def read_inventory(look: Look, runner: Runner) -> Inventory:
    """Every PCI function and IOMMU group, with what the host uses each function for."""
    addresses = [name for name in look.names(_DEVICES) if is_function(name)]
    aliases = {address: look.text(f"{_DEVICES}/{address}/modalias") or "" for address in addresses}
    release = look.text("/proc/sys/kernel/osrelease") or ""
    candidates = read_candidates(look, release, sorted(set(aliases.values())))
    identities = {address: _read_identity(look, address) for address in addresses}
    classes = {
        address: look.number(f"{_DEVICES}/{address}/class", 16) or 0 for address in addresses
    }
    pairs = sorted({(each.vendor, each.device) for each in identities.values()})
    names = read_names(look, pairs, sorted(set(classes.values())))
    holders = look.root.device_holders()
    uses = read_uses(look, runner, holders)
    functions = tuple(
        _read_function(
            look, address, identities[address], classes[address], names,
            candidates.get(aliases[address], ()), uses.get(address, ()),
        )
        for address in addresses
    )  # fmt: skip
    return Inventory(functions=functions, groups=read_groups(look, holders), unmeasured=look.gaps)


def _read_identity(look: Look, address: str) -> Identity:
    def hex_id(name: str) -> str:
        return (look.text(f"{_DEVICES}/{address}/{name}") or "").removeprefix("0x")

    return Identity(
        vendor=hex_id("vendor"),
        device=hex_id("device"),
        subsystem_vendor=hex_id("subsystem_vendor"),
        subsystem_device=hex_id("subsystem_device"),
    )


def _read_function(
    look: Look,
    address: str,
    identity: Identity,
    class_code: int,
    names: Names,
    modules: tuple[str, ...],
    uses: tuple[Use, ...],
) -> PciFunction:
    base = f"{_DEVICES}/{address}"
    boot_vga = look.number(f"{base}/boot_vga")
    group = look.link_name(f"{base}/iommu_group")
    driver = look.link_name(f"{base}/driver")
    override = look.text(f"{base}/driver_override")
    power_state = look.text(f"{base}/power_state")
    console = (Use(kind=UseKind.CONSOLE, name="boot-vga"),) if boot_vga == 1 else ()
    return PciFunction(
        address=address,
        identity=identity,
        class_code=class_code,
        revision=look.number(f"{base}/revision", 16) or 0,
        class_name=names.of_class(class_code),
        vendor_name=names.vendor(identity.vendor),
        device_name=names.device(identity.vendor, identity.device),
        driver=driver,
        driver_module=look.link_name(f"{base}/driver/module") if driver else None,
        driver_override=None if override in (None, "", "(null)") else override,
        modules=modules,
        iommu_group=int(group) if group and _GROUP.fullmatch(group) else None,
        reset_methods=tuple((look.text(f"{base}/reset_method") or "").split()),
        power_state=power_state,
        # To ask for the link wakes a card (pci-sysfs.c pci_config_pm_runtime_get, Linux 6.7)
        link=None if power_state == "D3cold" else _read_link(look, base),
        bars=_read_bars(look, f"{base}/resource"),
        boot_vga=None if boot_vga is None else boot_vga == 1,
        # PVE's own test for "leave it alone" (PVE::SysFSTools pci_dev_group_bind_to_vfio)
        is_bridge=look.exists(f"{base}/pci_bus"),
        parent=_parent_in(look.link(base)),
        sriov_vfs_enabled=look.number(f"{base}/sriov_numvfs") or 0,
        physical_function=look.link_name(f"{base}/physfn"),
        uses=console + uses,
    )


def _parent_in(device_path: str | None) -> str | None:
    return last_function_in((device_path or "").rpartition("/")[0])


def _read_link(look: Look, base: str) -> Link | None:
    width = look.number(f"{base}/current_link_width")
    if not width:
        return None
    return Link(
        speed=look.text(f"{base}/current_link_speed") or "",
        width=width,
        max_speed=look.text(f"{base}/max_link_speed") or "",
        max_width=look.number(f"{base}/max_link_width") or 0,
    )


def _read_bars(look: Look, path: str) -> tuple[Bar, ...]:
    try:
        return parse_bars(look.text(path) or "")
    except ValueError as error:
        look.note(path, str(error))
        return ()


def parse_bars(resource: str) -> tuple[Bar, ...]:
    """Parse sysfs ``resource``: lines of start, end, flags; a BAR that is not there is zero.

    Raises ValueError for anything else.
    """
    bars = []
    for index, line in enumerate(resource.splitlines()[:_BARS]):
        match = _RESOURCE.fullmatch(line)
        if match is None:
            raise ValueError(f"not start, end and flags: {line[:60]!r}")
        start, end, flags = (int(word, 16) for word in match.groups())
        if flags & (_IORESOURCE_IO | _IORESOURCE_MEM):
            bars.append(
                Bar(
                    index=index,
                    start=start,
                    size_bytes=end - start + 1,
                    is_io=bool(flags & _IORESOURCE_IO),
                    is_64bit=bool(flags & _IORESOURCE_MEM_64),
                    is_prefetchable=bool(flags & _IORESOURCE_PREFETCH),
                )
            )
    return tuple(bars)


def read_groups(look: Look, holders: Holders) -> tuple[IommuGroup, ...]:
    numbers = sorted(int(name) for name in look.names(_GROUPS) if _GROUP.fullmatch(name))
    return tuple(_read_group(look, number, holders) for number in numbers)


def _read_group(look: Look, number: int, holders: Holders) -> IommuGroup:
    base = f"{_GROUPS}/{number}"
    regions = (look.text(f"{base}/reserved_regions") or "").splitlines()
    fields = [line.split() for line in regions]
    return IommuGroup(
        number=number,
        members=look.names(f"{base}/devices"),
        holders=holders.get(f"/dev/vfio/{number}", ()),
        default_domain=look.text(f"{base}/type"),
        reserved_direct=tuple(
            f"{words[0]}-{words[1]}" for words in fields if words[2:] == ["direct"]
        ),
    )
