"""The arguments that PVE gives QEMU for passthrough, graphics, processor and machine.

Not the whole command: disks, networks and sockets are another's. Source: qemu-server
src/PVE/QemuServer.pm (config_to_command) and QemuServer/PCI.pm (print_hostpci_devices).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .cpuargs import cpu_argument
from .hostpci import PVE8, PVE9, Hostpci
from .machine import NEWEST_QEMU, Machine, windows_version
from .schema import FormatError, parse_property_string, split_list
from .start import HostView, Resolved, StartError, choose, resolve_all
from .vgaargs import Vga
from .vmoptions import DRIVES, formats, options

Arguments = tuple[tuple[str, ...], ...]

ROM_DIRECTORY = "/usr/share/kvm/"
_BOOT = "menu=on,strict=on,reboot-timeout=1000,splash=/usr/share/qemu-server/bootsplash.jpg"
_PORTS_IN_Q35_CFG = 4
_FIRST_BOOT_INDEX = 100
_WINDOWS_7 = 7
# slot of hostpciN without pcie=1: bus and device number
_PCI = {0: (0, 16), 1: (0, 17), 2: (0, 27), 3: (0, 28)} | {n: (2, 9 + n) for n in range(4, 16)}
# Windows 7 wants PCIe devices on the root bus itself
_ROOT_BUS = (16, 17, 18, 19, 9, 10, 11, 12, 13, 14, 15, 21, 22, 23, 24, 25)
_BRIDGES = {1: (0, 30), 2: (0, 31), 3: (0, 5), 4: (1, 28)}
_SECOND_BRIDGE_WITH_IGD = (1, 30)
_DISKS_PER_CONTROLLER = {"virtio-scsi-single": 1, "lsi": 7, "lsi53c810": 7}
_PRETENDED = ("vendor_id", "device_id", "sub_vendor_id", "sub_device_id")
_ON_A_BRIDGE_OF_ITS_OWN = 2  # from the third SCSI controller on


@dataclass(frozen=True, slots=True, kw_only=True)
class HostpciArguments:
    """``devices``: the values of ``-device`` in their order, root ports among them."""

    devices: tuple[str, ...]
    hides_kvm: bool
    has_legacy_igd: bool


def hostpci_arguments(
    config: Mapping[str, object], host: HostView, *, vmid: int = 100, pve: int = PVE9
) -> HostpciArguments:
    """What the VM's hostpci devices become. Raises StartError, FormatError."""
    found = resolve_all(config, host, pve=pve)
    chosen = choose(found)
    windows = windows_version(str(config.get("ostype", "")))
    order = _boot_order(config, pve)
    devices = [
        each
        for key, device in found.items()
        for each in _device(config, key, device, chosen[key], windows, vmid, order)
    ]
    return HostpciArguments(
        devices=tuple(devices),
        hides_kvm=any(each.given.x_vga for each in found.values()),
        has_legacy_igd=any(each.given.legacy_igd for each in found.values()),
    )


def _device(
    config: Mapping[str, object],
    key: str,
    device: Resolved,
    functions: tuple[str, ...],
    windows: int,
    vmid: int,
    order: Mapping[str, int],
) -> Iterator[str]:
    index = int(key.removeprefix("hostpci"))
    given = device.given
    if given.pcie and windows != _WINDOWS_7 and index >= _PORTS_IN_Q35_CFG:
        yield root_port(index)
    place = _place(given, index, windows)
    is_several = len(functions) > 1 and not device.mdev
    for number, address in enumerate(functions):
        source = f"host={address}"
        if device.mdev:
            source = f"sysfsdev=/sys/bus/mdev/devices/{mdev_uuid(vmid, index)}"
        part = f".{number}" if is_several else ""
        migrates = ",enable-migration=on" if device.can_migrate_live else ""
        extra = _extra(config, key, given, order, is_several=is_several) if not number else ""
        yield f"vfio-pci,{source}{migrates},id={key}{part}{place}{part}{extra}"
        if device.mdev:
            return


