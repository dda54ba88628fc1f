"""The card is the host's only display: its owner gives up the picture by name, and gets it back."""

from __future__ import annotations

from lab.scenario import Lab
from lab.scenarios import _refusals as refusals
from lab.scenarios import _steps as steps

DESCRIPTION = "the only boot VGA is refused without consent, bound with it, and back after undo"
HOSTS = ("only-vga-debian12",)

_GRUB, _KEPT = "/boot/grub/grub.cfg", "/root/grub.cfg.kept"
_NAME = "boot-vga-only"


def run(lab: Lab) -> None:
    """With a serial console it is a warning; without one it needs the name."""
    host = steps.factory_host(lab)
    warned = host.hostpci(["check", steps.CARD]).stdout
    lab.check(condition="console=ttyS0" in warned, text="with a serial console check only warns")
    host.shell(f"cp -p {_GRUB} {_KEPT}; sed -i 's/console=ttyS0//' {_GRUB}; sync")
    host.reboot()
    host.confirm(steps.FACTORY, also="! grep -q console= /proc/cmdline")
    refused = host.hostpci(["claim", steps.CARD, "--yes"], expect=(refusals.REFUSED,))
    words = f"--accept {_NAME}"
    lab.check(condition=words in refused.stderr, text=f"the refusal says {words!r}")
    host.hostpci(["claim", steps.CARD, "--accept", _NAME, "--yes"])
    host.hostpci(["apply", "--yes"], expect=(steps.DONE, steps.REBOOT_NEEDED))
    host.reboot()
    # The picture is gone: no driver of the host has the card, nothing draws on it
    host.confirm(steps.BOUND, also='test -z "$(ls /sys/class/graphics | grep "^fb[0-9]")"')
    steps.verify_with_reset(lab, host)
    steps.nothing_to_do(lab, host)
    host.hostpci(["undo", "--yes"], expect=(steps.DONE, steps.REBOOT_NEEDED))
    host.shell(f"cp -p {_KEPT} {_GRUB}; rm {_KEPT}; sync")
    host.reboot()
    host.confirm(
        steps.FACTORY, also=f"test ! -e {steps.RULE_FILE}; grep -q console=ttyS0 /proc/cmdline"
    )
    host.power_off()
    lab.compare_root()
