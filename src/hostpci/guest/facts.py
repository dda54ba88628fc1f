"""What the probe printed, as facts. Pure; whatever does not fit is left out, never guessed.

The order of a guest's own lines means nothing, and a line of it can only ever become the fact that
its first word names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..model.guest import (
    GuestCard,
    GuestFacts,
    Module,
    Offer,
    Package,
    Queries,
    RenderNode,
    Smi,
    Source,
    Trust,
)
from .shell import GuestError

_MAX_LINES = 4000
_HEX = re.compile(r"0x[0-9a-fA-F]{1,8}")
_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
# Names that may come back to the guest as words of a command
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{1,120}")
_SUITE = re.compile(r"[a-z0-9][a-z0-9./-]{0,60}")
_RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~_-]{0,120}")
_SITE = re.compile(r"[a-z+]{2,12}:[A-Za-z0-9./:_~@%+\[\]-]{1,200}")

_KEY_FILE = re.compile(r"/[A-Za-z0-9./_+-]{1,200}")


class Lines:
    """The probe's lines by their first word."""

    def __init__(self, text: str) -> None:
        self._lines: dict[str, list[list[str]]] = {}
        for line in text.split("\n")[:_MAX_LINES]:
            kind, *words = line.split("\t")
            self._lines.setdefault(kind, []).append([each.strip() for each in words])

    def all(self, kind: str, size: int) -> Iterator[list[str]]:
        """Every line of this kind, with at least ``size`` words."""
        for words in self._lines.get(kind, ()):
            yield words + [""] * (size - len(words))

    def one(self, kind: str, size: int) -> list[str] | None:
        return next(self.all(kind, size), None)

    def has(self, kind: str) -> bool:
        return kind in self._lines


def parse_facts(text: str, guest: str = "") -> GuestFacts:
    """Raises GuestError where the probe did not come to its end."""
    lines = Lines(text)
    if not lines.has("end") or not lines.has("kernel"):
        raise GuestError("guest-garbled", guest=guest)
    system, kernel, machine = (lines.one("kernel", 3) or ["", "", ""])[:3]
    release = _release(lines)
    return GuestFacts(
        system=system,
        kernel=kernel if _RELEASE.fullmatch(kernel) else "",
        machine=machine,
        distribution=release.get("ID", "").lower(),
        like=tuple(release.get("ID_LIKE", "").lower().split()),
        version=release.get("VERSION_ID", ""),
        codename=release.get("VERSION_CODENAME", ""),
        name=release.get("PRETTY_NAME", ""),
        user=_number((lines.one("user", 1) or [""])[0]),
        container=(lines.one("container", 1) or [""])[0],
        trust=_trust(lines),
        cloud_init=(lines.one("cloud-init", 1) or [""])[0],
        **_hardware(lines),
        **_software(lines),
        **_network(lines),
        queries=_queries(lines),
        log=tuple(words[0] for words in lines.all("log", 1)),
    )


def _release(lines: Lines) -> dict[str, str]:
    """os-release, whose values may be quoted."""
    found = {}
    for word, *_ in lines.all("os", 1):
        key, _, value = word.partition("=")
        found[key] = value.strip("\"'").strip()
    return found


def _trust(lines: Lines) -> Trust:
    firmware, boot, mok_off = (lines.one("secure-boot", 3) or ["", "", ""])[:3]
    enforced = None
    if firmware == "bios":
        enforced = False
    elif boot in ("0", "1"):
        enforced = boot == "1" and mok_off != "1"
    key, said = (lines.one("mok-key", 2) or ["", ""])[:2]
    state = ""
    if key:
        state = "enrolled" if "is already enrolled" in said else "absent"
        if state == "absent" and (lines.one("mok-new", 1) or [""])[0]:
            state = "pending"
    return Trust(firmware=firmware, enforced=enforced, mok_key=key, mok=state)


def _hardware(lines: Lines) -> dict[str, Any]:
    nodes = tuple(
        RenderNode(name=name, address=address, driver=driver, memory_bytes=_number(memory))
        for name, address, driver, memory, *_ in lines.all("render", 4)
    )
    return {
        "functions": tuple(_cards(lines)),
        "render_nodes": nodes,
        "nvidia_nodes": tuple(words[0] for words in lines.all("nvidia-node", 1)),
    }


def _cards(lines: Lines) -> Iterator[GuestCard]:
    for address, *numbers, driver in (words[:7] for words in lines.all("pci", 7)):
        if not _ADDRESS.fullmatch(address) or not _HEX.fullmatch(numbers[0]):
            continue
        vendor, device, sub_vendor, sub_device, kind = (_hex(each) for each in numbers)
        yield GuestCard(
            address=address, vendor=vendor, device=device, subsystem_vendor=sub_vendor,
            subsystem_device=sub_device, pci_class=kind, driver=driver,
        )  # fmt: skip


