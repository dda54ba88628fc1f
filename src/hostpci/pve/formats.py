"""Named formats of PVE: each is a function that raises FormatError with PVE's own words.

Sources: pve-common src/PVE/JSONSchema.pm and CpuSet.pm, pve-storage src/PVE/Storage/Plugin.pm,
qemu-server src/PVE/QemuServer.pm and src/PVE/QemuServer/Drive.pm.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .schema import SPACE, FormatError, split_list

Checker = Callable[[str], object]

_OCTET = r"(?:25[0-5]|(?:2[0-4]|1[0-9]|[1-9])?[0-9])"
_IPV4 = rf"(?:{_OCTET}\.){{3}}{_OCTET}"
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_NETWORK = re.compile(r"(.*)/(\d+)$", re.ASCII)
_SHORTEST_NETWORK, _IPV4_BITS, _IPV6_BITS = 8, 32, 128
_VOLUME = re.compile(r"[a-z][a-z0-9\-_.]*[a-z0-9]:.+$", re.IGNORECASE | re.ASCII)
_CPU_RANGE = re.compile(rf"{SPACE}*(\d+)(?:-(\d+))?{SPACE}*$", re.ASCII)
_STARTUP = re.compile(r"(?:(?:order=)?\d+|up=\d+|down=\d+)$", re.ASCII)
_BLANK = re.compile(rf"{SPACE}*\Z")
_HOTPLUG = re.compile(r"(?:network|disk|cpu|memory|usb|cloudinit)$")
_PHYSICAL_BITS = range(8, 65)


def _pattern(pattern: str, message: str, *, ignore_case: bool = False) -> Checker:
    """Perl's m/^...$/, or the message; ``{}`` in it stands for the value."""
    flags = re.ASCII | (re.IGNORECASE if ignore_case else 0)
    compiled = re.compile(f"^(?:{pattern})$", flags)

    def check(text: str) -> str:
        if compiled.search(text) is None:
            raise FormatError(message.replace("{}", text) + "\n")
        return text

    return check


def _is_ipv4(text: str) -> bool:
    return re.search(rf"^{_IPV4}$", text) is not None


def _is_ipv6(text: str) -> bool:
    from ipaddress import AddressValueError, IPv6Address

    try:
        IPv6Address(text.removesuffix("\n"))
    except AddressValueError:
        return False
    return "%" not in text


def _is_network(text: str, is_address: Callable[[str], bool], bits: int) -> bool:
    found = _NETWORK.match(text)
    return found is not None and is_address(found[1]) and _SHORTEST_NETWORK <= int(found[2]) <= bits


def _check(is_right: Callable[[str], bool], message: str) -> Checker:
    def check(text: str) -> str:
        if not is_right(text):
            raise FormatError(message.replace("{}", text) + "\n")
        return text

    return check


def _is_ipv4_config(text: str) -> bool:
    is_word = re.search("^(?:dhcp|manual)$", text) is not None
    return is_word or _is_network(text, _is_ipv4, _IPV4_BITS)


def _is_ipv6_config(text: str) -> bool:
    is_word = re.search("^(?:auto|dhcp|manual)$", text) is not None
    return is_word or _is_network(text, _is_ipv6, _IPV6_BITS)


def _is_dns_name(text: str) -> bool:
    return re.search(rf"^(?:{_LABEL}\.)*{_LABEL}$", text) is not None


def _is_address(text: str) -> bool:
    return _is_ipv4(text) or _is_ipv6(text) or _is_dns_name(text)


def _is_volume(text: str) -> bool:
    return _VOLUME.match(text) is not None


def _is_volume_or_path(text: str) -> bool:
    return text.startswith("/") or _is_volume(text)


def _is_volume_or_qm_path(text: str) -> bool:
    return text in ("none", "cdrom") or _is_volume_or_path(text)


def _is_cpu_set(text: str) -> bool:
    parts = text.rstrip(",").split(",") if text.strip(",") else []
    found = [_CPU_RANGE.match(part) for part in parts]
    return all(each and int(each[2] or each[1]) >= int(each[1]) for each in found)


def _is_startup_order(text: str) -> bool:
    parts = [part for part in text.split(",") if not _BLANK.match(part)]
    return text not in ("", "0") and all(_STARTUP.match(part) for part in parts)


def check_hotplug(text: str) -> str:
    wrong = [each for each in split_list(text) if not _HOTPLUG.match(each)]
    if wrong and text not in ("0", "1"):
        raise FormatError(f"invalid hotplug feature '{wrong[0]}'\n")
    return text


def _is_physical_bits(text: str) -> bool:
    if re.search(r"^(?:host|\d{1,2})$", text, re.ASCII) is None:
        return False
    return not text.isdigit() or int(text) in _PHYSICAL_BITS


_VOLUME_MESSAGE = "unable to parse volume ID '{}'"
FORMATS: dict[str, Checker] = {
    "pve-configid": _pattern(
        "[a-z][a-z0-9_-]+", "invalid configuration ID '{}'", ignore_case=True
    ),
    "pve-node": _pattern(_LABEL, "value does not look like a valid node name"),
    "pve-storage-id": _pattern(
        r"[a-z][a-z0-9\-_.]*[a-z0-9]", "storage ID '{}' contains illegal characters",
        ignore_case=True,
    ),
    "urlencoded": _pattern(r"[-%a-zA-Z0-9_.!~*'()]*", "invalid urlencoded string: {}"),
    "disk-size": _pattern(
        r"\d+(?:\.\d+)?[KMGT]?", "value does not look like a valid disk size: {}"
    ),
    "mac-addr": _pattern(
        "[a-f0-9][02468ace](?::[a-f0-9]{2}){5}",
        "value does not look like a valid unicast MAC address",
        ignore_case=True,
    ),
    "pve-bridge-id": _pattern(r"[-_.\w\d]+", "invalid bridge ID '{}'"),
    "pve-tag": _pattern(
        r"[a-z0-9_][a-z0-9_\-+.]*", "invalid characters in tag", ignore_case=True
    ),
    "dns-name": _check(_is_dns_name, "value does not look like a valid DNS name"),
    "address": _check(_is_address, "value does not look like a valid address: {}"),
    "ipv4": _check(_is_ipv4, "value does not look like a valid IPv4 address"),
    "ipv6": _check(_is_ipv6, "value does not look like a valid IPv6 address"),
    "pve-ipv4-config": _check(
        _is_ipv4_config, "value does not look like a valid ipv4 network configuration"
    ),
    "pve-ipv6-config": _check(
        _is_ipv6_config, "value does not look like a valid ipv6 network configuration"
    ),
    "pve-volume-id": _check(_is_volume, _VOLUME_MESSAGE),
    "pve-volume-id-or-absolute-path": _check(_is_volume_or_path, _VOLUME_MESSAGE),
    "pve-volume-id-or-qm-path": _check(_is_volume_or_qm_path, _VOLUME_MESSAGE),
    "pve-cpuset": _check(_is_cpu_set, "unable to parse cpuset option"),
    "pve-startup-order": _check(_is_startup_order, "unable to parse startup options"),
    "pve-hotplug-features": check_hotplug,
    "pve-phys-bits": _check(
        _is_physical_bits, "value must be an integer between 8 and 64 or 'host'"
    ),
}  # fmt: skip
