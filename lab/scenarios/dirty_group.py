"""The card and a network card behind one switch without ACS: PVE would take both."""

from __future__ import annotations

from lab.guest import Guest
from lab.scenario import Lab
from lab.scenarios import _refusals as refusals
from lab.scenarios import _steps as steps

DESCRIPTION = "a network card in the card's group: idle, it goes by name; the way in, never"
HOSTS = ("dirty-group-debian12", "uplink-in-group-debian12")

_CARD, _NIC = "03:00", "04:00"
_REST = {"00:1b.0": "snd_hda_intel"}
_FACTORY = {"03:00.0": None, "03:00.1": "snd_hda_intel", "04:00.0": "e1000e"} | _REST
_BOUND = {"03:00.0": "vfio-pci", "03:00.1": "vfio-pci", "04:00.0": "vfio-pci"} | _REST


def run(lab: Lab) -> None:
    """Refused on both hosts; accepted, bound and proven where the host can do without it."""
    host = lab.boot()
    host.push_tool()
    if lab.host.name.startswith("uplink"):
        _the_way_in(lab, host)
    else:
        _idle(lab, host)


def _the_way_in(lab: Lab, host: Guest) -> None:
    reasons = ("0000:04:00.0", "default route", "ssh session")
    refusals.see_it_refused(lab, host, _CARD, because=reasons)
    refusals.see_it_refused(lab, host, _NIC, because=("default route",))
    functions = {f"0000:03:00.{n}": refusals.ids_of(host, f"0000:03:00.{n}") for n in (0, 1)}
    refusals.see_a_file_by_hand_refused(lab, host, functions)
    host.confirm({"03:00.0": None, "03:00.1": "snd_hda_intel", "04:00.0": "virtio-pci"} | _REST)
    host.power_off()
    lab.compare_root()


def _idle(lab: Lab, host: Guest) -> None:
    host.confirm(_FACTORY)
    refused = host.hostpci(["claim", _CARD, "--yes"], expect=(refusals.REFUSED,))
    words = "--accept group-shares-nic"
    lab.check(condition=words in refused.stderr, text=f"the refusal says {words!r}")
    wrong = ["claim", _CARD, "--accept", "group-shares-usb", "--yes"]
    host.hostpci(wrong, expect=(refusals.WRONG_WORDS,))
    host.shell(f"test ! -e {refusals.CLAIMS_FILE}")
    host.hostpci(["claim", _CARD, "--accept", "group-shares-nic", "--yes"])
    answer = host.hostpci(["check", _CARD]).stdout
    lab.check(condition="accepted by the claim" in answer, text="check goes on to say what goes")
    # So that it leaves the host at boot and not only when the machine starts
    host.hostpci(["claim", _NIC, "--yes"])
    host.hostpci(["plan"], expect=(steps.CHANGES_PENDING,))
    host.hostpci(["apply", "--yes"], expect=(steps.DONE, steps.REBOOT_NEEDED))
    host.reboot()
    host.confirm(_BOUND)
    steps.verify_with_reset(lab, host, _CARD)
    steps.nothing_to_do(lab, host)
    host.hostpci(["undo", "--yes"], expect=(steps.DONE, steps.REBOOT_NEEDED))
    host.reboot()
    host.confirm(_FACTORY)
    host.power_off()
    lab.compare_root()
