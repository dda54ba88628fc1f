"""The way out at the boot prompt, for an owner whose host has no picture any more."""

from __future__ import annotations

from lab.scenario import Lab
from lab.scenarios import _steps as steps

DESCRIPTION = "one boot with hostpci=off on the kernel command line leaves claims unbound"
HOSTS = ("guide-debian12",)

_GRUB = "/boot/grub/grub.cfg"
_KEPT = "/root/grub.cfg.kept"


def run(lab: Lab) -> None:
    """Bound, then one boot with the word, then bound again without it."""
    host = steps.factory_host(lab)
    steps.claim_apply_reboot(lab, host)
    host.confirm(steps.BOUND)
    # What a person types into GRUB's editor, done where a script can do it.
    host.shell(f"cp -p {_GRUB} {_KEPT}; sed -i '/^\\s*linux\\s/s/$/ hostpci=off/' {_GRUB}; sync")
    host.reboot()
    host.confirm(steps.FACTORY, also="grep -q hostpci=off /proc/cmdline")
    host.shell(f"cp -p {_KEPT} {_GRUB}; rm {_KEPT}; sync")
    host.reboot()
    host.confirm(steps.BOUND)
    steps.undo_reboot_compare(lab, host)
