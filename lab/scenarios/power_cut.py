"""Power cuts and kills at random moments of every kind of change; undo always gets all back.

One cut is what SIGKILL of QEMU would leave on the disk at that moment: QEMU is stopped, its disk
is copied, and it goes on. So one run of a slow change gives many cuts. Each cut's disk is then
read offline; those that hold the same are one state, and every different state is booted, undone
and compared, whole root and ESP, with what it was before the first change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab import rootdiff
from lab.cuts import Cut, Reservoir, random_gap, remove_disk
from lab.errors import LabError, ScenarioFailedError
from lab.guest import Guest
from lab.rootdiff import Difference, Manifest
from lab.scenario import Lab
from lab.scenarios import _steps as steps

DESCRIPTION = "cuts at random moments of every kind of change: each disk boots, and undo works"
HOSTS = ("guide-debian12", "lvm-debian12", "sdboot-debian12", "guide-debian13")

_SLOWLY = Path(__file__).parents[1] / "slowly.py"
_SLOW_TOOL = ("python3", "-IS", "/run/slowly.py")
# Where anything is that hostpci or a program started by it writes: enough to tell states apart.
_STATE_FOLDERS = (
    "etc",
    "boot",
    "usr/local",
    "usr/lib/modprobe.d",
    "var/lib/hostpci",
    "var/lib/initramfs-tools",
)
# mkinitramfs works in there and tidies up at its end; after a cut systemd-tmpfiles does, in a
# month.
_LEFT_BY_A_CUT = (
    rootdiff.BootChange(
        pattern=r"/var/tmp/mkinitramfs[-_].*",  # noqa: S108  (compared with, never opened)
        reason="a cut mkinitramfs",
    ),
)
# An operation that finds the work done, or that leaves a reboot to do, is as good as any.
_ANY_GOOD_END = (steps.DONE, steps.REBOOT_NEEDED)
_LONG_S = 3600


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One command of hostpci that is cut: what kinds of change it makes, and what comes first."""

    kinds: str
    argv: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()


_CLAIM = ("claim", steps.CARD, "--yes")
_RELEASE = ("release", steps.CARD, "--yes")
_APPLY, _APPLY_NOW = ("apply", "--yes"), ("apply", "--yes", "--now")
_UNDO, _UNDO_NOW = ("undo", "--yes"), ("undo", "--yes", "--now")

_FILES_AND_DRIVERS = (
    Operation(kinds="claim", argv=_CLAIM),
    Operation(kinds="file written", argv=_APPLY),
    Operation(kinds="undo: file removed", argv=_UNDO),
    Operation(kinds="file written, live bind", argv=_APPLY_NOW, before=(_CLAIM,)),
    Operation(kinds="release", argv=_RELEASE),
    Operation(kinds="file removed, live bind back", argv=_APPLY_NOW),
    Operation(kinds="undo, live", argv=_UNDO_NOW),
)
_KERNEL_WORD = (
    Operation(kinds="knob set", argv=("set", "iommu-pt", "--yes"), before=(_CLAIM,)),
    Operation(kinds="files written, boot loader updated", argv=_APPLY),
    Operation(kinds="undo: boot loader given back", argv=_UNDO),
)
_GUIDE_AND_INITRAMFS = (
    Operation(kinds="adopt --remove", argv=("adopt", "--remove", "--yes")),
    Operation(kinds="initramfs rebuilt", argv=_APPLY, before=(_CLAIM,)),
    Operation(kinds="undo: initramfs given back", argv=_UNDO),
)


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """What is done on one host: how it is made ready, and what is cut there."""

    operations: tuple[Operation, ...]
    prepare: str = "true"
    reboot: bool = False


_CAMPAIGNS: Mapping[str, Campaign] = {
    "guide-debian12": Campaign(operations=_FILES_AND_DRIVERS),
    "lvm-debian12": Campaign(operations=_KERNEL_WORD),
    "sdboot-debian12": Campaign(operations=_KERNEL_WORD),
    # What a guide left, and a rival in the owner's initramfs, which the claim rebuilds.
    "guide-debian13": Campaign(
        prepare=(
            "echo 'blacklist nouveau' > /etc/modprobe.d/blacklist-nvidia.conf;"
            " echo snd_hda_intel >> /etc/initramfs-tools/modules; update-initramfs -u"
        ),
        reboot=True,
        operations=_GUIDE_AND_INITRAMFS,
    ),
}


@dataclass(kw_only=True)
class Tally:
    """What the campaign has seen so far."""

    cuts: int = 0
    kills: int = 0
    states: int = 0
    not_booted: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.cuts} power cuts in {self.states} different states of the disk, "
            f"{self.kills} kills; {len(self.not_booted)} hosts that did not boot, "
            f"{len(self.lost)} that did not get every byte back"
        )


