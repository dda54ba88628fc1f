"""Numbers that say nothing to a person, by kind. Every value comes from a stranger's log.

Sources: linux include/uapi/linux/pci_regs.h (ACS, AER, REBAR), drivers/pci/pcie/aer.c (names of
AER bits), drivers/pci/pci.c (reset methods), NVIDIA open-gpu-kernel-modules
src/nvidia/arch/nvalloc/unix/src/osinit.c (rm_init_status), sdk/nvidia/inc/nvstatuscodes.h and
nverror.h (Xid). What is not published there is said to be not public, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from ..model.decoded import Decoded, Part

NOT_PUBLIC = "decode.not-public"
_MAX_DIGITS = 16
_NUMBER = re.compile(r"(0[xX])?([0-9a-fA-F]{1,16})")

ACS = ("SrcValid", "TransBlk", "ReqRedir", "CmpltRedir", "UpstreamFwd", "EgressCtrl", "DirectTrans")
# drivers/iommu/iommu.c: REQ_ACS_FLAGS (SV | RR | CR | UF)
ACS_NEEDED = 0x1D
AER_CORRECTABLE = {
    0: "RxErr", 6: "BadTLP", 7: "BadDLLP", 8: "Rollover", 12: "Timeout", 13: "NonFatalErr",
    14: "CorrIntErr", 15: "HeaderOF",
}  # fmt: skip
AER_UNCORRECTABLE = {
    0: "Undefined", 4: "DLP", 5: "SDES", 12: "TLP", 13: "FCP", 14: "CmpltTO", 15: "CmpltAbrt",
    16: "UnxCmplt", 17: "RxOF", 18: "MalfTLP", 19: "ECRC", 20: "UnsupReq", 21: "ACSViol",
    22: "UncorrIntErr", 23: "BlockedTLP", 24: "AtomicOpBlocked", 25: "TLPBlockedErr",
    26: "PoisonTLPBlocked", 27: "DMWrReqBlocked", 28: "IDECheck", 29: "MisIDETLP",
    30: "PCRC_CHECK", 31: "TLPXlatBlocked",
}  # fmt: skip
RESET_METHODS = ("device_specific", "acpi", "flr", "af_flr", "pm", "bus", "cxl_bus")
# The names end in _FAILED. The number of the last ones moved between branches of the driver: until
# 0x62 was a failed validation of the firmware, which later ones do not have any more.
RM_STAGES = {
    0x10: "RM_INIT_REG_SETUP", 0x11: "RM_INIT_SYS_ENVIRONMENT",
    0x20: "RM_INIT_GPU_GPUMGR_ALLOC_GPU", 0x21: "RM_INIT_GPU_GPUMGR_CREATE_DEV",
    0x22: "RM_INIT_GPU_GPUMGR_ATTACH_GPU", 0x23: "RM_INIT_GPU_PRE_INIT",
    0x24: "RM_INIT_GPU_STATE_INIT", 0x25: "RM_INIT_GPU_LOAD",
    0x26: "RM_INIT_GPU_DMA_CONFIGURATION", 0x30: "RM_INIT_VBIOS", 0x31: "RM_INIT_VBIOS_POST",
    0x40: "RM_INIT_SCALABILITY", 0x41: "RM_INIT_WATCHDOG", 0x60: "RM_INIT_FIRMWARE_POLICY",
    0x61: "RM_INIT_FIRMWARE_FETCH", 0x62: "RM_INIT_FIRMWARE_INIT",
}  # fmt: skip
NV_STATUSES = {
    0x00: "NV_OK", 0x05: "NV_ERR_CARD_NOT_PRESENT", 0x0B: "NV_ERR_ECC_ERROR",
    0x0F: "NV_ERR_GPU_IS_LOST", 0x10: "NV_ERR_GPU_IN_FULLCHIP_RESET",
    0x11: "NV_ERR_GPU_NOT_FULL_POWER", 0x1A: "NV_ERR_INSUFFICIENT_RESOURCES",
    0x1C: "NV_ERR_INSUFFICIENT_POWER", 0x1E: "NV_ERR_INVALID_ADDRESS",
    0x1F: "NV_ERR_INVALID_ARGUMENT", 0x25: "NV_ERR_INVALID_DATA", 0x26: "NV_ERR_INVALID_DEVICE",
    0x31: "NV_ERR_INVALID_OBJECT", 0x38: "NV_ERR_INVALID_OPERATION", 0x3F: "NV_ERR_INVALID_REQUEST",
    0x40: "NV_ERR_INVALID_STATE", 0x47: "NV_ERR_MEMORY_TRAINING_FAILED",
    0x4B: "NV_ERR_MODULE_LOAD_FAILED", 0x51: "NV_ERR_NO_MEMORY", 0x54: "NV_ERR_NOT_COMPATIBLE",
    0x55: "NV_ERR_NOT_READY", 0x56: "NV_ERR_NOT_SUPPORTED", 0x57: "NV_ERR_OBJECT_NOT_FOUND",
    0x59: "NV_ERR_OPERATING_SYSTEM", 0x60: "NV_ERR_RC_ERROR", 0x61: "NV_ERR_REJECTED_VBIOS",
    0x62: "NV_ERR_RESET_REQUIRED", 0x65: "NV_ERR_TIMEOUT", 0x6B: "NV_ERR_PRIV_SEC_VIOLATION",
    0x6F: "NV_ERR_PMU_NOT_READY", 0x70: "NV_ERR_FLCN_ERROR", 0x71: "NV_ERR_FATAL_ERROR",
    0x72: "NV_ERR_MEMORY_ERROR", 0x73: "NV_ERR_INVALID_LICENSE", 0x79: "NV_ERR_RISCV_ERROR",
    0x7F: "NV_ERR_SECURE_BOOT_FAILED", 0xFFFF: "NV_ERR_GENERIC",
}  # fmt: skip
XIDS = {
    13: "ROBUST_CHANNEL_GR_EXCEPTION", 31: "ROBUST_CHANNEL_FIFO_ERROR_MMU_ERR_FLT",
    32: "ROBUST_CHANNEL_PBDMA_ERROR", 43: "ROBUST_CHANNEL_RESETCHANNEL_VERIF_ERROR",
    44: "ROBUST_CHANNEL_GR_FAULT_DURING_CTXSW", 45: "ROBUST_CHANNEL_PREEMPTIVE_REMOVAL",
    48: "ROBUST_CHANNEL_GPU_ECC_DBE", 59: "PMU_ERROR", 61: "PMU_BREAKPOINT", 62: "PMU_HALT_ERROR",
    63: "INFOROM_DRAM_RETIREMENT_EVENT", 64: "INFOROM_DRAM_RETIREMENT_FAILURE",
    69: "ROBUST_CHANNEL_GR_CLASS_ERROR", 74: "NVLINK_ERROR", 78: "VGPU_START_ERROR",
    79: "ROBUST_CHANNEL_GPU_HAS_FALLEN_OFF_THE_BUS", 92: "EXCESSIVE_SBE_INTERRUPTS",
    94: "ROBUST_CHANNEL_CONTAINED_ERROR", 95: "ROBUST_CHANNEL_UNCONTAINED_ERROR",
    119: "GSP_RPC_TIMEOUT", 120: "GSP_ERROR",
}  # fmt: skip


class NotDecodableError(ValueError):
    """The text is not of that kind."""


def number(text: str) -> int:
    """A hexadecimal word, with or without ``0x``."""
    found = _NUMBER.fullmatch(text.strip())
    if not found:
        raise NotDecodableError(text)
    return int(found[2], 16)


def acs(text: str) -> tuple[Part, ...]:
    """A capability or control word, or what lspci -vv prints of one (``SrcValid+ TransBlk-``)."""
    if "+" in text or "-" in text:
        on = {name for name in ACS if f"{name}+" in text}
        if not any(f"{name}{sign}" in text for name in ACS for sign in "+-"):
            raise NotDecodableError(text)
        word = sum(1 << bit for bit, name in enumerate(ACS) if name in on)
    else:
        word = number(text)
    parts = [Part(name=name, meaning=f"decode.acs.{name}") for name in _set(word, enumerate(ACS))]
    lacking = _set(ACS_NEEDED & ~word, enumerate(ACS))
    verdict = "decode.acs.isolates" if not lacking else "decode.acs.lacks"
    return (*parts, Part(name=" ".join(lacking), meaning=verdict))


def aer_correctable(text: str) -> tuple[Part, ...]:
    return _aer(text, "aer-correctable", AER_CORRECTABLE)


def aer_uncorrectable(text: str) -> tuple[Part, ...]:
    return _aer(text, "aer-uncorrectable", AER_UNCORRECTABLE)


def _aer(text: str, kind: str, names: dict[int, str]) -> tuple[Part, ...]:
    """``status`` or ``status/mask``: what is masked was not reported (aer.c aer_print_error)."""
    status, _, mask = text.partition("/")
    word = number(status) & ~(number(mask) if mask else 0)
    known = [Part(name=name, meaning=f"decode.{kind}.{name}") for name in _set(word, names.items())]
    unknown = [
        Part(name=f"[{bit}]", meaning="decode.reserved")
        for bit in range(_MAX_DIGITS * 4)
        if word >> bit & 1 and bit not in names
    ]
    return (*known, *unknown) or (Part(name="0", meaning="decode.none"),)


def requester(text: str) -> tuple[Part, ...]:
    """``id=00e5`` of AER lines of older kernels: bus, device and function."""
    word = number(text)
    if word > 0xFFFF:  # noqa: PLR2004  (sixteen bits)
        raise NotDecodableError(text)
    address = f"{word >> 8:02x}:{word >> 3 & 0x1F:02x}.{word & 7}"
    return (Part(name=address, meaning="decode.requester"),)


def reset_methods(text: str) -> tuple[Part, ...]:
    """The words of sysfs ``reset_method``, which are tried in this order."""
    words = text.split()
    if not words or not set(words) <= set(RESET_METHODS):
        raise NotDecodableError(text)
    return tuple(Part(name=word, meaning=f"decode.reset.{word}") for word in words)


def rebar(text: str) -> tuple[Part, ...]:
    """sysfs ``resourceN_resize``: bit n stands for 2^(n+20) bytes."""
    return _sizes(number(text))


def rebar_capability(text: str) -> tuple[Part, ...]:
    """The capability register: bit n, from 4 on, stands for 2^(n+16) bytes (PCI_REBAR_CAP)."""
    return _sizes(number(text) >> 4 & 0x0FFFFFFF)


def rebar_control(text: str) -> tuple[Part, ...]:
    """The control register: which BAR (bits 0-2) and its size (bits 8-13)."""
    word = number(text)
    size = word >> 8 & 0x3F
    return (
        Part(name=f"BAR {word & 7}", meaning="decode.rebar.bar"),
        Part(name=_size(size), meaning="decode.rebar.current"),
    )


def _sizes(mask: int) -> tuple[Part, ...]:
    sizes = [Part(name=_size(bit)) for bit in range(_MAX_DIGITS * 4) if mask >> bit & 1]
    return tuple(sizes) or (Part(name="0", meaning="decode.none"),)


def _size(bit: int) -> str:
    """2^bit MiB."""
    units = ("MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
    return f"{1 << bit % 10} {units[bit // 10]}"


def rm_init(text: str) -> tuple[Part, ...]:
    """``0x62:0x65:2028`` of RmInitAdapter: the stage, the status, and the line of its source."""
    found = re.fullmatch(r"0x([0-9a-f]{1,8}):0x([0-9a-f]{1,8})(:[0-9]{1,9})?", text.strip())
    if not found:
        raise NotDecodableError(text)
    stage, status = int(found[1], 16), int(found[2], 16)
    return (
        _named(RM_STAGES, stage, "decode.rm-stage", "_FAILED"),
        _named(NV_STATUSES, status, "decode.nv-status"),
        *([Part(name=found[3][1:], meaning="decode.rm-line")] if found[3] else []),
    )


def xid(text: str) -> tuple[Part, ...]:
    found = re.fullmatch(r"[0-9]{1,4}", text.strip())
    if not found:
        raise NotDecodableError(text)
    return (_named(XIDS, int(found[0]), "decode.xid", shown=str),)


def _named(
    names: dict[int, str],
    value: int,
    area: str,
    ending: str = "",
    shown: Callable[[int], str] = hex,
) -> Part:
    name = names.get(value)
    if name is None:
        return Part(name=shown(value), meaning=NOT_PUBLIC)
    return Part(name=f"{name}{ending}", meaning=f"{area}.{name}")


def _set(word: int, names: Iterable[tuple[int, str]]) -> list[str]:
    return [name for bit, name in names if word >> bit & 1]


KINDS: dict[str, Callable[[str], tuple[Part, ...]]] = {
    "acs": acs,
    "aer-correctable": aer_correctable,
    "aer-uncorrectable": aer_uncorrectable,
    "aer-id": requester,
    "rebar": rebar,
    "rebar-cap": rebar_capability,
    "rebar-ctl": rebar_control,
    "reset-method": reset_methods,
    "rminit": rm_init,
    "xid": xid,
}


def decode(kind: str, value: str) -> Decoded:
    """Raises NotDecodableError; KeyError for a kind that there is not."""
    return Decoded(kind=kind, value=value.strip(), parts=KINDS[kind](value))
