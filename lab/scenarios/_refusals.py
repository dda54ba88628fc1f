"""What scenarios about shared groups have in common: refused whatever anybody says."""

from __future__ import annotations

from lab.guest import Guest
from lab.scenario import Lab

WRONG_WORDS, REFUSED = 2, 3
CLAIMS_FILE = "/etc/hostpci.toml"
EVERY_NAME = (
    "group-shares-usb", "group-shares-nic", "group-shares-storage", "group-shares-audio",
    "group-shares-display", "group-shares-other", "last-usb-input", "boot-vga-only",
    "in-use-by-host", "acs-asserted",
)  # fmt: skip


def see_it_refused(lab: Lab, host: Guest, card: str, *, because: tuple[str, ...]) -> None:
    """The check gives the reasons and no consent; no name takes the refusal away."""
    answer = host.hostpci(["check", card], expect=(REFUSED,)).stdout
    for words in because:
        lab.check(condition=words in answer, text=f"check says {words!r}")
    lab.check(condition="cannot be accepted" in answer, text="check says that nobody can accept it")
    host.hostpci(["claim", card, "--yes"], expect=(REFUSED,))
    for name in EVERY_NAME:
        # A name may fit something else in the group: then the words are right and it is refused
        argv = ["claim", card, "--accept", name, "--yes"]
        host.hostpci(argv, expect=(WRONG_WORDS, REFUSED))
    host.shell(f"test ! -e {CLAIMS_FILE}")
    lab.say("ok: no name that can be accepted lets it through, and nothing was written")


def see_a_file_by_hand_refused(lab: Lab, host: Guest, functions: dict[str, str]) -> None:
    """Who writes every name into the claims file gets no further. ``functions``: address: ids."""
    slot = next(iter(functions)).rpartition(".")[0]
    rows = "".join(
        f'  {{ address = "{address}", id = "{ids.split()[0]}", subsystem = "{ids.split()[1]}" }},\n'
        for address, ids in functions.items()
    )
    accept = ", ".join(f'"{name}"' for name in EVERY_NAME)
    text = f'[[claim]]\nslot = "{slot}"\nfunctions = [\n{rows}]\naccept = [{accept}]\n'
    host.shell(f"cat > {CLAIMS_FILE} <<'END'\n{text}END")
    host.hostpci(["plan"], expect=(REFUSED,))
    host.hostpci(["apply", "--yes"], expect=(REFUSED,))
    host.shell(f'test -z "$(ls /etc/udev/rules.d | grep hostpci)"; rm {CLAIMS_FILE}')
    lab.say("ok: with every name written by hand, plan and apply still refuse and write nothing")


def ids_of(host: Guest, address: str) -> str:
    """``10de:2d04 10b0:205e`` of a function, from its own configuration."""
    names = "vendor device subsystem_vendor subsystem_device"
    base = f"/sys/bus/pci/devices/{address}"
    words = host.shell(f"cd {base}; cat {names} | sed 's/^0x//'").stdout.split()
    return f"{words[0]}:{words[1]} {words[2]}:{words[3]}"
