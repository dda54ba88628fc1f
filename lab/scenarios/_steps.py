"""Steps that several scenarios share."""

from __future__ import annotations

import json
from collections.abc import Mapping

from lab.errors import ScenarioFailedError
from lab.guest import Guest
from lab.kernel_log import Allowed
from lab.scenario import Lab

CARD = "01:00"
RULE_FILE = "/etc/udev/rules.d/10-hostpci-0000-01-00.rules"

JOURNAL_FOLDER = "/var/lib/hostpci"

# A factory host with the card at 01:00 beside a chipset's own sound device.
FACTORY = {"01:00.0": None, "01:00.1": "snd_hda_intel", "00:1b.0": "snd_hda_intel"}
BOUND = {"01:00.0": "vfio-pci", "01:00.1": "vfio-pci", "00:1b.0": "snd_hda_intel"}

NO_CODECS = (
    Allowed(
        pattern=r"^snd_hda_intel 0000:00:1b\.0: Cannot probe codecs, giving up",
        reason="the owner's image has the sound driver but none of its codecs",
    ),
)

# hostpci's exit statuses, as its manual has them.
DONE, PROOF_FAILED, CHANGES_PENDING, REBOOT_NEEDED, CONFLICT = 0, 3, 4, 5, 7


def factory_host(
    lab: Lab, *, cards: tuple[str, ...] | None = None, durable_disk: bool = False
) -> Guest:
    """A host as it comes, with the tool at hand."""
    host = lab.boot(cards=cards, durable_disk=durable_disk)
    host.confirm(FACTORY)
    host.push_tool()
    return host


def claim(lab: Lab, host: Guest, address: str = CARD) -> None:
    """Claim the card and see that there is something to do."""
    host.hostpci(["claim", address, "--yes"])
    host.hostpci(["plan"], expect=(CHANGES_PENDING,))
    lab.say(f"ok: {address} is claimed and changes are pending")


def claim_apply_reboot(lab: Lab, host: Guest, address: str = CARD) -> None:
    """The short way of the manual: claim, apply, one reboot."""
    claim(lab, host, address)
    host.hostpci(["apply", "--yes"], expect=(DONE, REBOOT_NEEDED))
    host.reboot()


def verify_with_reset(lab: Lab, host: Guest, address: str = CARD) -> None:
    """Let hostpci prove the binding, and hear from the card itself that it was reset."""
    before = len(host.card_log(address))
    host.hostpci(["verify", "--reset-test"])
    news = host.card_log(address)[before:]
    resets = {each.function for each in news if each.event in {"FLR", "RESET", "PM-RESET"}}
    lab.check(
        condition=resets >= {0, 1},
        text=f"the card's own log shows that functions {sorted(resets)} were reset",
    )


def settings_of(host: Guest) -> str:
    """Every path that settings live in, with checksums, as the running guest sees it."""
    return host.shell(
        "set -- /etc /boot/grub /usr/local -xdev;"
        ' find "$@" -type f -print0 | sort -z | xargs -0 sha256sum;'
        " find \"$@\" '!' -type f -printf '%y %m %p -> %l\\n' | sort"
    ).stdout


def nothing_to_do(lab: Lab, host: Guest) -> None:
    """A second plan after an apply and its reboot must be empty."""
    host.hostpci(["plan"], expect=(DONE,))
    lab.say("ok: the plan is empty")


def undo_reboot_compare(lab: Lab, host: Guest, factory: Mapping[str, str | None] = FACTORY) -> None:
    """Undo, reboot, the host's own drivers, power off, the factory's bytes."""
    host.hostpci(["undo", "--yes"], expect=(DONE, REBOOT_NEEDED))
    host.reboot()
    host.confirm(factory, also=f"test ! -e {RULE_FILE}")
    host.power_off()
    lab.compare_root()


def json_of(host: Guest, argv: list[str], *, expect: tuple[int, ...]) -> object:
    """What a command of hostpci says in JSON."""
    text = host.hostpci([*argv, "--json"], expect=expect).stdout
    try:
        answer: object = json.loads(text)
    except json.JSONDecodeError as error:
        raise ScenarioFailedError(f"hostpci {argv[0]} --json is no JSON: {error}\n{text}") from None
    return answer
