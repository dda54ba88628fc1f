"""The ``cpu`` option: which models PVE has, and what it allows for a single VM.

Sources: qemu-server src/PVE/QemuServer/CPUConfig.pm and CPUFlags.pm. For PVE 9 it is what the
newest packages allow (QEMU 11.0): 9.1 itself has neither ``level`` nor the newest models.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from .formats import FORMATS
from .hostpci import PVE8, PVE9
from .schema import FormatError, Properties, Value, parse_property_string

_INTEL = """
486 pentium pentium2 pentium3 coreduo core2duo Conroe Penryn Nehalem Nehalem-IBRS Westmere
Westmere-IBRS SandyBridge SandyBridge-IBRS IvyBridge IvyBridge-IBRS Haswell Haswell-IBRS
Haswell-noTSX Haswell-noTSX-IBRS Broadwell Broadwell-IBRS Broadwell-noTSX Broadwell-noTSX-IBRS
Skylake-Client Skylake-Client-IBRS Skylake-Client-noTSX-IBRS Skylake-Client-v4 Skylake-Server
Skylake-Server-IBRS Skylake-Server-noTSX-IBRS Skylake-Server-v4 Skylake-Server-v5
Cascadelake-Server Cascadelake-Server-v2 Cascadelake-Server-noTSX Cascadelake-Server-v4
Cascadelake-Server-v5 Cooperlake Cooperlake-v2 KnightsMill Icelake-Client Icelake-Client-noTSX
Icelake-Server Icelake-Server-noTSX Icelake-Server-v3 Icelake-Server-v4 Icelake-Server-v5
Icelake-Server-v6 SapphireRapids SapphireRapids-v2 GraniteRapids
"""
_AMD = """
athlon phenom Opteron_G1 Opteron_G2 Opteron_G3 Opteron_G4 Opteron_G5 EPYC EPYC-IBPB EPYC-v3
EPYC-v4 EPYC-Rome EPYC-Rome-v2 EPYC-Rome-v3 EPYC-Rome-v4 EPYC-Milan EPYC-Milan-v2 EPYC-Genoa
"""
# those of PVE 9's packages for QEMU 10.2 and newer
_INTEL_SINCE_9 = """
Icelake-Server-v7 SapphireRapids-v3 SapphireRapids-v4 GraniteRapids-v2 GraniteRapids-v3
SierraForest SierraForest-v2 SierraForest-v3 ClearwaterForest
"""
_AMD_SINCE_9 = "EPYC-v5 EPYC-Rome-v5 EPYC-Milan-v3 EPYC-Genoa-v2 EPYC-Turin"
_ARM_SINCE_9 = """
a64fx cortex-a35 cortex-a53 cortex-a55 cortex-a57 cortex-a710 cortex-a72 cortex-a76 neoverse-n1
neoverse-n2 neoverse-v1
"""
_VENDORS_8 = (
    dict.fromkeys(_INTEL.split(), "GenuineIntel")
    | dict.fromkeys(_AMD.split(), "AuthenticAMD")
    | dict.fromkeys(("host", "kvm32", "kvm64", "qemu32", "qemu64", "max"), "")
)
_VENDORS_9 = (
    _VENDORS_8
    | dict.fromkeys(_INTEL_SINCE_9.split(), "GenuineIntel")
    | dict.fromkeys(_AMD_SINCE_9.split(), "AuthenticAMD")
    | dict.fromkeys(_ARM_SINCE_9.split(), "ARM")
)
_V2 = "+popcnt;+pni;+sse4.1;+sse4.2;+ssse3"
_V3 = f"+aes;{_V2};+avx;+avx2;+bmi1;+bmi2;+f16c;+fma;+abm;+movbe;+xsave"
# PVE's own models; all of them are qemu64 with these flags
BUILT_IN = {
    "x86-64-v2": _V2,
    "x86-64-v2-AES": f"+aes;{_V2}",
    "x86-64-v3": _V3,
    "x86-64-v4": f"{_V3};+avx512f;+avx512bw;+avx512cd;+avx512dq;+avx512vl",
}
# the flags that a single VM may set, in the order in which the refusal names them
_VM_FLAGS_8 = (
    "pcid", "spec-ctrl", "ibpb", "ssbd", "virt-ssbd", "amd-ssbd", "amd-no-ssb", "pdpe1gb",
    "md-clear", "hv-tlbflush", "hv-evmcs", "aes",
)  # fmt: skip
_VM_FLAGS_9 = tuple(sorted((*_VM_FLAGS_8, "nested-virt")))
_ANY_FLAG = r"([+-])([a-zA-Z0-9\-_\.]+)"
_PROPERTIES: Properties = {
    "cputype": {"default_key": 1, "optional": 1, "type": "string"},
    "reported-model": {"optional": 1, "type": "string", "enum": sorted(_VENDORS_8, key=str.lower)},
    "hidden": {"optional": 1, "type": "boolean"},
    "hv-vendor-id": {"optional": 1, "type": "string", "pattern": "[a-zA-Z0-9]{1,12}"},
    "flags": {"optional": 1, "type": "string", "pattern": f"{_ANY_FLAG}(;{_ANY_FLAG})*"},
    "phys-bits": {"optional": 1, "type": "string", "format": "pve-phys-bits"},
}
_PROPERTIES_9: Properties = {
    **_PROPERTIES,
    "reported-model": {"optional": 1, "type": "string", "enum": sorted(_VENDORS_9, key=str.lower)},
    "guest-phys-bits": {"optional": 1, "type": "integer", "minimum": 32, "maximum": 64},
    "level": {"optional": 1, "type": "integer", "minimum": 0, "maximum": 4294967295},
}


def vendors(pve: int) -> Mapping[str, str]:
    """Model -> the vendor that QEMU is told; "": whatever the host has."""
    return _VENDORS_8 if pve <= PVE8 else _VENDORS_9


def parse_cpu(
    text: str, *, pve: int = PVE9, custom_models: Collection[str] | None = None
) -> dict[str, Value]:
    """The ``cpu`` option of a VM. Raises FormatError with PVE's words.

    ``custom_models``: those of /etc/pve/virtual-guest; None where they are not known, and any
    may exist.
    """
    properties = _PROPERTIES if pve <= PVE8 else _PROPERTIES_9
    cpu = parse_property_string(properties, text, formats=FORMATS)
    wrong = _why_not(cpu, pve, custom_models)
    if wrong:
        raise FormatError(f"{wrong}\n")
    return cpu


def _why_not(cpu: dict[str, Value], pve: int, custom_models: Collection[str] | None) -> str:
    allowed = _VM_FLAGS_8 if pve <= PVE8 else _VM_FLAGS_9
    model, flags = str(cpu.get("cputype", "")), str(cpu.get("flags", ""))
    if model in ("", "0"):
        return "CPU is missing cputype"
    if model.startswith("custom-"):
        name = model.removeprefix("custom-")
        if custom_models is not None and name not in custom_models:
            return f"Custom cputype '{name}' not found"
    elif model not in vendors(pve) and model not in BUILT_IN:
        return f"Built-in cputype '{model}' is not defined (missing 'custom-' prefix?)"
    one = rf"[+-](?:{'|'.join(allowed)})"
    if flags and re.match(rf"{one}(?:;{one})*$", flags) is None:
        return f"VM-specific CPU flags must be a subset of: {', '.join(allowed)}"
    if "reported-model" in cpu:
        return "Property 'reported-model' not allowed in VM-specific CPU config."
    return ""


def properties() -> Properties:
    """Its properties, for who changes one of them in a text that PVE has taken."""
    return _PROPERTIES
