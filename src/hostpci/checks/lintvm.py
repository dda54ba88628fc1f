"""What PVE makes of a VM's whole configuration: what is lost, and what fails at its start."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ..model.finding import Finding, Level
from ..pve.formats import FORMATS
from ..pve.hostpci import KEYS, MAX_DEVICES, FormatError, Hostpci, host_form, parse_hostpci
from ..pve.schema import Value, check_text
from ..pve.showcmd import arguments
from ..pve.start import HostView, StartError, is_q35
from ..pve.vmconfig import Dropped, VmConfig
from ..pve.vmoptions import formats, options
from .lint import lint_value, one_line, refused_value
from .say import fails, holds

_INDEX = re.compile(r"hostpci(\d+)$", re.ASCII)
_UNKNOWN_SECTION = re.compile(r"\[([^\]]*)\]")
_OLD_NAMES = {"cdrom": "ide2", "smp": "sockets"}
_IGD = re.compile(r"(?:.*:)?00:02(?:\.0)?$")

Options = Mapping[str, Value]


def lint_config(
    config: VmConfig, *, pve: int, host: HostView | None = None, vmid: int = 100
) -> Iterator[Finding]:
    for each in config.dropped:
        yield _lost(each, pve)
    for each in config.replaced:
        yield fails("lint-replaced", Level.WARN, _where(each), line=each.line.strip())
    yield from _lint_api(config.main, pve)
    now = at_next_start(config)
    given = _devices(now, pve)
    for key, text in given.items():
        yield from lint_value(text, pve=pve, host=host, subject=key)
    parsed = {key: parse_hostpci(text, pve=pve) for key, text in given.items()}
    yield from _lint_machine(now, parsed, pve)
    if host is not None and given:
        yield from _lint_whole(now, host, pve=pve, vmid=vmid)


def at_next_start(config: VmConfig) -> Options:
    """PVE applies what is pending before it starts the machine."""
    deleted = re.split(r"[ \t,;]+", str(config.pending.get("delete", "")))
    gone = {each.lstrip("!") for each in deleted}
    kept = {key: value for key, value in config.main.items() if key not in gone}
    return kept | {key: value for key, value in config.pending.items() if key != "delete"}


def _devices(values: Options, pve: int) -> dict[str, str]:
    """Of the machine at its next start; what cannot be read has been told as dropped."""
    found = {}
    for key in KEYS:
        text = str(values.get(key, "")).strip()
        try:
            parse_hostpci(text, pve=pve)
        except FormatError:
            continue
        if text:
            found[key] = text
    return found


# lines that are lost


def _where(dropped: Dropped) -> str:
    section = f"[{dropped.section}] " if dropped.section else ""
    return f"{section}{dropped.line_number}"


def _lost(dropped: Dropped, pve: int) -> Finding:
    where, line = _where(dropped), dropped.line.strip()
    index = _INDEX.match(dropped.key)
    section = _UNKNOWN_SECTION.match(line)
    if index and int(index[1]) >= MAX_DEVICES:
        return fails("lint-index", Level.FAIL, where, line, last=f"hostpci{MAX_DEVICES - 1}")
    if index and "unknown setting" not in dropped.reason:
        text = line.partition(":")[2].strip()
        finding = refused_value(text, one_line(dropped.reason), pve=pve, subject=where)
        if finding.code == "lint-newer-key":
            return finding
    if section and "unknown section" in dropped.message:
        return fails("lint-section", Level.FAIL, where, line)
    if "unknown setting" in dropped.reason:
        return fails("lint-unknown-key", Level.FAIL, where, line, key=dropped.key)
    if "unable to parse config" in dropped.reason:
        return fails("lint-no-option", Level.FAIL, where, dropped.line)
    return fails("lint-dropped", Level.FAIL, where, line, reason=one_line(dropped.reason))


# values that the file may hold and the API refuses


def _lint_api(values: Options, pve: int) -> Iterator[Finding]:
    known = options(pve)
    for key, value in values.items():
        if key in _OLD_NAMES:
            yield fails("lint-old-name", Level.NOTICE, key, name=_OLD_NAMES[key])
        if key not in known or key in KEYS:
            continue
        wrong = check_text(known[key], str(value), key, {**FORMATS, **formats(pve)})
        if wrong:
            reason = one_line("; ".join(wrong.values()))
            yield fails("lint-api", Level.WARN, key, str(value), reason=reason)


# the machine around the devices


def _lint_machine(values: Options, devices: Mapping[str, Hostpci], pve: int) -> Iterator[Finding]:
    q35 = is_q35(values, pve)
    for key, device in devices.items():
        if device.pcie and not q35:
            yield fails("lint-pcie", Level.FAIL, key, machine=str(values.get("machine", "i440fx")))
        if device.x_vga:
            yield from _lint_primary(values, key)
        if device.legacy_igd:
            for reason in _why_no_igd(values, device, q35=q35):
                yield fails("lint-legacy-igd", Level.FAIL, key, reason=reason)
    second = [key for key, device in devices.items() if device.legacy_igd][1:]
    for key in second:
        yield fails("lint-legacy-igd", Level.FAIL, key, reason="one device only")
    yield from _lint_twice(devices)


def _lint_primary(values: Options, key: str) -> Iterator[Finding]:
    if values.get("bios") == "ovmf":
        yield fails("lint-primary-ovmf", Level.NOTICE, key)
    if "vga" not in values:
        yield fails("lint-primary-console", Level.NOTICE, key)
    elif values["vga"] != "none":
        yield fails("lint-primary-vga", Level.WARN, key, vga=str(values["vga"]))


def _why_no_igd(values: Options, device: Hostpci, *, q35: bool) -> Iterator[str]:
    """All of PVE's conditions that are not met; it names one at a time."""
    conditions = {
        "vga: none": values.get("vga") != "none",
        "rombar=1": device.rombar is False,
        "no x-vga": bool(device.x_vga),
        "no mdev": bool(device.mdev),
        "machine: pc": q35,
        "00:02.0": bool(device.host) and not all(map(_IGD.match, device.addresses)),
    }
    return (name for name, is_wrong in conditions.items() if is_wrong)


def _lint_twice(devices: Mapping[str, Hostpci]) -> Iterator[Finding]:
    """One function in two devices: PVE says so only when the machine starts."""
    seen: dict[str, str] = {}
    for key, device in devices.items():
        if device.mdev:
            continue
        for address in map(host_form, device.addresses):
            other = next((place for place in seen if _overlaps(place, address)), None)
            if other is not None:
                yield fails("lint-twice", Level.FAIL, key, address=address, other=seen[other])
            seen.setdefault(address, key)


def _overlaps(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    return longer == shorter or longer.startswith(f"{shorter}.")


def _lint_whole(values: Options, host: HostView, *, pve: int, vmid: int) -> Iterator[Finding]:
    """The start as a whole, where every device by itself and the machine are in order."""
    try:
        made = arguments(values, host, vmid=vmid, pve=pve)
    except (StartError, FormatError) as error:
        yield fails("lint-start", Level.FAIL, f"VM {vmid}", reason=one_line(str(error)))
    else:
        given = [each[1] for each in made if each[0] == "-device" and "vfio-pci" in each[1]]
        yield holds("lint-start", f"VM {vmid}", *given)
