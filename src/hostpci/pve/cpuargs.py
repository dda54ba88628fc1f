"""The ``-cpu`` argument of a VM.

Source: qemu-server src/PVE/QemuServer/CPUConfig.pm (get_cpu_options and what it calls).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .cpu import BUILT_IN, parse_cpu, vendors
from .machine import Machine
from .start import StartError

# name -> operator ("+", "-" or "") and value
Flags = dict[str, tuple[str, str]]

_FLAG = re.compile(r"([+-])([a-zA-Z0-9\-_.]+)$")
_REPLACED = {
    "Icelake-Client": "Icelake-Server", "Icelake-Client-noTSX": "Icelake-Server-noTSX",
}  # fmt: skip
_WINDOWS_7, _WINDOWS_8, _WINDOWS_11, _VISTA = 7, 8, 11, 6


def cpu_argument(
    config: Mapping[str, object],
    machine: Machine,
    *,
    pve: int,
    has_kvm: bool,
    windows: int,
    hides_kvm: bool,
    is_gpu_given: bool,
    host_virtualization: str = "",
) -> str:
    """``host_virtualization``: ``svm`` or ``vmx``, what ``nested-virt`` stands for."""
    text = str(config.get("cpu", ""))
    cpu = parse_cpu(text, pve=pve) if text not in ("", "0") else {}
    model = str(cpu.get("cputype", "kvm64" if has_kvm else "qemu64"))
    model, built_in = ("qemu64", BUILT_IN[model]) if model in BUILT_IN else (model, "")
    model = _REPLACED.get(model, model)
    hides_kvm = bool(cpu.get("hidden", hides_kvm))
    vendor_id = str(cpu["hv-vendor-id"]) if "hv-vendor-id" in cpu else None
    vendor = vendors(pve).get(model, "")
    if vendor == "ARM" and config.get("arch", "x86_64") == "x86_64":
        raise StartError(
            f"CPU model '{model}' does not exist for configured vCPU architecture 'x86_64'\n"
        )
    flags = _of_pve(config, model, machine, has_kvm=has_kvm, windows=windows)
    if has_kvm:
        flags |= _of_hyper_v(config, machine, windows, vendor_id, is_gpu_given=is_gpu_given)
    flags |= _listed(built_in)
    flags |= _listed(str(cpu.get("flags", "")).replace("nested-virt", host_virtualization))
    flags |= _forced(model, vendor, has_kvm=has_kvm, hides_kvm=hides_kvm)
    shown = [
        f"{operator}{name}" + (f"={value}" if value else "")
        for name, (operator, value) in sorted(flags.items())
    ]
    level = [f"level={cpu['level']}"] if "level" in cpu else []
    return ",".join([model, *level, *shown, *_bits(cpu)])


def _listed(text: str) -> Flags:
    found = (_FLAG.match(each) for each in text.split(";"))
    return {each[2]: (each[1], "") for each in found if each}


def _bits(cpu: Mapping[str, object]) -> list[str]:
    shown = []
    for key in ("guest-phys-bits", "phys-bits"):
        value = str(cpu.get(key, ""))
        if value not in ("", "0"):
            shown.append("host-phys-bits=true" if value == "host" else f"{key}={value}")
    return shown


def _of_pve(
    config: Mapping[str, object],
    model: str,
    machine: Machine,
    *,
    has_kvm: bool,
    windows: int,
) -> Flags:
    flags: Flags = {}
    if model == "kvm64":
        flags["lahf_lm"] = ("+", "")
    if model in ("kvm64", "kvm32"):
        flags["sep"] = ("+", "")
    if config.get("ostype") == "solaris":
        flags["x2apic"] = ("-", "")
    if model.startswith("Opteron"):
        flags["rdtscp"] = ("-", "")
    if has_kvm and machine.is_at_least(2, 3):
        flags |= {"kvm_pv_unhalt": ("+", ""), "kvm_pv_eoi": ("+", "")}
    if machine.has_qemu(11, 0):
        # it would give older machines what they did not have
        if model == "host" and not machine.is_at_least(11, 0):
            flags["vmx-mbec"] = ("-", "")
        if windows >= _WINDOWS_11:
            flags |= {"cet-ibt": ("-", ""), "cet-ss": ("-", "")}
    return flags


def _of_hyper_v(
    config: Mapping[str, object],
    machine: Machine,
    windows: int,
    vendor_id: str | None,
    *,
    is_gpu_given: bool,
) -> Flags:
    if windows < _VISTA or (config.get("bios") == "ovmf" and windows < _WINDOWS_8):
        return {}
    flags: Flags = {}
    if is_gpu_given or vendor_id is not None:
        flags["hv_vendor_id"] = ("", "proxmox" if vendor_id is None else vendor_id)
    is_new = machine.is_at_least(2, 3)
    flags["hv_spinlocks"] = ("", "0x1fff" if is_new else "0xffff")
    names = ["hv_vapic", "hv_time"] if is_new else []
    names += ["hv_reset", "hv_vpindex", "hv_runtime"] if machine.is_at_least(2, 6) else []
    if windows >= _WINDOWS_7:
        names += ["hv_relaxed"]
        names += ["hv_synic", "hv_stimer"] if machine.is_at_least(2, 12) else []
        names += ["hv_ipi"] if machine.is_at_least(3, 1) else []
    return {**flags, **dict.fromkeys(names, ("", ""))}


def _forced(model: str, vendor: str, *, has_kvm: bool, hides_kvm: bool) -> Flags:
    flags: Flags = {}
    if model != "host" and has_kvm:
        flags["enforce"] = ("", "")
    if hides_kvm:
        flags["kvm"] = ("", "off")
    if vendor:
        flags["vendor"] = ("", vendor)
    return flags
