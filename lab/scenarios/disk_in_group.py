"""The controller of the boot disk shares the card's group: nobody can accept that."""

from __future__ import annotations

from lab.scenario import Lab
from lab.scenarios import _refusals as refusals

DESCRIPTION = "the boot disk's controller in the card's group is refused whatever is accepted"
HOSTS = ("boot-disk-in-group-debian12",)

_FACTORY = {
    "03:00.0": None, "03:00.1": "snd_hda_intel", "04:00.0": "virtio-pci",
    "00:1b.0": "snd_hda_intel",
}  # fmt: skip


def run(lab: Lab) -> None:
    """Refused at check, claim, plan and apply; the root stays the factory's."""
    host = lab.boot()
    host.push_tool()
    refusals.see_it_refused(lab, host, "03:00", because=("0000:04:00.0", "disk vda"))
    refusals.see_it_refused(lab, host, "04:00", because=("disk vda",))
    functions = {f"0000:03:00.{n}": refusals.ids_of(host, f"0000:03:00.{n}") for n in (0, 1)}
    refusals.see_a_file_by_hand_refused(lab, host, functions)
    host.confirm(_FACTORY)
    host.power_off()
    lab.compare_root()
