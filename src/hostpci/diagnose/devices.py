"""Families of devices by their ids, where a fault is one of the family."""

from __future__ import annotations

# vendor-reset src/device-db.h: Polaris, Vega 10, Vega 20, Navi 10, 12, 14, MI100
_AMD_RESET = (
    (0x67C0, 0x67DF), (0x67E0, 0x67FF), (0x6980, 0x699F), (0x6860, 0x687F), (0x66A0, 0x66AF),
    (0x7310, 0x731F), (0x7340, 0x734F), (0x7360, 0x7362), (0x738C, 0x738C),
)  # fmt: skip
# drivers/gpu/drm/amd: Raven, Picasso, Renoir, Lucienne, Cezanne, Barcelo, Rembrandt, Raphael,
# Phoenix, Hawk Point, Strix, Strix Halo, Krackan, Van Gogh, Mendocino
_AMD_APU = (
    (0x15D8, 0x15DD), (0x1636, 0x1638), (0x164C, 0x164E), (0x15E7, 0x15E7), (0x1681, 0x1681),
    (0x15BF, 0x15BF), (0x15C8, 0x15C8), (0x1900, 0x1901), (0x150E, 0x150E), (0x1586, 0x1586),
    (0x1114, 0x1114), (0x163F, 0x163F), (0x1506, 0x1506), (0x13C0, 0x13C0), (0x9870, 0x98FF),
)  # fmt: skip
# GB202, GB203, GB205, GB206, GB207 and the workstation and data centre cards of them
_BLACKWELL = (
    (0x2B80, 0x2BFF), (0x2C00, 0x2C7F), (0x2D00, 0x2DFF), (0x2F00, 0x2F7F), (0x2900, 0x29FF),
)  # fmt: skip


def _in(device: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= device <= last for first, last in ranges)


def is_of_amd_reset_family(device: int) -> bool:
    return _in(device, _AMD_RESET)


def is_apu(device: int) -> bool:
    return _in(device, _AMD_APU)


def is_blackwell(device: int) -> bool:
    return _in(device, _BLACKWELL)
