"""A guest that the host starts itself gets the card: both functions on one slot, twice."""

from __future__ import annotations

from lab.guest import Guest
from lab.scenario import Lab
from lab.scenarios import _steps as steps
from lab.secondguest import push

DESCRIPTION = "the host starts a guest of its own with the card, which works there, twice"
HOSTS = ("node-debian12",)

VMID = 100
# What PVE makes of `hostpci0: 0000:01:00,pcie=1` on a q35 machine.
DEVICES = (
    "-device",
    "vfio-pci,host=0000:01:00.0,id=hostpci0.0,bus=ich9-pcie-port-1,addr=0x0.0,multifunction=on",
    "-device",
    "vfio-pci,host=0000:01:00.1,id=hostpci0.1,bus=ich9-pcie-port-1,addr=0x0.1",
)
CARD_IN_GUEST = {"0000:01:00.0": "10de:2d04 (10b0:205e)", "0000:01:00.1": "10de:22eb (10b0:205e)"}
_INSTALL = (
    "apt-get update && apt-get -y install nvidia-driver-580-open"
    " linux-modules-nvidia-580-open-$(uname -r) && modprobe nvidia"
)


def run(lab: Lab) -> None:
    """Without a reboot: bind, start, driver, proof, stop, start, proof, undo."""
    host = steps.factory_host(lab)
    lab.push_second_guest(host)
    host.hostpci(["claim", steps.CARD, "--yes"])
    host.hostpci(["apply", "--yes", "--now"])
    host.confirm(steps.BOUND)
    guest = lab.second_guest(host, VMID)
    for number in (1, 2):
        _start_and_prove(lab, host, guest, first=number == 1)
        guest.stop()
    host.hostpci(["undo", "--yes", "--now"])
    host.confirm(steps.FACTORY, also=f"test ! -e {steps.RULE_FILE}; rm -r {push.FOLDER}")
    host.power_off()
    lab.compare_root()


def _start_and_prove(lab: Lab, host: Guest, guest: push.SecondGuest, *, first: bool) -> None:
    before = len(host.card_log(steps.CARD))
    guest.start(DEVICES)
    seen = guest.functions_of("01")
    lab.check(condition=seen == CARD_IN_GUEST, text=f"the guest sees {seen} on one slot")
    resets = {each.function for each in host.card_log(steps.CARD)[before:] if "FLR" in each.event}
    lab.check(condition=resets == {0, 1}, text=f"functions {sorted(resets)} were reset for it")
    if first:
        guest.run(_INSTALL)
    said = guest.run("nvidia-smi").stdout.strip()
    lab.check(
        condition="RTX 5060 Ti" in said, text=f"its driver has read the card's registers: {said}"
    )
