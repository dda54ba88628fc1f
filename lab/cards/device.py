"""One PCI function: configuration space, registers, and what a reset does to them.

Offsets and bits are those of the PCI Express Base Specification, chapter 7, with the names of
Linux's include/uapi/linux/pci_regs.h.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from enum import StrEnum

from lab.cards.protocol import MalformedError
from lab.tables import Bar, Function

CONFIG_BYTES = 4096
ROM_REGION, CONFIG_REGION = 6, 7
REGION_COUNT = 9
IRQ_COUNT = 5
_IRQ_INTX, _IRQ_MSI = 0, 1

_COMMAND, _STATUS, _CAPABILITY_LIST = 0x04, 0x06, 0x34
_FIRST_BAR, _ROM_BAR = 0x10, 0x30
# Where NVIDIA's cards have them.
_CAPABILITY_AT = {"pm": 0x60, "msi": 0x68, "pcie": 0x78}
_PMCSR = _CAPABILITY_AT["pm"] + 4
_DEVCTL = _CAPABILITY_AT["pcie"] + 8
_DEVCTL_FLR = 0x8000
_DEVCAP_FLR = 1 << 28
_D3HOT = 3

# A row's fault: the function does not come back from its own reset, as cards with the "reset
# bug" do not; it reads as all ones, like anything that does not answer, until the power is cut.
_SILENT_AFTER_FLR = "silent-after-flr"
# The same after a reset of its bus. QEMU also sends that one to every device when it starts.
_SILENT_AFTER_BUS_RESET = "silent-after-bus-reset"
# It never wakes up again once it was put to sleep.
_SILENT_IN_D3 = "silent-in-d3"
FAULTS = frozenset({_SILENT_AFTER_FLR, _SILENT_AFTER_BUS_RESET, _SILENT_IN_D3})

_PAGE_BYTES = 4096
# A driver touches a few pages of a BAR; a client that touches more gets plain lost writes.
_MAX_PAGES = 4096


class Event(StrEnum):
    """What happened to a card, as its log names it."""

    FLR = "FLR"
    RESET = "RESET"
    PM_RESET = "PM-RESET"


class ConfigSpace:
    """4096 bytes of which some bits can be written; a base address register sizes itself so."""

    def __init__(self, function: Function) -> None:
        self._initial = bytearray(CONFIG_BYTES)
        self._writable = bytearray(CONFIG_BYTES)
        self._cleared_by_one = bytearray(CONFIG_BYTES)
        self._describe_header(function)
        for bar in function.bars:
            self._describe_bar(bar)
        if function.rom:
            # Bit 0 lets the ROM answer (section 7.5.1.2.4).
            self._set("<I", _ROM_BAR, 0, writable=~(function.rom.size_bytes - 1) & 0xFFFFFFFF | 1)
        self._describe_capabilities(function)
        self.data = bytearray(self._initial)

    def _set(self, form: str, offset: int, value: int, *, writable: int = 0) -> None:
        struct.pack_into(form, self._initial, offset, value)
        struct.pack_into(form, self._writable, offset, writable)

    def _describe_header(self, function: Function) -> None:
        self._set("<H", 0x00, function.vendor)
        self._set("<H", 0x02, function.device)
        # I/O, memory, bus master, parity and SERR reporting, interrupt disable.
        self._set("<H", _COMMAND, 0, writable=0x0547)
        self._set("<H", _STATUS, 0x0010 if function.capabilities else 0)
        struct.pack_into("<H", self._cleared_by_one, _STATUS, 0xF900)
        self._set("<B", 0x08, function.revision)
        for index in range(3):
            self._set("<B", 0x09 + index, function.class_code >> 8 * index & 0xFF)
        self._set("<H", 0x2C, function.subsystem_vendor)
        self._set("<H", 0x2E, function.subsystem_device)
        self._set("<B", 0x3C, 0, writable=0xFF)
        self._set("<B", 0x3D, function.number % 4 + 1)

    def _describe_bar(self, bar: Bar) -> None:
        kind = bar.is_io | bar.is_64bit << 2 | bar.is_prefetchable << 3
        # Address bits below the size are read-only zeros: that alone answers the sizing write
        # of all ones (section 7.5.1.2.1), in the upper half of a 64-bit register too.
        addressable = ~(bar.size_bytes - 1) & (0xFFFFFFFFFFFFFFFF if bar.is_64bit else 0xFFFFFFFF)
        offset = _FIRST_BAR + 4 * bar.index
        self._set("<Q" if bar.is_64bit else "<I", offset, kind, writable=addressable)

    def _describe_capabilities(self, function: Function) -> None:
        link = _CAPABILITY_LIST
        for name in function.capabilities:
            offset = _CAPABILITY_AT[name]
            self._initial[link] = offset
            link = offset + 1
            describe = {
                "pm": self._describe_pm,
                "msi": self._describe_msi,
                "pcie": self._describe_pcie,
            }
            describe[name](function, offset)

    def _describe_pm(self, function: Function, offset: int) -> None:
        self._set("<B", offset, 0x01)
        self._set("<H", offset + 2, 0x0003)
        no_soft_reset = 0 if "pm" in function.resets else 0x0008
        self._set("<H", offset + 4, no_soft_reset, writable=0x0003)

    def _describe_msi(self, _: Function, offset: int) -> None:
        self._set("<B", offset, 0x05)
        self._set("<H", offset + 2, 0x0080, writable=0x0001)
        self._set("<I", offset + 4, 0, writable=0xFFFFFFFC)
        self._set("<I", offset + 8, 0, writable=0xFFFFFFFF)
        self._set("<H", offset + 12, 0, writable=0xFFFF)

    def _describe_pcie(self, function: Function, offset: int) -> None:
        # A display function is a legacy endpoint (it has an I/O BAR), others are plain ones.
        is_legacy = any(bar.is_io for bar in function.bars)
        self._set("<B", offset, 0x10)
        self._set("<H", offset + 2, 0x0012 if is_legacy else 0x0002)
        has_flr = _DEVCAP_FLR if "flr" in function.resets else 0
        self._set("<I", offset + 4, 0x00008FE1 | has_flr)
        self._set("<H", offset + 8, 0x2930, writable=0x7FFF)
        struct.pack_into("<H", self._cleared_by_one, offset + 10, 0x000F)
        # 32 GT/s, eight lanes.
        self._set("<I", offset + 12, 0x00040C85)
        self._set("<H", offset + 16, 0, writable=0x0FFB)
        self._set("<H", offset + 18, 0x1085)

    def write(self, offset: int, data: bytes) -> None:
        """Change the writable bits only."""
        for at, new in enumerate(data, start=offset):
            kept = self.data[at] & ~self._writable[at] | new & self._writable[at]
            self.data[at] = kept & ~(new & self._cleared_by_one[at])

    def reset(self) -> None:
        """Back to the state at power on."""
        self.data[:] = self._initial

    @property
    def is_untouched(self) -> bool:
        """Whether nothing was set since power on."""
        return self.data == self._initial

    def word(self, offset: int) -> int:
        """A 16-bit register."""
        value: int = struct.unpack_from("<H", self.data, offset)[0]
        return value


class Registers:
    """The memory of one BAR, of which only the pages ever written exist."""

    def __init__(self, bar: Bar) -> None:
        self.size_bytes = bar.size_bytes
        self._initial = bar.registers
        self._resets_at = bar.resets_at
        self._pages: dict[int, bytearray] = {}
        self.reset()

    def reset(self) -> None:
        """Forget everything but what the card has at power on.

        Stale registers would be worse than none: over a reboot of the host, snd_hda_intel read
        them as answers, flooded the log and hung it.
        """
        self._pages.clear()
        for offset, value in self._initial:
            self._keep(offset, struct.pack("<I", value))

    def read(self, offset: int, size_bytes: int) -> bytes:
        """What was written, zeros elsewhere."""
        return bytes(self._byte(at) for at in range(offset, offset + size_bytes))

    def _byte(self, at: int) -> int:
        page = self._pages.get(at // _PAGE_BYTES)
        return page[at % _PAGE_BYTES] if page else 0

    def write(self, offset: int, data: bytes) -> None:
        """Keep what is written, unless it puts the controller in reset."""
        self._keep(offset, data)
        at = self._resets_at
        if at is not None and offset <= at < offset + len(data) and not self._byte(at) & 1:
            self.reset()

    def _keep(self, offset: int, data: bytes) -> None:
        for at, value in enumerate(data, start=offset):
            number = at // _PAGE_BYTES
            if number not in self._pages and len(self._pages) >= _MAX_PAGES:
                return
            self._pages.setdefault(number, bytearray(_PAGE_BYTES))[at % _PAGE_BYTES] = value


class Device:
    """A PCI function that a vfio-user client can drive."""

    def __init__(self, function: Function, *, report: Callable[[Event], None]) -> None:
        self.function = function
        self._report = report
        self._config = ConfigSpace(function)
        self._bars = {bar.index: Registers(bar) for bar in function.bars}
        self._is_silent = False

    def region_size_bytes(self, index: int) -> int:
        """The size of a region; 0 where there is none."""
        if index == CONFIG_REGION:
            return CONFIG_BYTES
        rom = self.function.rom
        if index == ROM_REGION:
            return rom.size_bytes if rom and rom.is_readable else 0
        bar = self._bars.get(index)
        return bar.size_bytes if bar else 0

    def irq_count(self, index: int) -> int:
        """One INTx line, and one MSI message where the capability is there."""
        return int(
            index == _IRQ_INTX or (index == _IRQ_MSI and "msi" in self.function.capabilities)
        )

    def read(self, region: int, offset: int, size_bytes: int) -> bytes:
        """Read from a region, or raise MalformedError outside of it."""
        self._check(region, offset, size_bytes)
        if self._is_silent:
            return b"\xff" * size_bytes
        if region == CONFIG_REGION:
            return bytes(self._config.data[offset : offset + size_bytes])
        if region == ROM_REGION and self.function.rom:
            content = self.function.rom.content[offset : offset + size_bytes]
            return content.ljust(size_bytes, b"\0")
        return self._bars[region].read(offset, size_bytes)

    def write(self, region: int, offset: int, data: bytes) -> None:
        """Write to a region, or raise MalformedError outside of it."""
        self._check(region, offset, len(data))
        if self._is_silent:
            return
        if region == CONFIG_REGION:
            self._write_config(offset, data)
        elif region != ROM_REGION:
            self._bars[region].write(offset, data)

    def reset(self, event: Event = Event.RESET) -> None:
        """Clear all state, and say so."""
        self._is_silent = self._does_not_survive(event)
        self._config.reset()
        for bar in self._bars.values():
            bar.reset()
        self._report(event)

    def _does_not_survive(self, event: Event) -> bool:
        faults = self.function.faults
        if event is Event.RESET:
            # The one at power on finds a function that nobody has set up.
            return _SILENT_AFTER_BUS_RESET in faults and not self._config.is_untouched
        return event is Event.FLR and _SILENT_AFTER_FLR in faults

    def _check(self, region: int, offset: int, size_bytes: int) -> None:
        # A region that does not exist takes nothing, not even an access of no bytes.
        room_bytes = self.region_size_bytes(region)
        if room_bytes == 0 or offset + size_bytes > room_bytes:
            raise MalformedError(
                f"{size_bytes} bytes at {offset:#x} are outside region {region}",
                number=errno.EINVAL,
            )

    def _write_config(self, offset: int, data: bytes) -> None:
        state_before = self._config.word(_PMCSR) & 3
        self._config.write(offset, data)
        if self._asks_for_flr(offset, data):
            self.reset(Event.FLR)
        elif self._leaves_d3hot(state_before):
            self.reset(Event.PM_RESET)
        elif _SILENT_IN_D3 in self.function.faults and self._config.word(_PMCSR) & 3 == _D3HOT:
            self._is_silent = True

    def _asks_for_flr(self, offset: int, data: bytes) -> bool:
        at = _DEVCTL + 1 - offset
        has_flr = "flr" in self.function.resets and "pcie" in self.function.capabilities
        return has_flr and 0 <= at < len(data) and bool(data[at] << 8 & _DEVCTL_FLR)

    def _leaves_d3hot(self, state_before: int) -> bool:
        resets = "pm" in self.function.resets and "pm" in self.function.capabilities
        return resets and state_before == _D3HOT and self._config.word(_PMCSR) & 3 == 0
