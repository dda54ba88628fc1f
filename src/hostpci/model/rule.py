"""The udev rule that binds a claimed slot at boot, and where it lies.

Why every PCI event and not only the slot's own: the coldplug events are worked on in parallel,
and the event of another device may load the driver that also fits ours (a chipset's sound card
loads snd_hda_intel, a second graphics card loads nouveau). Each worker runs all rules of its
event before it loads a module for it (systemd src/udev/udev-event.c, rules before RUN), so once
the first PCI event has passed this file, no module that udev loads can win the claimed functions.
"""

from __future__ import annotations

import re

from .claim import Claim, ClaimedFunction

RULES_DIRECTORY = "/etc/udev/rules.d"
RULE_NAME = re.compile(r"10-hostpci-[0-9a-f]{4,8}-[0-9a-f]{2}-[0-9a-f]{2}\.rules")

BOOT_KEY = "hostpci"

_HEADER = """\
# Keeps {slot} for virtual machines. Written by "hostpci apply", removed by "hostpci undo".
# Nothing is bound unless every function below is exactly who it was when it was claimed.
# The word hostpci=off on the kernel command line leaves the slot to the host for that boot.
ACTION!="add", GOTO="hostpci_end"
SUBSYSTEM!="pci", GOTO="hostpci_end"
IMPORT{{cmdline}}="hostpci"
ENV{{hostpci}}=="off", GOTO="hostpci_end"
"""


def rule_path(slot: str) -> str:
    """``0000:01:00`` -> ``/etc/udev/rules.d/10-hostpci-0000-01-00.rules``."""
    return f"{RULES_DIRECTORY}/10-hostpci-{slot.replace(':', '-')}.rules"


def rule_text(claim: Claim) -> str:
    """The rule file of one claim. Same claim, same bytes."""
    matches = [match for each in claim.functions for match in _identity_matches(each)]
    identified = ", \\\n".join([*matches, 'GOTO="hostpci_identified"'])
    overrides = [
        f'ATTR{{[pci/{each.address}]driver_override}}="vfio-pci"' for each in claim.functions
    ]
    addresses = "|".join(each.address for each in claim.functions)
    own_event = (
        f'KERNEL=="{addresses}", ATTR{{subsystem/drivers_probe}}="%k", '
        'RUN{builtin}+="kmod load vfio-pci"'
    )
    return "\n".join(
        [
            _HEADER.format(slot=claim.slot),
            identified,
            'GOTO="hostpci_end"',
            "",
            'LABEL="hostpci_identified"',
            *overrides,
            own_event,
            "",
            'LABEL="hostpci_end"',
            "",
        ]
    )


def _identity_matches(function: ClaimedFunction) -> list[str]:
    who = function.identity
    expected = {
        "vendor": who.vendor,
        "device": who.device,
        "subsystem_vendor": who.subsystem_vendor,
        "subsystem_device": who.subsystem_device,
    }
    return [
        f'ATTR{{[pci/{function.address}]{name}}}=="0x{value}"' for name, value in expected.items()
    ]
