"""Reads what guests of this node have of its devices.

Virtual machines and mappings are read as PVE reads them (``pve/``): a line that PVE drops gives a
machine nothing. Containers: PVE/LXC/Config.pm (dev[n]); what cannot be understood is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from ..model.guests import Guest, GuestDevice, GuestKind
from ..model.hook import is_named_in
from .look import Look

VM_CONFIGS, _CT_CONFIGS = "/etc/pve/qemu-server", "/etc/pve/lxc"
MAPPINGS = "/etc/pve/mapping/pci.cfg"
_PIDS = "/run/qemu-server"
_RUNNING_CONTAINERS = "/sys/fs/cgroup/lxc"
RESERVATIONS = f"{_PIDS}/pci-id-reservations"
_NUMBER = re.compile(r"[0-9]{1,9}")
_CONFIG = re.compile(r"([0-9]{1,9})\.conf")
_SECTION = re.compile(r"\[([^\]]*)\]\s*")
_HOSTPCI = re.compile(r"(hostpci[0-9]{1,2}):\s*(.*)")
# What decides whether a device works in the machine; who it is and what it is for does not
_MACHINE = re.compile(
    r"(?:args|balloon|bios|boot|cores|cpu|efidisk0|hookscript|hotplug|hugepages|kvm|machine|memory"
    r"|meta|numa|numa[0-9]+|onboot|ostype|parent|scsihw|shares|sockets|startup|tpmstate0|vcpus|vga"
    r"|(?:ide|net|sata|scsi|serial|unused|usb|virtio)[0-9]{1,2}):\s"
)
_DEV = re.compile(r"(dev[0-9]{1,3}):\s*(.*)")
_LXC = re.compile(r"(lxc\.(?:mount\.entry|cgroup2?\.devices\.allow))\s*[:=]\s*(.*)")
_PLACE = re.compile(r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([0-9a-f]{2})(?:\.([0-7]))?")
_ALLOW = re.compile(r"c\s+([0-9]{1,6}):([0-9]{1,6}|\*)\s+\w+")
# Documentation/admin-guide/devices.txt; DRM numbers its nodes as it names them
_DRM, _SOUND, _NVIDIA = 226, 116, 195
_FIRST_RENDER, _FIRST_CONTROL_OF_NVIDIA = 128, 254
_KINDS = ("/dev/dri", "/dev/snd", "/dev/nvidia", "/dev/kfd")


def read_guests(look: Look) -> tuple[Guest, ...]:
    """Every guest with devices or our hook script; () on a host without Proxmox VE."""
    mappings = _mappings(look)
    machines = [_machine(look, number, mappings) for number in _numbers(look, VM_CONFIGS)]
    active = set(look.names(_RUNNING_CONTAINERS)) if look.names(_CT_CONFIGS) else set()
    containers = [_container(look, number, active) for number in _numbers(look, _CT_CONFIGS)]
    return tuple(
        each for each in (*machines, *containers) if each.devices or each.snapshots or each.has_hook
    )


def _numbers(look: Look, path: str) -> list[int]:
    matches = (_CONFIG.fullmatch(name) for name in look.names(path))
    return sorted(int(match[1]) for match in matches if match)


def _machine(look: Look, number: int, mappings: dict[str, tuple[str, ...]]) -> Guest:
    lines = look.lines(f"{VM_CONFIGS}/{number}.conf", vm_lines) or ()
    devices, snapshots = parse_vm(lines, mappings)
    # The pid file alone proves nothing: a machine that was killed leaves it behind.
    running = _is_running(look, number) if devices or snapshots else False
    reserved = _reserved(look, number) if running else ()
    return Guest(
        number=number, kind=GuestKind.VM, is_running=running,
        devices=(*devices, *reserved), snapshots=snapshots,
        has_hook=is_named_in("\n".join(lines)),
    )  # fmt: skip


def _is_running(look: Look, number: int) -> bool | None:
    path = f"{_PIDS}/{number}.pid"
    before = len(look.gaps)
    pid = look.text(path)
    if pid is None or not _NUMBER.fullmatch(pid):
        return None if len(look.gaps) > before else False
    return (look.text(f"/proc/{pid}/comm") or "").startswith(("kvm", "qemu"))


def _reserved(look: Look, number: int) -> tuple[GuestDevice, ...]:
    """What the running machine was started with, whatever its configuration says by now."""
    words = [line.split() for line in (look.text(RESERVATIONS) or "").splitlines()]
    places = [place for each in words if each[1:2] == [str(number)] for place in _places(each[0])]
    return (GuestDevice(key="pci-id-reservations", places=tuple(places)),) if places else ()


def vm_lines(lines: Iterable[str]) -> Iterator[str]:
    """Names, passwords and keys of a guest are nobody's business here, nor is a guest without
    devices."""
    kept = [line for line in lines if _MACHINE.match(line) or _is_ours(line)]
    has_devices = any(_HOSTPCI.match(line) for line in kept)
    return (line for line in kept if has_devices or _is_ours(line))


def _is_ours(line: str) -> bool:
    return bool(_HOSTPCI.match(line) or _SECTION.fullmatch(line) or is_named_in(line))


def parse_vm(
    lines: Iterable[str], mappings: dict[str, tuple[str, ...]]
) -> tuple[tuple[GuestDevice, ...], tuple[str, ...]]:
    """Devices of the machine as it is and as its next start makes it, and its snapshots."""
    from ..pve.vmconfig import parse_vm_config

    config = parse_vm_config("\n".join(lines))
    now = _hostpcis(config.main, mappings, pending=False)
    then = _hostpcis(config.pending, mappings, pending=True)
    snapshots = (name for name, each in config.snapshots.items() if any(map(_is_hostpci, each)))
    return (*now, *then), tuple(snapshots)


def _is_hostpci(key: str) -> bool:
    return key.startswith("hostpci")


def _hostpcis(
    options: Mapping[str, str | int], mappings: dict[str, tuple[str, ...]], *, pending: bool
) -> Iterator[GuestDevice]:
    from ..pve.hostpci import parse_hostpci

    for key, value in options.items():
        if _is_hostpci(key):
            given = parse_hostpci(str(value))
            places = _places(given.host) if given.host else mappings.get(given.mapping, ())
            yield GuestDevice(
                key=key,
                places=places,
                mapping=given.mapping,
                is_pending=pending,
                is_mdev=bool(given.mdev),
            )


def _pairs(text: str, default_key: str) -> Iterator[tuple[str, str]]:
    """``/dev/dri/card0,gid=44`` is ``path=/dev/dri/card0,gid=44``."""
    for part in text.split(","):
        key, equals, value = part.strip().partition("=")
        yield (key, value.strip()) if equals else (default_key, key)


def _places(text: str) -> tuple[str, ...]:
    """``01:00;0000:02:00.1`` -> ``0000:01:00``, ``0000:02:00.1``. What is none is left out."""
    matches = (_PLACE.fullmatch(each.strip().lower()) for each in text.split(";"))
    return tuple(
        f"{match[1] or '0000'}:{match[2]}:{match[3]}{f'.{match[4]}' if match[4] else ''}"
        for match in matches
        if match
    )


def _mappings(look: Look) -> dict[str, tuple[str, ...]]:
    node = look.link_name("/etc/pve/local") or ""
    return parse_mappings(look.lines(MAPPINGS, mapping_lines) or (), node)


def mapping_lines(lines: Iterable[str]) -> Iterator[str]:
    """Names of mappings, and where they are on which node; an empty line ends a mapping."""
    for line in lines:
        if not line or line[:1].strip() or line.split()[:1] == ["map"]:
            yield line


def parse_mappings(lines: Iterable[str], node: str) -> dict[str, tuple[str, ...]]:
    """Name -> its places on ``node``."""
    from ..pve.mapping import parse_mappings as parse

    sections = parse("\n".join(lines)).sections
    return {
        name: tuple(
            place for entry in (each.entries(node) if each else ()) for place in _places(entry.path)
        )
        for name, each in sections.items()
    }


def _container(look: Look, number: int, active: set[str]) -> Guest:
    lines = look.lines(f"{_CT_CONFIGS}/{number}.conf", container_lines) or ()
    return Guest(
        number=number, kind=GuestKind.CONTAINER, is_running=str(number) in active,
        devices=parse_container(lines),
    )  # fmt: skip


def container_lines(lines: Iterable[str]) -> Iterator[str]:
    """Only what gives the container devices of the host; other mounts are private."""
    for line in lines:
        entry = _DEV.match(line) or _LXC.match(line)
        if _SECTION.fullmatch(line) or (entry and _nodes(entry[1], entry[2])):
            yield line


def parse_container(lines: Iterable[str]) -> tuple[GuestDevice, ...]:
    """Devices of the container as it is: what follows a section header is a snapshot."""
    found = []
    for line in lines:
        if _SECTION.fullmatch(line):
            break
        entry = _DEV.match(line) or _LXC.match(line)
        nodes = _nodes(entry[1], entry[2]) if entry else ()
        if entry and nodes:
            found.append(GuestDevice(key=entry[1], nodes=nodes))
    return tuple(found)


def _nodes(key: str, text: str) -> tuple[str, ...]:
    if key.startswith("dev"):
        paths = [value for name, value in _pairs(text, "path") if name == "path"]
    elif key == "lxc.mount.entry":
        paths = text.split()[:1]
    else:
        match = _ALLOW.match(text.strip())
        return _allowed(int(match[1]), match[2]) if match else ()
    return tuple(_node(path.rstrip("/")) for path in paths if path.startswith(_KINDS))


def _node(path: str) -> str:
    """A directory stands for all in it; NVIDIA's control nodes for whichever card there is."""
    if path in ("/dev/dri", "/dev/snd", "/dev/dri/by-path") or path.startswith("/dev/snd/"):
        return f"{path[:8]}/*"
    if path.startswith("/dev/nvidia") and not path.removeprefix("/dev/nvidia").isdecimal():
        return "/dev/nvidia*"
    return path


def _allowed(major: int, minor: str) -> tuple[str, ...]:
    """The nodes of a device number that cgroups let the container open."""
    number = int(minor) if minor != "*" else None
    if major == _DRM and number is not None:
        kind = "renderD" if number >= _FIRST_RENDER else "card"
        return (f"/dev/dri/{kind}{number}",)
    if major == _NVIDIA and number is not None and number < _FIRST_CONTROL_OF_NVIDIA:
        return (f"/dev/nvidia{number}",)
    every = {_DRM: "/dev/dri/*", _SOUND: "/dev/snd/*", _NVIDIA: "/dev/nvidia*"}
    return (every[major],) if major in every else ()