def _extra(
    config: Mapping[str, object],
    key: str,
    given: Hostpci,
    order: Mapping[str, int],
    *,
    is_several: bool,
) -> str:
    """What only the first function of a device gets."""
    parts = ["rombar=0"] if given.rombar is False else []
    parts += ["x-vga=on"] if given.x_vga and config.get("bios") != "ovmf" else []
    parts += ["multifunction=on"] if is_several else []
    parts += [f"romfile={ROM_DIRECTORY}{given.romfile}"] if given.romfile else []
    parts += [f"bootindex={order[key]}"] if key in order else []
    for name in _PRETENDED:
        value = getattr(given, name)
        parts += [f"x-pci-{name.replace('_', '-')}={value}"] if value else []
    return "".join(f",{each}" for each in parts)


def _place(given: Hostpci, index: int, windows: int) -> str:
    if given.pcie and windows == _WINDOWS_7:
        return f",bus=pcie.0,addr=0x{_ROOT_BUS[index]:x}"
    if given.pcie:
        return f",bus=ich9-pcie-port-{index + 1},addr=0x0"
    bus, slot = (0, 2) if given.legacy_igd else _PCI[index]
    return f",bus=pci.{bus},addr=0x{slot:x}"


def root_port(index: int) -> str:
    """The port of hostpciN; the first four stand in pve-q35-4.0.cfg."""
    slot, function = divmod(index - _PORTS_IN_Q35_CFG, 8)
    return (
        f"pcie-root-port,id=ich9-pcie-port-{index + 1},addr={10 + slot}.{function},x-speed=16,"
        f"x-width=32,multifunction=on,bus=pcie.0,port={index + 1},chassis={index + 1}"
    )


def mdev_uuid(vmid: int, index: int) -> str:
    return f"{index:08d}-0000-0000-0000-{vmid:012d}"


def _boot_order(config: Mapping[str, object], pve: int) -> dict[str, int]:
    text = str(config.get("boot", ""))
    schema = formats(pve)["pve-qm-boot"]
    if text in ("", "0") or callable(schema):
        return {}
    boot = parse_property_string(schema, text, formats=formats(pve))
    if "legacy" in boot:
        return {}  # names kinds of devices, and hostpci is none of them
    names = split_list(str(boot.get("order", "")))
    return {name: number for number, name in enumerate(names, _FIRST_BOOT_INDEX)}


def arguments(
    config: Mapping[str, object],
    host: HostView,
    *,
    vmid: int = 100,
    pve: int = PVE9,
    qemu: str = "",
    host_virtualization: str = "",
) -> Arguments:
    """The arguments for a configuration that was read. Raises StartError, FormatError."""
    if _is_set(config, "template"):
        config = _for_a_template(config)
    machine = Machine(config, pve=pve, qemu=qemu or NEWEST_QEMU[pve], node=host.node)
    has_kvm = _is_set(config, "kvm", default=True)
    windows = windows_version(str(config.get("ostype", "")))
    vga = Vga(config, pve=pve, windows=windows)
    given = hostpci_arguments(config, host, vmid=vmid, pve=pve)
    if given.hides_kvm and "vga" not in config:
        vga.type = "none"
    cpu = cpu_argument(
        config, machine, pve=pve, has_kvm=has_kvm, windows=windows, hides_kvm=given.hides_kvm,
        is_gpu_given=given.hides_kvm, host_virtualization=host_virtualization,
    )  # fmt: skip
    flags = _machine_flags(config, machine, vga, pve=pve, windows=windows, has_kvm=has_kvm)
    return (
        ("-boot", _BOOT),
        *_no_display(vga),
        ("-cpu", cpu),
        ("-m", _memory(config, pve)),
        *_devices(config, machine, vga, given),
        ("-machine", ",".join(flags)),
    )


def _is_set(config: Mapping[str, object], key: str, *, default: bool = False) -> bool:
    return bool(int(str(config.get(key, int(default)))))


def _for_a_template(config: Mapping[str, object]) -> dict[str, object]:
    """A template is only started to be copied, with its disks alone."""
    kept = {
        key: value for key, value in config.items()
        if key in ("scsihw", "bios", "name") or DRIVES.fullmatch(key)
    }  # fmt: skip
    return {**kept, "kvm": 0, "vga": "none"}


def _no_display(vga: Vga) -> Arguments:
    if vga.is_card:
        return ()
    return (("-vga", "none"), ("-nographic",)) if vga.type == "none" else (("-nographic",),)