def run(lab: Lab) -> None:
    """This host's campaign, then the numbers, and failure if one of them is bad."""
    campaign = _CAMPAIGNS[lab.host.name]
    operations = len(campaign.operations)
    per_operation = -(-lab.options.cuts // operations)
    lab.say(f"seed {lab.options.seed}; {operations} operations, {per_operation} cuts in each")
    tally = Tally()
    _run_campaign(lab, campaign, per_operation, tally)
    lab.say(f"result: {tally}")
    if tally.not_booted or tally.lost:
        raise ScenarioFailedError("\n".join((str(tally), *tally.not_booted, *tally.lost)))


def _run_campaign(lab: Lab, campaign: Campaign, per_operation: int, tally: Tally) -> None:
    host = lab.boot(durable_disk=True)
    host.confirm(steps.FACTORY)
    with lab.step("making the host ready"):
        host.shell(campaign.prepare, timeout_s=_LONG_S)
    if campaign.reboot:
        host.expected_messages = steps.NO_CODECS
        host.reboot()
    host.push_tool()
    _push_slowly(host)
    host.ssh(["sync"])
    factory_disk = host.machine.disk_as_after_a_cut(lab.folder("before"))
    before = lab.manifest(factory_disk)
    remove_disk(factory_disk)
    cuts: list[Cut] = []
    for operation in campaign.operations:
        cuts += _cut_often(lab, host, operation, per_operation)
    if campaign.operations is _FILES_AND_DRIVERS:
        _kill_often(lab, host, max(1, lab.options.cuts // 10), tally)
    host.kill()
    _judge(lab, before, cuts, tally)


def _push_slowly(host: Guest) -> None:
    host.machine.ssh.run(["tee", "/run/slowly.py"], stdin=_SLOWLY)


def _cut_often(lab: Lab, host: Guest, operation: Operation, wanted: int) -> list[Cut]:
    """Run one operation slowly to its end; keep `wanted` cuts, spread over all of it."""
    for argv in operation.before:
        host.hostpci(argv, expect=_ANY_GOOD_END)
    # What came before is on the disk: this operation is what is cut.
    host.ssh(["sync"])
    kept = Reservoir(wanted=wanted, random=lab.random)
    with lab.step(f"{wanted} cuts in: {operation.kinds}"):
        running = host.machine.ssh.start([*_SLOW_TOOL, *operation.argv])
        while running.poll() is None:
            random_gap(lab.random)
            place = kept.place()
            if place is not None:
                at_s, disk = kept.elapsed_s, host.machine.disk_as_after_a_cut(lab.folder("cut"))
                kept.put(place, Cut(operation=operation.kinds, disk=disk, at_s=at_s))
    if running.returncode not in _ANY_GOOD_END:
        raise ScenarioFailedError(f"{operation.kinds}: ended with status {running.returncode}")
    return kept.cuts


def _kill_often(lab: Lab, host: Guest, wanted: int, tally: Tally) -> None:
    """SIGKILL of the program alone: the host goes on, and undo gets its settings back."""
    factory = steps.settings_of(host)
    for number in range(wanted):
        slow = " ".join((*_SLOW_TOOL, *_APPLY_NOW))
        delay_s = lab.random.uniform(0.5, 12)
        host.hostpci(_CLAIM)
        host.shell(
            f"setsid {slow} >/run/kill.log 2>&1 & pid=$!; sleep {delay_s:.2f};"
            " kill -KILL $pid 2>/dev/null || true; wait $pid || true"
        )
        host.hostpci(_UNDO_NOW, expect=_ANY_GOOD_END)
        if steps.settings_of(host) != factory:
            tally.lost.append(f"kill {number + 1} after {delay_s:.2f} s: undo left settings behind")
        host.confirm(steps.FACTORY)
        tally.kills += 1


def _judge(lab: Lab, before: Manifest, cuts: Sequence[Cut], tally: Tally) -> None:
    """Read every cut's disk; boot each different one."""
    seen: set[frozenset[Difference]] = set()
    folders = tuple(f"/{each}/" for each in _STATE_FOLDERS)
    entries = before.entries.items()
    start = Manifest(
        entries={path: each for path, each in entries if path[0] != "/" or path.startswith(folders)}
    )
    for cut in cuts:
        with lab.step(f"reading the disk of {cut}"):
            state = frozenset(_state(start, lab.manifest(cut.disk, below=_STATE_FOLDERS)))
        tally.cuts += 1
        if state not in seen:
            seen.add(state)
            tally.states += 1
            bad = len(tally.not_booted) + len(tally.lost)
            _boot_and_undo(lab, before, cut, tally)
            lab.say(f"so far: {tally}")
            if len(tally.not_booted) + len(tally.lost) > bad:
                # A look at the disk says more than the next thirty cuts.
                lab.say(f"kept: {cut.disk}")
                continue
        remove_disk(cut.disk)


def _state(before: Manifest, now: Manifest) -> list[Difference]:
    """What tells two disks apart: hostpci's journal too, but not what any boot changes."""
    changes = tuple(row for row in rootdiff.boot_changes() if not row.covers(steps.JOURNAL_FOLDER))
    return rootdiff.unexplained(rootdiff.compare(before, now), changes)


def _boot_and_undo(lab: Lab, before: Manifest, cut: Cut, tally: Tally) -> None:
    try:
        host = lab.boot(disk=cut.disk, durable_disk=True)
    except LabError as error:
        tally.not_booted.append(f"{cut}: {error.message}")
        lab.stop()
        return
    try:
        drivers = {address: host.driver_of(address) for address in steps.FACTORY}
        if any(has not in (steps.FACTORY[at], steps.BOUND[at]) for at, has in drivers.items()):
            raise ScenarioFailedError(f"the drivers are {drivers}")
        host.push_tool()
        host.hostpci(_UNDO, expect=_ANY_GOOD_END)
        host.ssh(["sync"])
        host.confirm(drivers)
    except LabError as error:
        tally.lost.append(f"{cut}: {error.message}")
        return
    finally:
        host.kill()
    left = rootdiff.unexplained(
        rootdiff.compare(before, lab.manifest(cut.disk)),
        (*rootdiff.boot_changes(), *_LEFT_BY_A_CUT),
    )
    if left:
        tally.lost.append(f"{cut}: undo left {', '.join(map(str, left[:5]))}")
