"""What is plugged in and what the host has behind it, as sysfs and procfs show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .recorded_tree import MemoryRoot

if TYPE_CHECKING:
    from .recorded_hosts import Description, Function

_DEVICES = "/sys/bus/pci/devices"
# (vendor or *, beginning of the class) -> modules whose alias fits, as in a kernel of Proxmox
_USUAL_MODULES = {
    ("10de", "03"): "nouveau,nvidiafb",
    ("1002", "03"): "amdgpu",
    ("8086", "03"): "i915,xe",
    ("1a03", "03"): "ast",
    ("102b", "03"): "mgag200",
    ("*", "0403"): "snd_hda_intel",
    ("*", "0c0330"): "xhci_pci",
    ("*", "0c0320"): "ehci_pci",
    ("*", "010601"): "ahci",
    ("*", "010802"): "nvme",
    ("10de", "0c8000"): "i2c_nvidia_gpu",
    ("1002", "0c8000"): "",
    ("1000", "0107"): "mpt3sas",
    ("1022", "1080"): "ccp",
    ("10ec", "0200"): "r8169",
    ("8086", "0c05"): "i2c_i801",
}
# The name of a driver and of its module are not always the same
_MODULE_OF = {"xhci_hcd": "xhci_pci", "ehci-pci": "ehci_pci", "i801_smbus": "i2c_i801"}
_BUILT_IN = {"pcieport"}
_MODESETTING = {"i915", "xe", "amdgpu", "radeon", "nouveau", "ast", "mgag200", "nvidia"}
_NO_RENDER_NODE = {"ast", "mgag200"}


def build(about: Description, root: MemoryRoot) -> None:
    paths = _paths(about)
    for each in about.functions:
        _add_function(root, each, paths[each.address])
    _add_names(about, root)
    _add_groups(about, root, paths)
    _add_iommu(about, root)
    _add_screens(about, root, paths)
    _add_sound_cards(about, root, paths)
    _add_disks(about, root, paths)
    _add_interfaces(about, root, paths)
    _add_inputs(about, root, paths)
    root.holders = {key: tuple(value) for key, value in about.data.get("holders", {}).items()}


# PCI


def _paths(about: Description) -> dict[str, str]:
    """Address -> directory below /sys/devices, through every bridge above it."""
    bridges = {
        f"{each.address.rpartition(':')[0].rpartition(':')[0]}:{each.words['bus']}": each
        for each in about.functions
        if "bus" in each.words
    }
    known: dict[str, str] = {}

    def path_of(each: Function) -> str:
        if each.address not in known:
            above = bridges.get(each.bus)
            under = each.words.get("under")
            if above:
                parent = path_of(above)
            elif under:
                host = next(other for other in about.functions if other.address == under)
                parent = f"{path_of(host)}/pci{each.bus}"
            else:
                parent = f"/sys/devices/pci{each.bus}"
            known[each.address] = f"{parent}/{each.address}"
        return known[each.address]

    for each in about.functions:
        path_of(each)
    return known


def _add_function(root: MemoryRoot, each: Function, path: str) -> None:
    root.directory(path)
    root.link(f"{_DEVICES}/{each.address}", f"../../../{path.removeprefix('/sys/')}")
    words = each.words
    texts = {
        "vendor": f"0x{each.ids[0]}",
        "device": f"0x{each.ids[1]}",
        "subsystem_vendor": f"0x{each.subsystem[0]}",
        "subsystem_device": f"0x{each.subsystem[1]}",
        "class": f"0x{each.class_code}",
        "revision": f"0x{words.get('rev', '00')}",
        "modalias": _modalias(each),
        "driver_override": words.get("override", "(null)"),
        "power_state": words.get("power", "D0"),
        "d3cold_allowed": "1",
        "resource": "\n".join([f"0x{0:016x} 0x{0:016x} 0x{0:016x}"] * 7),
    }
    if each.class_code.startswith("0300"):
        texts["boot_vga"] = "1" if "boot_vga" in words else "0"
    if "reset" in words:
        texts["reset_method"] = words["reset"].replace(",", " ")
    if "vfs" in words:
        texts |= {"sriov_totalvfs": "64", "sriov_numvfs": words["vfs"]}
    for name, text in texts.items():
        root.file(f"{path}/{name}", f"{text}\n")
    if "bus" in words:
        root.directory(f"{path}/pci_bus/{each.address[:-8]}:{words['bus']}")
    if "pf" in words:
        root.link(f"{path}/physfn", f"../{words['pf']}")
    if each.driver:
        _bind(root, each, path)


def _modalias(each: Function) -> str:
    ids = [*each.ids, *each.subsystem]
    vendor, device, subvendor, subdevice = (text.upper().rjust(8, "0") for text in ids)
    base, sub, interface = (each.class_code[at : at + 2].upper() for at in (0, 2, 4))
    return f"pci:v{vendor}d{device}sv{subvendor}sd{subdevice}bc{base}sc{sub}i{interface}"


def _bind(root: MemoryRoot, each: Function, path: str) -> None:
    driver = f"/sys/bus/pci/drivers/{each.driver}"
    root.directory(driver)
    depth = path.count("/") - 1
    root.link(f"{path}/driver", f"{'../' * depth}bus/pci/drivers/{each.driver}")
    if each.driver not in _BUILT_IN and "builtin" not in each.words:
        module = _MODULE_OF.get(each.driver, each.driver.replace("-", "_"))
        root.directory(f"/sys/module/{module}")
        root.link(f"{driver}/module", f"../../../../module/{module}")


def modules_of(each: Function) -> list[str]:
    """Modules of the kernel whose alias fits the function."""
    given = each.words.get("modules")
    if given is None:
        sizes = ((size, vendor) for size in (6, 4, 2) for vendor in (each.ids[0], "*"))
        keys = [(vendor, each.class_code[:size]) for size, vendor in sizes]
        given = next((_USUAL_MODULES[key] for key in keys if key in _USUAL_MODULES), "")
        driver = _MODULE_OF.get(each.driver, each.driver.replace("-", "_"))
        if not given and driver and driver not in {"vfio_pci", "pcieport"}:
            given = driver
    return [name for name in given.split(",") if name and name != "-"]


def module_aliases(about: Description) -> str:
    lines = {
        f"alias pci:v0000{each.ids[0].upper()}d0000{each.ids[1].upper()}sv*sd*bc*sc*i* {module}"
        for each in about.functions
        for module in modules_of(each)
    }
    return "".join(f"{line}\n" for line in sorted(lines))


def _add_names(about: Description, root: MemoryRoot) -> None:
    """A pci.ids with the names that the description gives."""
    vendors: dict[str, dict[str, str]] = {}
    for each in about.functions:
        if each.name:
            vendors.setdefault(each.ids[0], {})[each.ids[1]] = each.name
    lines = []
    for vendor, devices in sorted(vendors.items()):
        lines += [f"{vendor}  {_VENDORS.get(vendor, vendor)}"]
        lines += [f"\t{device}  {name}" for device, name in sorted(devices.items())]
    root.file("/usr/share/misc/pci.ids", "\n".join([*lines, *_CLASSES]) + "\n")


_VENDORS = {
    "10de": "NVIDIA Corporation",
    "1002": "Advanced Micro Devices, Inc. [AMD/ATI]",
    "1022": "Advanced Micro Devices, Inc. [AMD]",
    "8086": "Intel Corporation",
    "10ec": "Realtek Semiconductor Co., Ltd.",
    "1000": "Broadcom / LSI",
    "15b3": "Mellanox Technologies",
    "144d": "Samsung Electronics Co Ltd",
}
_CLASSES = (
    "C 01  Mass storage controller", "\t06  SATA controller",
    "\t08  Non-Volatile memory controller", "C 02  Network controller", "\t00  Ethernet controller",
    "C 03  Display controller", "\t00  VGA compatible controller", "\t02  3D controller",
    "C 04  Multimedia controller", "\t03  Audio device", "C 06  Bridge", "\t00  Host bridge",
    "\t01  ISA bridge", "\t04  PCI bridge", "C 0c  Serial bus controller",
    "\t03  USB controller", "\t05  SMBus",
)  # fmt: skip


def _add_groups(about: Description, root: MemoryRoot, paths: dict[str, str]) -> None:
    if not about.host["iommu"]:
        root.directory("/sys/kernel/iommu_groups")
        return
    domain = "identity" if "iommu=pt" in about.host["words"].split() else "DMA-FQ"
    reserved = about.data.get("reserved", {})
    for each in about.functions:
        if each.group:
            group = f"/sys/kernel/iommu_groups/{each.group}"
            path = paths[each.address]
            up = "../" * (path.count("/") - 1)
            root.link(f"{path}/iommu_group", f"{up}kernel/iommu_groups/{each.group}")
            root.link(
                f"{group}/devices/{each.address}", f"../../../../{path.removeprefix('/sys/')}"
            )
            root.file(f"{group}/type", f"{domain}\n")
            lines = [*reserved.get(each.group, ()), "0x00000000fee00000 0x00000000feefffff msi"]
            root.file(f"{group}/reserved_regions", "".join(f"{line}\n" for line in lines))


def _add_iommu(about: Description, root: MemoryRoot) -> None:
    host = about.host
    table = "DMAR" if about.is_intel else "IVRS"
    tables = host.get("tables", [table])
    for name in ("APIC", "DSDT", "FACP", "MCFG", *tables):
        root.file(f"/sys/firmware/acpi/tables/{name}")
    default = ["dmar0", "dmar1"] if about.is_intel else ["ivhd0"]
    for unit in host.get("units", default) if host["iommu"] else []:
        root.directory(f"/sys/class/iommu/{unit}")
    root.directory("/sys/class/iommu")
    # Intel's remapping of interrupts is on wherever the firmware has DMAR, whatever becomes of the
    # rest of it (intel_prepare_irq_remapping in drivers/iommu/intel/irq_remapping.c)
    remaps = host["remapping"] and bool(tables) and (about.is_intel or host["iommu"])
    prefix = "IR-" if remaps else ""
    chips = {1: "IO-APIC", 8: "IO-APIC", 9: "IO-APIC"}
    ports = [each.address for each in about.functions if each.driver == "pcieport"]
    chips |= {number: f"PCI-MSI-{port}" for number, port in enumerate(ports, start=26)}
    chips |= {120: "PCI-MSI-0000:00:00.0"} if not ports else {}
    for number, chip in chips.items():
        root.file(f"/sys/kernel/irq/{number}/chip_name", f"{prefix}{chip}\n")
    flag = ("vmx" if about.is_intel else "svm") if host["virtualization"] else "sse2"
    vendor = "GenuineIntel" if about.is_intel else "AuthenticAMD"
    lines = [f"vendor_id\t: {vendor}", f"model name\t: {host['cpu']}", f"flags\t\t: fpu lm {flag}"]
    root.file("/proc/cpuinfo", "\n".join(["processor\t: 0", *lines]) + "\n")


# what hangs below


def _class(root: MemoryRoot, kind: str, node: str, path: str) -> None:
    root.directory(path)
    root.link(f"/sys/class/{kind}/{node}", f"../../{path.removeprefix('/sys/')}")


def _add_screens(about: Description, root: MemoryRoot, paths: dict[str, str]) -> None:
    """A card node for every function with a modesetting driver, the console on the first screen."""
    shown = [each for each in about.functions if each.is_display and each.driver in _MODESETTING]
    for number, each in enumerate(shown):
        path = paths[each.address]
        _class(root, "drm", f"card{number}", f"{path}/drm/card{number}")
        if each.driver not in _NO_RENDER_NODE:
            node = f"renderD{128 + number}"
            _class(root, "drm", node, f"{path}/drm/{node}")
        connector = f"card{number}-HDMI-A-1"
        _class(root, "drm", connector, f"{path}/drm/card{number}/{connector}")
        state = "connected" if "connected" in each.words else "disconnected"
        root.file(f"{path}/drm/card{number}/{connector}/status", f"{state}\n")
        if each.driver == "nvidia":
            place = f"Bus Location: \t {each.address}\nDevice Minor: \t {number}\n"
            text = f"Model: \t\t {each.name}\n{place}"
            root.file(f"/proc/driver/nvidia/gpus/{each.address}/information", text)
    _class(root, "graphics", "fbcon", "/sys/devices/virtual/graphics/fbcon")
    boot = [each.address for each in shown if "boot_vga" in each.words]
    place = about.host["framebuffer"] or (boot[0] if boot else "")
    if place == "simple":
        _class(root, "graphics", "fb0", "/sys/devices/platform/simple-framebuffer.0/graphics/fb0")
        _class(root, "drm", "card9", "/sys/devices/platform/simple-framebuffer.0/drm/card9")
    elif place and place != "none":
        _class(root, "graphics", "fb0", f"{paths[place]}/graphics/fb0")


def _add_sound_cards(about: Description, root: MemoryRoot, paths: dict[str, str]) -> None:
    root.directory("/sys/class/sound")
    playing = [each for each in about.functions if each.driver == "snd_hda_intel"]
    for number, each in enumerate(playing):
        path = f"{paths[each.address]}/sound/card{number}"
        _class(root, "sound", f"card{number}", path)
        _class(root, "sound", f"controlC{number}", f"{path}/controlC{number}")


def _full(address: str) -> str:
    return address if address.count(":") == 2 else f"0000:{address}"


def _add_disks(about: Description, root: MemoryRoot, paths: dict[str, str]) -> None:
    """Rows: ``NODE ADDRESS [PARTITIONS] [usb|sas|multipath]``."""
    root.directory("/sys/class/block")
    for port, (node, address, *words) in enumerate(about.rows("disks")):
        path = _disk_path(paths[_full(address)], node, port, words)
        _class(root, "block", node, path)
        if "multipath" in words:
            controller, _, space = node.removeprefix("nvme").partition("n")
            hidden = f"nvme{controller}c{controller}n{space}"
            below = f"{paths[_full(address)]}/nvme/nvme{controller}/{hidden}"
            _class(root, "block", hidden, below)
        for number in range(1, int(words[0]) + 1 if words and words[0].isdigit() else 1):
            part = f"{node}p{number}" if node[-1].isdigit() else f"{node}{number}"
            _class(root, "block", part, f"{path}/{part}")
            root.file(f"{path}/{part}/partition", f"{number}\n")


def _disk_path(base: str, node: str, port: int, words: list[str]) -> str:
    if node.startswith("nvme"):
        controller = node.removeprefix("nvme").partition("n")[0]
        if "multipath" in words:
            return f"/sys/devices/virtual/nvme-subsystem/nvme-subsys{controller}/{node}"
        return f"{base}/nvme/nvme{controller}/{node}"
    scsi = f"host{port}/target{port}:0:0/{port}:0:0:0/block/{node}"
    if "usb" in words:
        return f"{base}/usb2/2-{port + 1}/2-{port + 1}:1.0/{scsi}"
    if "sas" in words:
        end = f"port-{port}:0/end_device-{port}:0"
        return f"{base}/host{port}/{end}/{scsi.partition('/')[2]}"
    return f"{base}/ata{port + 1}/{scsi}"


def _add_interfaces(about: Description, root: MemoryRoot, paths: dict[str, str]) -> None:
    """Rows: ``NAME ADDRESS|bridge|bond|vlan [up|down] [MASTER] [usb]``."""
    _class(root, "net", "lo", "/sys/devices/virtual/net/lo")
    rows = about.rows("nets")
    for number, (name, place, *words) in enumerate(rows):
        is_virtual = place in {"bridge", "bond", "vlan"}
        base = "/sys/devices/virtual" if is_virtual else paths[_full(place)]
        base += "/usb2/2-1/2-1:1.0" if "usb" in words else ""
        path = f"{base}/net/{name}"
        _class(root, "net", name, path)
        root.file(f"{path}/operstate", "down\n" if "down" in words else "up\n")
        root.file(f"{path}/carrier", "0\n" if "down" in words else "1\n")
        root.file(f"{path}/address", f"02:00:5e:10:00:{number:02x}\n")
        root.file(f"{path}/ifindex", f"{number + 2}\n")
        if place == "bridge":
            root.directory(f"{path}/bridge")
        if not is_virtual:
            root.link(f"{path}/device", "../../../" + ("" if "usb" in words else _full(place)))
    for name, _, *words in rows:
        masters = [word for word in words if word not in {"up", "down", "usb"}]
        for master in masters:
            root.link(f"/sys/class/net/{name}/master", f"/sys/class/net/{master}")
            root.link(f"/sys/class/net/{master}/brif/{name}", f"/sys/class/net/{name}/brport")
    route = about.host["route"]
    table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
    table += f"{route}\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\n" if route else ""
    root.file("/proc/net/route", table)


def _add_inputs(about: Description, root: MemoryRoot, paths: dict[str, str]) -> None:
    """Rows: ``NODE ADDRESS|i8042 NAME...``."""
    root.directory("/sys/class/input")
    for node, place, *name in about.rows("inputs"):
        base = (
            "/sys/devices/platform/i8042/serio0"
            if place == "i8042"
            else f"{paths[_full(place)]}/usb1/1-1/1-1:1.0/0003:046D:C31C.0001"
        )
        _class(root, "input", node, f"{base}/input/{node}")
        root.file(f"{base}/input/{node}/name", " ".join(name) + "\n")
        event = node.replace("input", "event")
        _class(root, "input", event, f"{base}/input/{node}/{event}")