def _memory(config: Mapping[str, object], pve: int) -> str:
    schema = options(pve)["memory"]["format"]
    given = parse_property_string(schema, str(config.get("memory", "512")))
    if config.get("hugepages") and not _is_set(config, "numa"):
        raise StartError("numa needs to be enabled to use hugepages")
    return str(given["current"])


def _machine_flags(
    config: Mapping[str, object], machine: Machine, vga: Vga, *,
    pve: int, windows: int, has_kvm: bool,
) -> list[str]:  # fmt: skip
    flags = []
    is_ovmf = config.get("bios") == "ovmf"
    if is_ovmf and pve > PVE8 and machine.guard(10, 0):
        flags += ["pflash0=pflash0", "pflash1=drive-efidisk0"]
    flags += ["acpi=off"] if not _is_set(config, "acpi", default=True) else []
    is_new_linux = pve > PVE8 and config.get("ostype") == "l26" and machine.guard(10, 1)
    flags += ["hpet=off"] if windows >= 6 or is_new_linux else []  # noqa: PLR2004  (Vista)
    flags += ["accel=tcg"] if not has_kvm else []
    machine.guard(9, 2, 1)  # sleep states are off by default from there on
    if pve > PVE8 and any(f"net{index}" in config for index in range(32)):
        machine.guard(10, 0, 1)
    flags += ["smm=off"] if not is_ovmf and not vga.is_card else []
    flags.append(f"type={machine.shown}")
    _refuse_viommu(machine)
    if machine.properties.get("viommu") == "intel":
        flags.append("kernel-irqchip=split")
    return flags


def _refuse_viommu(machine: Machine) -> None:
    kind, bits = machine.properties.get("viommu"), machine.properties.get("aw-bits")
    if kind == "intel" and not machine.is_q35:
        raise StartError("to use Intel vIOMMU please set the machine type to q35\n")
    if kind == "intel" and bits not in (None, "39", "48"):
        raise StartError("Intel vIOMMU supports only 39 or 48 bits as address width\n")
    if bits and not kind:
        raise StartError("cannot set aw-bits if no vIOMMU is configured\n")


def _devices(
    config: Mapping[str, object], machine: Machine, vga: Vga, given: HostpciArguments
) -> Iterator[tuple[str, ...]]:
    viommu = machine.properties.get("viommu")
    if viommu == "intel":
        yield "-device", "intel-iommu,intremap=on,caching-mode=on"
    if machine.is_q35:
        version = "-4.0" if machine.is_at_least(4, 0) else ""
        yield "-readconfig", f"/usr/share/qemu-server/pve-q35{version}.cfg"
    for number in _bridges(config, machine):
        bus, slot = _BRIDGES[number]
        if number == 2 and given.has_legacy_igd:  # noqa: PLR2004
            bus, slot = _SECOND_BRIDGE_WITH_IGD
        yield (
            "-device",
            f"pci-bridge,id=pci.{number},chassis_nr={number},bus=pci.{bus},addr=0x{slot:x}",
        )
    shown = vga.devices(config, machine) if vga.is_card else []
    for device in (*given.devices, *shown):
        yield "-device", device
    if viommu == "virtio":
        yield "-device", "virtio-iommu-pci"


def _bridges(config: Mapping[str, object], machine: Machine) -> list[int]:
    """pve-q35.cfg has the first three of its own."""
    kind = str(config.get("scsihw", "lsi"))
    disks = _DISKS_PER_CONTROLLER.get(kind, 256)
    indices = [int(key[4:]) for key in config if key.startswith("scsi") and key[4:].isdigit()]
    is_crowded = kind != "virtio-scsi-single" and any(
        index // disks >= _ON_A_BRIDGE_OF_ITS_OWN for index in indices
    )
    own = [] if machine.is_q35 else [1, 2]
    own += [3] if kind == "virtio-scsi-single" and not machine.is_q35 else []
    return own + ([4] if is_crowded else [])


__all__ = [
    "FormatError", "HostView", "HostpciArguments", "StartError", "arguments",
    "hostpci_arguments", "mdev_uuid", "root_port",
]  # fmt: skip
