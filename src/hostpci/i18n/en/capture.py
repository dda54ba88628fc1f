"""What a capture holds, and what is replaced in it."""

from __future__ import annotations

TEXTS: dict[str, str] = {
    "option.preview": "show what a capture would hold and what would be replaced; write nothing",
    "capture.preview": "A capture of this host ({kib} KiB) would hold:",
    "capture.source": "  {lines:>6} lines  {source}",
    "capture.kernel": "  and {count} values that the kernel and the system show of devices, drivers and modules",
    "capture.replaced": "Replaced in it: {kinds}",
    "error.output-exists": "{path} is there already; it was left alone",
    "error.output-exists.hint": "choose another name, or remove it",
    "capture.kind.address": "IP addresses",
    "capture.kind.digest": "hashes and long hexadecimal numbers",
    "capture.kind.domain": "domains",
    "capture.kind.label": "labels",
    "capture.kind.mac": "MAC addresses",
    "capture.kind.name": "words that are not known to be harmless",
    "capture.kind.network": "IPv4 networks",
    "capture.kind.network6": "IPv6 networks",
    "capture.kind.node": "nodes",
    "capture.kind.number": "long numbers",
    "capture.kind.pool": "pools",
    "capture.kind.secret": "keys, tokens and passwords",
    "capture.kind.storage": "storages",
    "capture.kind.token": "names of tokens",
    "capture.kind.user": "users",
    "capture.kind.uuid": "UUIDs",
    "capture.kind.vfat": "serial numbers of file systems",
    "capture.kind.vm": "names of virtual machines",
    "capture.kind.wwn": "WWNs",
}