def _software(lines: Lines) -> dict[str, Any]:
    headers = {words[0] for words in lines.all("headers", 1)}
    free = {words[0]: _number(words[1]) for words in lines.all("free", 2)}
    return {
        "loaded": {words[0]: words[1] for words in lines.all("module", 2)},
        "modules": tuple(
            Module(name=name, version=version, license=licence, signer=signer)
            for name, version, licence, signer, *_ in lines.all("module-file", 4)
        ),
        "has_headers": bool(headers),
        "dkms": tuple(words[0] for words in lines.all("dkms", 1)),
        "nouveau_off": lines.has("nouveau-off"),
        "has_dpkg": lines.has("manager"),
        "packages": tuple(_packages(lines)),
        "offers": tuple(_offers(lines)),
        "sources": tuple(_sources(lines)),
        "locks": tuple(
            f"{file} ({name or '?'}[{pid}])" for file, pid, name, *_ in lines.all("lock", 3)
        ),
        "free_root_mib": free.get("/"),
        "free_boot_mib": free.get("/boot"),
    }


def _packages(lines: Lines) -> Iterator[Package]:
    for want, state, flag, name, version, *_ in lines.all("package", 5):
        if _PACKAGE.fullmatch(name):
            yield Package(name=name, version=version, want=want, state=state, flag=flag or "ok")


def _offers(lines: Lines) -> Iterator[Offer]:
    """Lines of ``apt-cache madison``: name, version, ``URL suite/component arch Packages``."""
    for name, version, origin, *_ in lines.all("offer", 3):
        words = origin.split()
        suite = words[1].rpartition("/")[0] if len(words) > 1 else ""
        if _PACKAGE.fullmatch(name) and version and (not suite or _SUITE.fullmatch(suite)):
            yield Offer(name=name, version=version, suite=suite)


def _sources(lines: Lines) -> Iterator[Source]:
    for site, suite, component, there, key, *_ in lines.all("source", 5):
        if _SITE.fullmatch(site) and _SUITE.fullmatch(suite):
            yield Source(
                site=site, suite=suite, component=component, is_fetched=there == "fetched",
                signed_by=key if _KEY_FILE.fullmatch(key) else "",
            )  # fmt: skip


def _network(lines: Lines) -> dict[str, Any]:
    """A route that is not there is known; one that is may still lead nowhere."""
    route = {words[0] for words in lines.all("route", 1)}
    has_route = None if not route else "yes" in route or lines.has("route6")
    names = (lines.one("dns", 1) or [""])[0]
    proxy = (lines.one("proxy", 1) or ["0"])[0]
    return {
        "has_route": has_route,
        "has_names": {"yes": True, "no": False}.get(names),
        "has_proxy": proxy.isdigit() and int(proxy) > 0,
    }


def _queries(lines: Lines) -> Queries:
    status = lines.one("smi-status", 1)
    said = tuple(words[0] for words in lines.all("smi", 1))
    return Queries(
        smi=tuple(_smi(said)) if status and status[0] == "0" else (),
        smi_status=_number(status[0]) if status else None,
        smi_words=said[:4],
        vulkan=tuple(words[0] for words in lines.all("vulkan", 1)),
        opencl=tuple(words[0] for words in lines.all("opencl", 1)),
        rocm=tuple(words[0] for words in lines.all("rocm", 1)),
    )


def _smi(said: tuple[str, ...]) -> Iterator[Smi]:
    """``00000000:01:00.0, NVIDIA GeForce RTX 5060 Ti, 580.95.05, 16311, 12.0``"""
    for line in said:
        words = [each.strip() for each in line.split(",")]
        address = words[0].lower()
        if len(words) >= 4 and _ADDRESS.fullmatch(address):  # noqa: PLR2004
            name, version, memory, *rest = words[1:]
            yield Smi(
                address=f"{int(address.split(':')[0], 16):04x}:{address.partition(':')[2]}",
                name=name, driver_version=version, memory_mib=memory,
                compute_capability=rest[0] if rest else "",
            )  # fmt: skip


def _hex(text: str) -> int:
    return int(text, 16) if _HEX.fullmatch(text) else 0


def _number(text: str) -> int | None:
    is_one = text.isascii() and text.isdigit() and len(text) < 19  # noqa: PLR2004  (64 bits)
    return int(text) if is_one else None
