"""A journal of a server on which nothing is wrong with passthrough: the shapes of real services.

Some of it is trouble, as on any server (a full disk, a worn cable, a killed process), and some of
it has the words that the knowledge base looks for.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FIELD = re.compile(r"\{([a-z]+)\}")

SHAPES = Path(__file__).with_suffix(".txt")

# A host whose card is with a guest, in order
HEALTHY_CARD = r"""
kernel: DMAR: IOMMU enabled
kernel: DMAR-IR: Enabled IRQ remapping in x2apic mode
kernel: pci 0000:01:00.0: Adding to iommu group 15
kernel: pci 0000:01:00.1: Adding to iommu group 15
kernel: VFIO - User Level meta-driver version: 0.3
kernel: vfio-pci 0000:01:00.0: vgaarb: VGA decodes changed: olddecodes=io+mem,decodes=none:owns=none
kernel: vfio_pci: add [10de:2504[ffffffff:ffffffff]] class 0x000000/00000000
pvedaemon[{pid}]: start VM {vmid}: UPID:pve:{hex}:{hex}:{hex}:qmstart:{vmid}:root@pam:
kernel: vfio-pci 0000:01:00.0: resetting
kernel: vfio-pci 0000:01:00.0: reset done
kernel: vfio-pci 0000:01:00.0: enabling device (0000 -> 0003)
kernel: vfio-pci 0000:01:00.0: vfio_ecap_init: hiding ecap 0x19@0x900
"""


def _fillers(dice: random.Random) -> dict[str, Callable[[], str]]:
    users = ("alice", "backup", "git", "jellyfin", "mysqld", "node", "python3", "www-data")
    return {
        "pid": lambda: str(dice.randrange(300, 99_999)),
        "small": lambda: str(dice.randrange(1, 60)),
        "port": lambda: str(dice.randrange(1024, 65_535)),
        "vmid": lambda: str(dice.randrange(100, 160)),
        "hex": lambda: f"{dice.getrandbits(32):08x}",
        "hash": lambda: f"{dice.getrandbits(128):032x}",
        "ip": lambda: f"198.51.100.{dice.randrange(1, 255)}",
        "user": lambda: dice.choice(users),
    }


def journal(size: int, *, seed: int = 1, with_card: bool = False) -> Iterator[str]:
    """Lines of about ``size`` bytes together, the same ones for the same seed."""
    dice = random.Random(seed)  # noqa: S311
    fillers = _fillers(dice)
    ordinary = [line for line in SHAPES.read_text(encoding="utf-8").splitlines() if line]
    of_card = [line for line in HEALTHY_CARD.splitlines() if line] if with_card else []
    written, seconds = 0, 0
    while written < size:
        shape = of_card.pop(0) if of_card and dice.random() < 0.3 else dice.choice(ordinary)
        seconds += dice.randrange(3)
        message = _FIELD.sub(lambda found: fillers[found[1]](), shape)
        line = f"{_time(seconds)} pve {message}"
        written += len(line) + 1
        yield line


def _time(seconds: int) -> str:
    day, rest = divmod(seconds, 86_400)
    month = MONTHS[day // 28 % 12]
    return f"{month} {day % 28 + 1:02} {rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
