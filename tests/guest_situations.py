"""Guests as descriptions: what they would print to our probe, and what is decided from it."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from hostpci.cli.wishes import asked_driver
from hostpci.errors import ToolError
from hostpci.guest.decide import decide, unasked
from hostpci.guest.facts import parse_facts
from hostpci.guest.steps import script_of, shown
from hostpci.guest.tables import load_tables
from hostpci.i18n import Catalog
from hostpci.model.guest import Decision, Do, Driver, GuestFacts
from hostpci.render.guest import render_decision

from .pve_stub import Refusing, agent_of

HERE = Path(__file__).parent / "guests"
_FREE = 40_000


def names() -> list[str]:
    return sorted(each.stem for each in HERE.glob("*.toml") if each.stem != "bases")


@cache
def situation(name: str) -> dict[str, Any]:
    return tomllib.loads((HERE / f"{name}.toml").read_text(encoding="utf-8"))


@cache
def bases() -> dict[str, Any]:
    return tomllib.loads((HERE / "bases.toml").read_text(encoding="utf-8"))


def probe_output(data: dict[str, Any]) -> str:
    """What the guest would print: lines of words parted by tabs."""
    base = bases()[data["base"]]
    kernel = data.get("kernel", base["kernel"])
    lines: list[tuple[str, ...]] = [
        ("kernel", "Linux", kernel, "x86_64"),
        ("user", data.get("user", "0")),
        *(("os", f'{key}="{value}"') for key, value in base["os"].items()),
        ("free", "/", str(data.get("free", _FREE))),
        ("free", "/boot", str(data.get("free", _FREE))),
        *_boot(data),
        *_cards(data),
        *_modules(data, kernel),
        *_packages(data, base),
        *_offers(data, base, kernel),
        *_network(data),
        *_queries(data),
        ("end",),
    ]
    return "".join("\t".join(each) + "\n" for each in lines)


def _boot(data: dict[str, Any]) -> list[tuple[str, ...]]:
    bit = {"on": "1", "off": "0", "unknown": ""}[data.get("secure_boot", "off")]
    lines: list[tuple[str, ...]] = [("secure-boot", "efi", bit, "")]
    if "mok" in data:
        lines.append(("mok-key", *data["mok"]))
    lines.append(("mok-new", data.get("mok_new", "")))
    if "cloud_init" in data:
        lines.append(("cloud-init", data["cloud_init"]))
    return lines


def _cards(data: dict[str, Any]) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = [
        ("pci", "0000:00:00.0", "0x8086", "0x29c0", "0x1af4", "0x1100", "0x060000", "")
    ]
    for card in data.get("cards", ()):
        address, identity, driver = card.split()
        vendor, device = identity.split(":")
        words = (f"0x{vendor}", f"0x{device}", "0x0000", "0x0000", "0x030000")
        lines.append(("pci", f"0000:{address}", *words, driver.replace("-", "", 1)))
    lines += [("nvidia-node", node) for node in data.get("nodes", ())]
    nodes = [each.replace(" -", " ").split(" ") for each in data.get("render", ())]
    return [*lines, *(("render", *words) for words in nodes)]


def _modules(data: dict[str, Any], kernel: str) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = []
    for module in data.get("loaded", ()):
        name, _, version = module.partition(" ")
        lines.append(("module", name, version))
    for module in data.get("modules", ()):
        name, version, licence = module.split(" ", 2)
        signer = ""
        for mark in ("Canonical", "DKMS"):
            if mark in licence:
                licence, signer = licence.split(f" {mark}", 1)[0], mark + licence.split(mark, 1)[1]
        lines.append(("module-file", name, version.replace("-", ""), licence, signer))
    if data.get("has_headers"):
        lines.append(("headers", kernel))
    lines += [("log", line) for line in data.get("log", ())]
    return lines


def _packages(data: dict[str, Any], base: dict[str, Any]) -> list[tuple[str, ...]]:
    if not data.get("has_dpkg", True):
        return []
    lines: list[tuple[str, ...]] = [("manager", "dpkg", "amd64")]
    whole = (*base.get("installed", ()), *data.get("packages", ()))
    lines += [("package", "install", "installed", "ok", *each.split()) for each in whole]
    lines += [("package", *package.split()) for package in data.get("raw_packages", ())]
    if "lock" in data:
        lines.append(("lock", *data["lock"]))
    return lines


def _offers(data: dict[str, Any], base: dict[str, Any], kernel: str) -> list[tuple[str, ...]]:
    if "site" not in base or not data.get("has_dpkg", True):
        return []
    codename = base["os"]["VERSION_CODENAME"]
    there = "fetched" if data.get("is_fetched", True) else "missing"
    suites = [codename, f"{codename}-updates", f"{codename}-security"]
    suites += [f"{codename}-backports"] if data.get("backports") else []
    sites = [
        ("source", base["site"], suite, component, there, "")
        for suite in suites
        for component in data.get("components", base["components"])
    ]
    own = [_offer(each, base) for each in data.get("offers", ())]
    found = [_offer(each, base) for each in _offered(data, base, kernel)]
    return [*sites, *own, *found]


def _offered(data: dict[str, Any], base: dict[str, Any], kernel: str) -> list[str]:
    if data.get("offers_of") is not None:
        return []
    offers = [*base.get("offers", ())]
    if data.get("backports"):
        offers += base["backports"]
    for branch in base.get("prebuilt", ()):
        stem, version = branch.split()
        offers += [f"nvidia-driver-{stem} {version} x", f"nvidia-dkms-{stem} {version} x"]
        if data.get("has_prebuilt", True):
            abi = kernel.rpartition("-")[0]
            offers += [
                f"linux-modules-nvidia-{stem}-{kernel} {abi} x",
                f"linux-modules-nvidia-{stem}-{base['flavour']} {abi} x",
            ]
    return offers


def _offer(text: str, base: dict[str, Any]) -> tuple[str, ...]:
    name, version, suite = text.split()
    if suite == "x":
        suite = f"{base['os']['VERSION_CODENAME']}-updates"
    origin = (
        f"{base['site']} {suite}/main amd64 Packages" if suite != "." else "https://x.example/ /"
    )
    return ("offer", name, version, origin)


def _network(data: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        ("route", data.get("route", "yes")),
        ("dns", data.get("dns", "yes"), "archive"),
        ("proxy", data.get("proxy", "0")),
    ]


def _queries(data: dict[str, Any]) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = []
    if "smi" in data:
        status, *said = data["smi"]
        lines.append(("smi-status", status))
        lines += [("smi", line) for line in said]
    return [*lines, *(("vulkan", line) for line in data.get("vulkan", ()))]


# what comes out


def answer(name: str) -> dict[str, Any]:
    data = situation(name)
    if "refusal" in data:
        return _refused(data["refusal"])
    facts = _facts(data)
    decision = decide(
        facts,
        load_tables(),
        wish=asked_driver(data.get("wish", "")),
        tried=frozenset(Do(each) for each in data.get("tried", ())),
    )
    return _said(decision) | {"en": _text(decision, "en"), "zh_CN": _text(decision, "zh_CN")}


def facts_of(name: str) -> GuestFacts:
    return _facts(situation(name))


def _facts(data: dict[str, Any]) -> GuestFacts:
    if "system" in data:
        return unasked(data["system"])
    return parse_facts(probe_output(data), "VM 100")


def _refused(message: str) -> dict[str, Any]:
    try:
        agent_of(Refusing(message)).require()
    except ToolError as error:
        said = {"error": error.code, "exit": int(error.exit)}
        if not error.code.startswith("guest-"):
            return said  # PVE's own refusals have their texts, and their tests, elsewhere
        return said | {
            "en": _error_text(error, "en"),
            "zh_CN": _error_text(error, "zh_CN"),
        }
    return {"error": "none"}


def _error_text(error: ToolError, language: str) -> list[str]:
    catalog = Catalog(language)
    keys = [f"error.{error.code}", f"error.{error.code}.hint"]
    return [catalog.text(key, **error.params) for key in keys if catalog.has(key)]


def _said(decision: Decision) -> dict[str, Any]:
    return {
        "verdict": decision.verdict.value,
        "drivers": {each.card.address: _driver(each.driver) for each in decision.cards},
        "steps": [each.do.value for each in decision.steps],
        "scripts": {
            each.do.value: script_of(each).splitlines()[-1]
            for each in decision.steps
            if each.do is not Do.REBOOT
        },
        "packages": [w for each in decision.steps if each.do is Do.DRIVER for w in each.words],
        "findings": [f"{each.code} {each.level}" for each in decision.findings],
    }


def _driver(driver: Driver | None) -> str:
    return f"{driver.kind} {driver.branch or '-'} {driver.source}" if driver else ""


def _text(decision: Decision, language: str) -> list[str]:
    whats = {each.do.value: shown(each) for each in decision.steps}
    lines = render_decision("VM 100", decision, whats, Catalog(language))
    return [line for line, _ in lines]
